"""What decoders of text share: a pass over whole texts, prompts read into a cache, and one more token at a time.

A family says how tokens enter the stack (`embed`) and by which angles queries and keys turn (`rotary`), if they do.
Positions count real tokens, wherever the padding lies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from qkv.base.errors import ShapeError, UnsupportedError
from qkv.models.family import Decoder
from qkv.nn.block import Block, Stack
from qkv.nn.cache import BlockCache, KeyValue, make_room, pick
from qkv.nn.heads import LabelHead
from qkv.nn.linear import Linear
from qkv.nn.table import TokenTable, check_ids
from qkv.nn.where import Where
from qkv.ops.masks import keys_mask, reach_mask

Rotary = tuple[Float[Tensor, "*#bh t d"], Float[Tensor, "*#bh t d"]]


@dataclass(slots=True)
class Decoding:
    """An unfinished decode.

    caches: keys and values of every block, with room for what is still to come. mask: which places of that room hold,
    or will hold, real tokens. written: how many places are taken. lengths: how many real tokens each row has.
    """

    caches: list[BlockCache]
    mask: Bool[Tensor, "b n"]
    written: int
    lengths: Int[Tensor, "b"]

    def pick(self, rows: Int[Tensor, "n"], sources: Int[Tensor, "k"] | None = None) -> "Decoding":
        """Return the state of the chosen rows, which hold their prompts too; the old state is used up."""
        caches = [BlockCache(pick(cache.past, rows, self.written)) for cache in self.caches]
        return Decoding(caches, self.mask.index_select(0, rows), self.written, self.lengths.index_select(0, rows))

    def spread(self, beams: int) -> "Decoding":
        """Return the state of `beams` copies of each row, beside each other."""
        rows = torch.arange(self.mask.size(0), device=self.mask.device).repeat_interleave(beams)
        caches = [BlockCache(pick(cache.past, rows)) for cache in self.caches]
        return Decoding(caches, self.mask[rows], self.written, self.lengths[rows])


class TextDecoder(Decoder):
    """A stack in which no token sees a later one, and what is said of its states.

    embed(ids (b, t), at (#b, t)): what enters the stack for tokens at these positions, (b, t, m).
    Its configuration names `vocab_size`, `max_len`, and `head`: "lm" scores the next token, "classify" labels the text
    by its last token, "tag" labels each token; None gives the states.
    """

    token: nn.Embedding
    stack: Stack
    head: nn.Module | None
    embed: Callable[[Tensor, Tensor], Tensor]

    def rotary(self, at: Int[Tensor, "#b t"], like: Tensor) -> Rotary | None:
        """Return cosines and sines for these positions, of the type of `like`; None where nothing turns."""
        return None

    def encode(self, ids: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"] | None = None) -> Float[Tensor, "b t m"]:
        """Return the state of every token."""
        self._check(ids, "Input has")
        at = torch.arange(ids.size(1), device=ids.device)[None] if mask is None else count(mask)
        return self._run(self.embed(ids, at), at, look_back(mask))

    def summary(self, states: Float[Tensor, "b t m"], mask: Bool[Tensor, "b t"] | None = None) -> Float[Tensor, "b m"]:
        """Return one vector per text: that of its last real token, the only one that saw the whole."""
        if mask is None:
            return states[:, -1]
        last = mask.size(1) - 1 - mask.flip(1).long().argmax(1)
        return states[torch.arange(states.size(0), device=states.device), last]

    def forward(
        self,
        ids: Int[Tensor, "b t"],
        mask: Bool[Tensor, "b t"] | None = None,
        keep: Bool[Tensor, "b t"] | None = None,
    ) -> Float[Tensor, "*n k"]:
        """Return what the head says: logits of the token after each, or after those that `keep` marks; label logits."""
        x = self.encode(ids, mask)
        if self.cfg.head == "classify":
            return self._say(self.summary(x, mask))
        x = x if keep is None else x[keep]
        return x if self.cfg.head is None else self._say(x)

    def begin(
        self,
        ids: Int[Tensor, "b t"],
        mask: Bool[Tensor, "b t"] | None = None,
        *,
        beams: int = 1,
        room: int,
        chunk: int | None = None,
    ) -> tuple[Float[Tensor, "n v"], Decoding]:
        """Read prompts, padded on the left; return the logits of the token after each, and the state behind them.

        beams: how many hypotheses of each, beside each other. room: how many tokens may be appended. chunk: read so
        many tokens at a time, so that a long prompt takes less memory.
        """
        if self.cfg.head != "lm":
            raise UnsupportedError(f'This net has head "{self.cfg.head}" and writes no text. Load it with head "lm".')
        self._check(ids, "Prompt and output may have", room)
        mask = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
        if not bool(mask[:, -1:].any(1).all()):
            raise ShapeError("A prompt is empty or padded on the right. Give it text, and pad prompts on the left.")
        n, at, padded = ids.size(1), count(mask), not bool(mask.all())
        x = self.embed(ids, at)
        caches = [_make_room(block, x, n + room) for block in self.stack]
        for part in torch.arange(n, device=ids.device).split(chunk or n):
            first, end = int(part[0]), int(part[-1]) + 1
            where = Where(at=part, causal=True)
            if first or padded:
                where = Where(at=part, mask=reach_mask(part, end) & keys_mask(mask[:, :end]))
            states = self._run(x[:, first:end], at[:, first:end], where, caches)
        state = Decoding(caches, torch.cat((mask, mask.new_ones(mask.size(0), room)), 1), n, mask.sum(1))
        logits = self._say(states[:, -1])
        return (logits, state) if beams == 1 else (logits.repeat_interleave(beams, 0), state.spread(beams))

    def step(self, ids: Int[Tensor, "n"], state: Decoding) -> Float[Tensor, "n v"]:
        """Append one token to each row of `state`, in place; return the logits of the next."""
        place, at = torch.full((1,), state.written, device=ids.device), state.lengths[:, None]
        state.written, state.lengths = state.written + 1, state.lengths + 1
        where = Where(at=place, mask=keys_mask(state.mask[:, : state.written]))
        return self._say(self._run(self.embed(ids[:, None], at), at, where, state.caches)[:, 0])

    def _run(self, x: Tensor, at: Tensor, where: Where, caches: list[BlockCache] | None = None) -> Tensor:
        return self.stack(x, where._replace(rotary=self.rotary(at, x)), caches=caches)

    def _say(self, x: Float[Tensor, "*b m"]) -> Float[Tensor, "*b k"]:
        return self.token.logits(x) if self.head is None else self.head(x)  # type: ignore[operator]

    def _check(self, ids: Tensor, what: str, room: int = 0) -> None:
        if (n := ids.size(1) + room) > self.cfg.max_len:
            raise ShapeError(f"{what} {n} tokens; this model has {self.cfg.max_len} positions. Shorten or split it.")
        check_ids(ids, self.cfg.vocab_size)


def count(mask: Bool[Tensor, "b t"]) -> Int[Tensor, "b t"]:
    """Return the position of each real token among those of its row; padding before the first has 0."""
    return (mask.long().cumsum(-1) - 1).clamp(min=0)


def look_back(mask: Bool[Tensor, "b t"] | None) -> Where:
    """Let each token see itself and the real tokens before it.

    Padding on the right needs no mask, since no real token looks there: the fused causal path is twice as fast.
    """
    if mask is None or not bool((mask[:, 1:] & ~mask[:, :-1]).any()):
        return Where(causal=True)
    places = torch.arange(mask.size(1), device=mask.device)
    return Where(mask=reach_mask(places, mask.size(1)) & keys_mask(mask))


def make_head(cfg: Any, *, tied: bool) -> nn.Module | None:
    """Return what sits on the stack; None where the states are the answer, or the token table scores them."""
    if cfg.head == "classify":
        return LabelHead(cfg.d_model, cfg.n_labels, bias=False)
    if cfg.head == "tag":
        return LabelHead(cfg.d_model, cfg.n_labels, dropout=cfg.dropout_head)
    return None if tied or cfg.head is None else Linear(cfg.d_model, cfg.vocab_size, bias=False)


def make_table(cfg: Any, *, tied: bool) -> nn.Embedding:
    """Return the token vectors, which also score the next token if they are tied to the head."""
    return (TokenTable if tied and cfg.head == "lm" else nn.Embedding)(cfg.vocab_size, cfg.d_model)


def draw_weights(net: TextDecoder) -> None:
    """N(0, 0.02) for products and tables, biases zero; 0.02 / sqrt(2 n) for the last products of n pre-norm blocks.

    Radford et al. 2018, section 4.1, and 2019, section 2.3: what the stream gathers over the layers stays small.
    """
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    for block in net.stack:
        if block.pre_norm:
            for last in (block.attention.out, block.mlp.down):
                nn.init.normal_(last.weight, std=0.02 / (2 * len(net.stack.blocks)) ** 0.5)  # type: ignore[arg-type]


def _make_room(block: Block, x: Tensor, places: int) -> BlockCache:
    """Return an empty cache for the keys and values that a block makes of x."""
    d = block.attention.d_head
    like = x.new_empty(x.size(0), block.attention.sizes[1] // d, 0, d)
    return BlockCache(make_room(KeyValue(like, like), x.size(0), places))
