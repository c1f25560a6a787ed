"""The Transformer: an encoder and a decoder of attention and MLPs (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762).

Reference: MarianMTModel of transformers 5.23 (`models/marian/modeling_marian.py`), whose files are read and written
(transformer_files.py). Pre norm, other positions and separate embeddings are options of the same net.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from qkv.base.config import check_ranges, from_dict
from qkv.base.errors import ConfigError, ShapeError
from qkv.models.family import EncoderDecoder, Family, Format, MapSpec
from qkv.models.transformer_files import ALIASES, from_hf, generation_to_hf, rules, to_hf
from qkv.nn.attention import Attention
from qkv.nn.block import Block, Stack
from qkv.nn.cache import BlockCache, keep, make_room, pick
from qkv.nn.embed import make_positions
from qkv.nn.mlp import Mlp
from qkv.nn.table import TokenTable
from qkv.nn.where import Where
from qkv.ops.masks import keys_mask, reach_mask


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """One encoder-decoder Transformer.

    tie: which tables are one: "all" (source, target, output; one vocabulary), "output" (target and output), "none".
    """

    vocab_size: int
    target_vocab_size: int | None = None
    d_model: int = 512
    n_layers: int = 6
    n_decoder_layers: int = 6
    n_heads: int = 8
    d_ff: int = 2048
    act: Literal["relu", "gelu", "silu"] = "relu"
    positions: Literal["interleaved", "halves", "tensor2tensor", "learned", "concatenated"] = "interleaved"
    max_len: int = 1024
    pre_norm: bool = False
    tie: Literal["all", "output", "none"] = "all"
    scale_embed: bool = True
    logits_bias: bool = False
    eps: float = 1e-5
    dropout: float = 0.1
    dropout_attention: float = 0.0
    dropout_mlp: float = 0.0
    pad_id: int = 0
    start_id: int = 2
    end_id: int = 3

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.d_model % self.n_heads or self.d_model % 2:
            raise ConfigError(f"d_model ({self.d_model}) must be even and a multiple of n_heads ({self.n_heads}).")
        if self.tie == "all" and self.target_vocab_size not in (None, self.vocab_size):
            raise ConfigError(
                f'tie "all" wants one vocabulary, but vocab_size is {self.vocab_size} and target_vocab_size '
                f'{self.target_vocab_size}; use tie "output".'
            )


@dataclass(slots=True)
class Decoding:
    """An unfinished decode: keys and values of the sources and of the past, and how many tokens were written."""

    caches: list[BlockCache]
    source_mask: Bool[Tensor, "b s"]
    written: int = 0

    def pick(self, rows: Int[Tensor, "n"], sources: Int[Tensor, "k"] | None = None) -> "Decoding":
        """Return the state of the chosen rows, of the chosen sources or of all; the old state is used up."""
        mask, caches = self.source_mask, self.caches
        if sources is not None:
            mask = mask.index_select(0, sources)
            caches = [cache._replace(source=pick(cache.source, sources)) for cache in caches]  # type: ignore[arg-type]
        caches = [cache._replace(past=pick(cache.past, rows, self.written)) for cache in caches]
        return Decoding(caches, mask, self.written)


class Transformer(EncoderDecoder):
    """Embeddings, an encoder stack, a decoder stack that also looks at the encoder, logits from the token table."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        n_target = cfg.target_vocab_size or cfg.vocab_size
        self.token = self._table(cfg.vocab_size, scores=cfg.tie == "all")
        if cfg.tie != "all":
            self.target_token = self._table(n_target, scores=cfg.tie == "output")
        if cfg.tie == "none":
            self.head = nn.Linear(cfg.d_model, n_target, bias=False)
        if cfg.logits_bias:
            self.logits_bias = nn.Buffer(torch.zeros(1, n_target))
        self.positions = make_positions(cfg.positions, cfg.max_len, cfg.d_model)
        self.encoder = self._stack(cfg.n_layers, crosses=False)
        self.decoder = self._stack(cfg.n_decoder_layers, crosses=True)
        self.drop = nn.Dropout(cfg.dropout)
        self._draw_weights()

    def _table(self, n_tokens: int, *, scores: bool) -> nn.Embedding:
        kind = TokenTable if scores else nn.Embedding
        return kind(n_tokens, self.cfg.d_model, padding_idx=self.cfg.pad_id)

    def _stack(self, n_layers: int, *, crosses: bool) -> Stack:
        cfg, norm = self.cfg, partial(nn.LayerNorm, eps=self.cfg.eps)
        attention = partial(Attention, cfg.d_model, cfg.n_heads, dropout=cfg.dropout_attention)
        blocks = [
            Block(
                cfg.d_model,
                attention(),
                Mlp(cfg.d_model, cfg.d_ff, cfg.act, dropout=cfg.dropout_mlp),
                norm,
                cross=attention(d_memory=cfg.d_model) if crosses else None,
                pre_norm=cfg.pre_norm,
                dropout=cfg.dropout,
            )
            for _ in range(n_layers)
        ]
        return Stack(blocks, norm(cfg.d_model) if cfg.pre_norm else None)

    def _draw_weights(self) -> None:
        """Xavier for products, N(0, 1/d) for tables, as tensor2tensor does; biases and the padding's row are zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
                if module.padding_idx is not None:
                    nn.init.zeros_(module.weight[module.padding_idx])

    def encode(self, source: Int[Tensor, "b s"], source_mask: Bool[Tensor, "b s"]) -> Float[Tensor, "b s m"]:
        """Return the encoder's states; positions count real tokens, wherever the padding lies."""
        at = (source_mask.long().cumsum(-1) - 1).clamp(min=0)
        return self.encoder(self._embed(self.token, source, at), Where(mask=keys_mask(source_mask)))

    def forward(
        self,
        source: Int[Tensor, "b s"],
        target: Int[Tensor, "b t"],
        source_mask: Bool[Tensor, "b s"],
        keep: Bool[Tensor, "b t"] | None = None,
    ) -> Float[Tensor, "*n v"]:
        """Return the logits (b, t, v) of the token after each prefix of `target` (teacher forcing).

        With `keep` only those of the prefixes it marks, (n, v): padding has no logits to be computed.
        """
        memory = self.encode(source, source_mask)
        at = torch.arange(target.size(1), device=target.device)[None]
        x = self._embed(self._target_table(), target, at)
        x = self.decoder(x, Where(causal=True), memory, Where(mask=keys_mask(source_mask)))
        return self._logits(x if keep is None else x[keep])

    def start(self, source: Int[Tensor, "b s"], source_mask: Bool[Tensor, "b s"], *, beams: int, room: int) -> Decoding:
        """Read the sources once; return the state for `beams` hypotheses of each, of up to `room` tokens."""
        if room > self.cfg.max_len:
            raise ShapeError(
                f"Output may have {room} tokens; this model has {self.cfg.max_len} positions. Ask for fewer."
            )
        memory, rows = self.encode(source, source_mask), source.size(0) * beams
        keys = [keep(block.cross.remember(memory)) for block in self.decoder]
        return Decoding([BlockCache(make_room(key, rows, room), key) for key in keys], source_mask)

    def step(self, ids: Int[Tensor, "n"], state: Decoding) -> Float[Tensor, "n v"]:
        """Append one token to each row of `state`, in place; return the logits of the next."""
        at = torch.full((1,), state.written, device=ids.device)
        state.written += 1
        where = Where(mask=reach_mask(at, state.written), at=at)
        x = self._embed(self._target_table(), ids[:, None], at[None])
        x = self.decoder(x, where, None, Where(mask=keys_mask(state.source_mask)), state.caches)
        return self._logits(x[:, 0])

    def _embed(self, table: nn.Module, ids: Int[Tensor, "b t"], at: Int[Tensor, "#b t"]) -> Float[Tensor, "b t m"]:
        if ids.size(1) > self.cfg.max_len:
            raise ShapeError(
                f"Input has {ids.size(1)} tokens; this model has {self.cfg.max_len} positions. Shorten or split it."
            )
        x = table(ids)
        return self.drop(self.positions(x * self.cfg.d_model**0.5 if self.cfg.scale_embed else x, at))

    def _target_table(self) -> Any:
        return self.token if self.cfg.tie == "all" else self.target_token

    def _logits(self, x: Float[Tensor, "*b m"]) -> Float[Tensor, "*b v"]:
        bias = self.logits_bias.squeeze(0) if self.cfg.logits_bias else None
        if self.cfg.tie != "none":
            return self._target_table().logits(x, bias)
        return self.head(x) if bias is None else self.head(x) + bias


