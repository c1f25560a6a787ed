"""Recurrent encoder-decoders: with one fixed context, with Bahdanau's attention, with Luong's.

Fixed context: Cho et al. 2014 (https://arxiv.org/abs/1406.1078). Additive attention: Bahdanau et al. 2015
(https://arxiv.org/abs/1409.0473), sections 3 and A. Dot, general, concat: Luong et al. 2015
(https://arxiv.org/abs/1508.04025), section 3.1, without input feeding. No public weights exist; the oracle is a plain
loop over the papers' equations in tests/models/test_seq2seq.py.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from qkv.base.config import check_ranges
from qkv.base.errors import ConfigError
from qkv.models.family import EncoderDecoder, Family, MapSpec
from qkv.nn.recurrent import CELLS, BidirectionalEncoder, State
from qkv.nn.scores import AdditiveScore, DotScore, GeneralScore, Weigh


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Widths of one seq2seq net; `d_encoder` counts one direction, annotations are twice as wide."""

    vocab_size: int
    target_vocab_size: int
    d_embed: int = 620
    d_encoder: int = 1000
    d_decoder: int = 1000
    d_attention: int = 1000
    d_readout: int = 500
    cell: Literal["gru", "lstm"] = "gru"
    attention: Literal["none", "additive", "dot", "general", "concat"] = "additive"
    max_len: int = 256
    dropout: float = 0.0
    pad_id: int = 0
    start_id: int = 2
    end_id: int = 3

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.attention == "dot" and self.d_decoder != 2 * self.d_encoder:
            raise ConfigError(
                f'attention "dot" needs d_decoder ({self.d_decoder}) = 2 * d_encoder ({2 * self.d_encoder}); '
                'choose equal widths, or "general".'
            )


class Reading(NamedTuple):
    """What a decoder keeps of its sources: annotations, keys made from them, mask, a summary c = q(h)."""

    annotations: Float[Tensor, "b s m"]
    keys: Tensor
    mask: Bool[Tensor, "b s"]
    summary: Float[Tensor, "b m"]


class Readout(nn.Module):
    """Deep output with maxout: Bahdanau et al. 2015, section A.2.2; of s_i as in eq. 4 (A.2.2 prints s_{i-1})."""

    def __init__(self, d_state: int, d_embed: int, d_context: int, d_readout: int) -> None:
        super().__init__()
        self.state = nn.Linear(d_state, 2 * d_readout)
        self.token = nn.Linear(d_embed, 2 * d_readout, bias=False)
        self.context = nn.Linear(d_context, 2 * d_readout, bias=False)

    def forward(
        self, s: Float[Tensor, "n t d"], y: Float[Tensor, "n t e"], c: Float[Tensor, "n #t m"]
    ) -> Float[Tensor, "n t l"]:
        """Return the larger of each two neighbours of U s + V y + C c."""
        return (self.state(s) + self.token(y) + self.context(c)).unflatten(-1, (-1, 2)).amax(-1)


class FixedContextDecoder(nn.Module):
    """Every step sees the same context, the summary of the source: Cho et al. 2014, section 2.2."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        d_annotation = 2 * cfg.d_encoder
        self.first = nn.Linear(d_annotation, cfg.d_decoder)
        self.cell = CELLS[cfg.cell](cfg.d_embed, cfg.d_decoder)
        self.context = nn.Linear(d_annotation, self.cell.n_gates * cfg.d_decoder, bias=False)
        self.readout = Readout(cfg.d_decoder, cfg.d_embed, d_annotation, cfg.d_readout)

    def remember(self, annotations: Float[Tensor, "b s m"]) -> Float[Tensor, "b s k"]:
        """Return what queries are compared with, made once per source: here nothing is."""
        return annotations[..., :0]

    def begin(self, reading: Reading) -> State:
        """Return s_0 = tanh(W c); an LSTM's memory starts at zero."""
        s = self.first(reading.summary).tanh()[None]
        return (s, *[torch.zeros_like(s)] * (self.cell.n_states - 1))

    def forward(
        self, y: Float[Tensor, "n t e"], reading: Reading, state: State
    ) -> tuple[Float[Tensor, "n t l"], State]:
        """Return the features of each step, given the embedded token before it, and the last state."""
        c = reading.summary.repeat_interleave(y.size(0) // reading.summary.size(0), 0)
        step, states = self.cell.stepper(), []
        for now in (self.cell.gates(y) + self.context(c)[:, None]).unbind(2):
            state = step(now, state)
            states.append(state[0][0])
        return self.readout(torch.stack(states, 1), y, c[:, None]), state


class BahdanauDecoder(FixedContextDecoder):
    """Before each step the state looks back: c_i from s_{i-1}, then s_i = f(s_{i-1}, y_{i-1}, c_i).

    Bahdanau et al. 2015, section 3.1 and A.1.2; s_0 is made from the backward net's last state.
    """

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg)
        self.first = nn.Linear(cfg.d_encoder, cfg.d_decoder)
        self.score = AdditiveScore(cfg.d_decoder, 2 * cfg.d_encoder, cfg.d_attention)
        self.weigh = Weigh()

    def remember(self, annotations: Float[Tensor, "b s m"]) -> Float[Tensor, "b s a"]:
        """Return U h_j."""
        return self.score.remember(annotations)

    def begin(self, reading: Reading) -> State:
        """Return s_0 = tanh(W h_1), h_1 the backward state at the first token."""
        backward = reading.summary.chunk(2, -1)[1]
        return super().begin(reading._replace(summary=backward))

    def forward(
        self, y: Float[Tensor, "n t e"], reading: Reading, state: State
    ) -> tuple[Float[Tensor, "n t l"], State]:
        """Return the features of each step, given the embedded token before it, and the last state."""
        n_sources, step = reading.annotations.size(0), self.cell.stepper()
        states, contexts, mask = [], [], reading.mask[:, None]
        for now in self.cell.gates(y).unbind(2):
            scores = self.score(state[0][0].unflatten(0, (n_sources, -1)), reading.keys)
            c, _ = self.weigh(scores, reading.annotations, mask)
            c = c.flatten(0, 1)
            state = step(now + self.context(c), state)
            states.append(state[0][0])
            contexts.append(c)
        return self.readout(torch.stack(states, 1), y, torch.stack(contexts, 1)), state