def maps(cfg: Config) -> tuple[MapSpec, ...]:
    """Return the attention maps of one pass, in call order."""
    encoder = [MapSpec(i, "self", "source", "source", cfg.n_heads) for i in range(cfg.n_layers)]
    decoder = [
        spec
        for i in range(cfg.n_decoder_layers)
        for spec in (
            MapSpec(i, "self", "target", "target", cfg.n_heads),
            MapSpec(i, "cross", "target", "source", cfg.n_heads),
        )
    ]
    return (*encoder, *decoder)


_BASE = Config(vocab_size=37_000)

SIZES = {
    "transformer-tiny": replace(
        _BASE, vocab_size=1000, d_model=96, n_layers=2, n_decoder_layers=2, n_heads=4, d_ff=256, max_len=512
    ),
    "transformer-base": _BASE,
    "transformer-big": replace(_BASE, d_model=1024, n_heads=16, d_ff=4096, dropout=0.3),
}

HF = Format(
    names=("marian",),
    read_config=lambda config: from_dict(Config, from_hf(config), "config.json"),
    write_generation=generation_to_hf,
    write_config=to_hf,
    rules=rules,
    aliases=lambda cfg: ALIASES,
)

FAMILY = Family(name="transformer", config=Config, net=Transformer, sizes=SIZES, maps=maps, formats={"hf": HF})