class LuongDecoder(nn.Module):
    """All steps first, then all attention at once: Luong et al. 2015, eqs. 5 to 8."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        d_annotation = 2 * cfg.d_encoder
        self.first = nn.Linear(d_annotation, cfg.d_decoder)
        self.cell = CELLS[cfg.cell](cfg.d_embed, cfg.d_decoder)
        if cfg.attention == "concat":
            self.score = AdditiveScore(cfg.d_decoder, d_annotation, cfg.d_attention)
        else:
            self.score = DotScore() if cfg.attention == "dot" else GeneralScore(cfg.d_decoder, d_annotation)
        self.weigh = Weigh()
        self.join = nn.Linear(d_annotation + cfg.d_decoder, cfg.d_readout, bias=False)

    remember = BahdanauDecoder.remember
    begin = FixedContextDecoder.begin

    def forward(
        self, y: Float[Tensor, "n t e"], reading: Reading, state: State
    ) -> tuple[Float[Tensor, "n t l"], State]:
        """Return tanh(W [c_t; s_t]) for each step, and the last state."""
        step, states = self.cell.stepper(), []
        for now in self.cell.gates(y).unbind(2):
            state = step(now, state)
            states.append(state[0][0])
        s = torch.stack(states, 1)
        queries = s.unflatten(0, (reading.annotations.size(0), -1)).flatten(1, 2)
        c, _ = self.weigh(self.score(queries, reading.keys), reading.annotations, reading.mask[:, None])
        return self.join(torch.cat((c.reshape(*s.shape[:2], -1), s), -1)).tanh(), state


@dataclass(slots=True)
class Decoding:
    """An unfinished decode: the reading of each source, and the state of each row."""

    reading: Reading
    state: State

    def pick(self, rows: Int[Tensor, "n"], sources: Int[Tensor, "k"] | None = None) -> "Decoding":
        """Return the state of the chosen rows, of the chosen sources or of all."""
        reading = self.reading
        if sources is not None:
            reading = Reading(*(part.index_select(0, sources) for part in reading))
        return Decoding(reading, tuple(part.index_select(1, rows) for part in self.state))


class Seq2seq(EncoderDecoder):
    """A bidirectional encoder, one of three decoders, and a softmax over the target vocabulary."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.token = nn.Embedding(cfg.vocab_size, cfg.d_embed)
        self.target_token = nn.Embedding(cfg.target_vocab_size, cfg.d_embed)
        self.encoder = BidirectionalEncoder(CELLS[cfg.cell](cfg.d_embed, cfg.d_encoder, n_directions=2))
        decoders = {"none": FixedContextDecoder, "additive": BahdanauDecoder}
        self.decoder = decoders.get(cfg.attention, LuongDecoder)(cfg)
        self.head = nn.Linear(cfg.d_readout, cfg.target_vocab_size)
        self.drop = nn.Dropout(cfg.dropout)

    def read(self, source: Int[Tensor, "b s"], source_mask: Bool[Tensor, "b s"]) -> Reading:
        """Return all that the decoder keeps of the sources."""
        annotations, final = self.encoder(self.drop(self.token(source)), source_mask)
        return Reading(annotations, self.decoder.remember(annotations), source_mask, torch.cat(final.unbind(0), -1))

    def forward(
        self,
        source: Int[Tensor, "b s"],
        target: Int[Tensor, "b t"],
        source_mask: Bool[Tensor, "b s"],
        keep: Bool[Tensor, "b t"] | None = None,
    ) -> Float[Tensor, "*n v"]:
        """Return the logits (b, t, v) of the token after each prefix of `target` (teacher forcing).

        With `keep` only those of the prefixes it marks, (n, v).
        """
        reading = self.read(source, source_mask)
        y = self.drop(self.target_token(target))
        features = self.drop(self.decoder(y, reading, self.decoder.begin(reading))[0])
        return self.head(features if keep is None else features[keep])

    def start(self, source: Int[Tensor, "b s"], source_mask: Bool[Tensor, "b s"], *, beams: int, room: int) -> Decoding:
        """Read the sources once; return the state for `beams` hypotheses of each. A recurrent state needs no `room`."""
        reading = self.read(source, source_mask)
        return Decoding(reading, tuple(part.repeat_interleave(beams, 1) for part in self.decoder.begin(reading)))

    def step(self, ids: Int[Tensor, "n"], state: Decoding) -> Float[Tensor, "n v"]:
        """Append one token to each row of `state`, in place; return the logits of the next."""
        features, state.state = self.decoder(self.target_token(ids)[:, None], state.reading, state.state)
        return self.head(features[:, 0])


def maps(cfg: Config) -> tuple[MapSpec, ...]:
    """Return the attention maps of one pass: none, one built step by step (Bahdanau), or one at once (Luong)."""
    if cfg.attention == "none":
        return ()
    return (MapSpec(0, "cross", "target", "source", heads=1, steps=cfg.attention == "additive"),)


_TINY = Config(
    vocab_size=1000, target_vocab_size=1000, d_embed=64, d_encoder=48, d_decoder=128, d_attention=64, d_readout=64
)

SIZES = {
    "rnn-tiny": replace(_TINY, attention="none", d_decoder=132),
    "bahdanau-tiny": _TINY,
    "luong-tiny": replace(_TINY, attention="general", cell="lstm"),
    "rnnsearch-50": Config(vocab_size=30_000, target_vocab_size=30_000),
}

FAMILY = Family(name="seq2seq", config=Config, net=Seq2seq, sizes=SIZES, maps=maps)
