"""Llama 2 (Touvron et al. 2023, https://arxiv.org/abs/2307.09288) and Llama 3, 3.1 and 3.2 (Dubey et al. 2024).

https://arxiv.org/abs/2407.21783. A decoder with root-mean-square norms (Zhang and Sennrich 2019,
https://arxiv.org/abs/1910.07467), gated MLPs, rotary positions, grouped queries and no biases. Reference: transformers
5.23, `models/llama` (llama_files.py).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from qkv.base.config import check_ranges, from_dict
from qkv.base.errors import ConfigError
from qkv.models.decoding import Rotary, TextDecoder, draw_weights, make_head, make_table
from qkv.models.family import Family, Format, MapSpec, Published
from qkv.models.llama_files import aliases, fit, from_hf, rules, to_hf
from qkv.nn.attention import Attention
from qkv.nn.block import Block, Stack
from qkv.nn.mlp import GatedMlp
from qkv.ops.rotary import Stretch, rotary_frequencies, rotary_table


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """One decoder of texts.

    theta: the base of the rotary wavelengths. stretch: `ops.rotary.Stretch` of Llama 3.1 and later. tied: the token
    table also scores the next token. head: "lm" does that, "classify" labels the text, "tag" each token; dropout_head
    is that of "tag". end_ids: the tokens that end a text.
    """

    vocab_size: int = 32000
    d_model: int = 4096
    n_layers: int = 32
    n_heads: int = 32
    n_kv_heads: int = 32
    d_head: int | None = None
    d_ff: int = 11008
    max_len: int = 4096
    theta: float = 10000.0
    stretch: tuple[float, float, float, int] | None = None
    tied: bool = False
    act: Literal["silu", "gelu", "gelu_tanh", "relu"] = "silu"
    eps: float = 1e-5
    dropout_attention: float = 0.0
    dropout_head: float = 0.1
    head: Literal["lm", "classify", "tag"] | None = "lm"
    n_labels: int = 2
    start_id: int | None = None
    end_ids: tuple[int, ...] = ()
    pad_id: int | None = None

    def __post_init__(self) -> None:
        check_ranges(self)
        for whole, parts in (("d_model", "n_heads"), ("n_heads", "n_kv_heads")):
            if getattr(self, whole) % getattr(self, parts):
                raise ConfigError(
                    f"{whole} ({getattr(self, whole)}) must be a multiple of {parts} ({getattr(self, parts)})."
                )
        if self.head_width % 2:
            raise ConfigError(f"d_head is {self.head_width}; it must be even, since columns turn in pairs.")
        factor, low, high, old = self.stretch or (1.0, 1.0, 4.0, 1)
        if not all(0 < x < 1e30 for x in (self.theta, factor, low, high - low, old)):
            raise ConfigError(
                f"theta {self.theta} and stretch {self.stretch} must be positive and finite, and `high` above `low`."
            )

    @property
    def head_width(self) -> int:
        """The columns of a head: d_head, or an equal share of d_model."""
        return self.d_head or self.d_model // self.n_heads


class Llama(TextDecoder):
    """Token vectors, a causal stack whose queries and keys turn with their positions, and scores of the next token."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg, norm = cfg, partial(nn.RMSNorm, eps=cfg.eps)
        self.token = make_table(cfg, tied=cfg.tied)
        blocks = [
            Block(
                cfg.d_model,
                Attention(
                    cfg.d_model,
                    cfg.n_heads,
                    n_kv_heads=cfg.n_kv_heads,
                    d_head=cfg.d_head,
                    bias=False,
                    dropout=cfg.dropout_attention,
                ),
                GatedMlp(cfg.d_model, cfg.d_ff, cfg.act),
                norm,
                pre_norm=True,
            )
            for _ in range(cfg.n_layers)
        ]
        self.stack = Stack(blocks, norm(cfg.d_model))
        self.head = make_head(cfg, tied=cfg.tied)
        with torch.device("cpu"):  # no buffer: these few numbers stay in fp32, whatever type the net is turned into
            self.frequencies = rotary_frequencies(cfg.head_width, cfg.theta, cfg.stretch and Stretch(*cfg.stretch))
        draw_weights(self)

    def embed(self, ids: Int[Tensor, "b t"], at: Int[Tensor, "#b t"]) -> Float[Tensor, "b t m"]:
        """Return the vectors of tokens; their positions come in where they turn."""
        return self.token(ids)

    def rotary(self, at: Int[Tensor, "#b t"], like: Tensor) -> Rotary:
        """Return cosines and sines for these positions, the same for all heads."""
        cos, sin = rotary_table(at[:, None], self.frequencies.to(at.device))
        return cos.to(like.dtype), sin.to(like.dtype)


def maps(cfg: Config) -> tuple[MapSpec, ...]:
    """Return the attention maps of one pass, in call order."""
    shared = cfg.n_kv_heads if cfg.n_kv_heads < cfg.n_heads else None
    return tuple(MapSpec(i, "self", "text", "text", cfg.n_heads, kv_heads=shared) for i in range(cfg.n_layers))


_7B = Config()
_70B = replace(_7B, d_model=8192, n_layers=80, n_heads=64, n_kv_heads=8, d_ff=28672)
_THREE = {"vocab_size": 128_256, "theta": 500_000.0}
_LONG = _THREE | {"max_len": 131_072, "stretch": (8.0, 1.0, 4.0, 8192)}
_3_8B = replace(_7B, n_kv_heads=8, d_ff=14336, max_len=8192, **_THREE)
_3_2 = _LONG | {"n_kv_heads": 8, "d_ff": 8192, "stretch": (32.0, 1.0, 4.0, 8192), "tied": True}

SIZES = {
    "llama-tiny": replace(
        _7B, vocab_size=2048, d_model=192, n_layers=6, n_heads=6, n_kv_heads=2, d_ff=512, max_len=256, tied=True
    ),
    "llama-2-7b": _7B,
    "llama-2-13b": replace(_7B, d_model=5120, n_layers=40, n_heads=40, n_kv_heads=40, d_ff=13824),
    "llama-2-70b": _70B,
    "llama-3-8b": _3_8B,
    "llama-3-70b": replace(_70B, max_len=8192, **_THREE),
    "llama-3.1-8b": replace(_3_8B, **_LONG),
    "llama-3.1-70b": replace(_70B, **_LONG),
    "llama-3.1-405b": replace(_70B, d_model=16384, n_layers=126, n_heads=128, d_ff=53248, **_LONG),
    "llama-3.2-1b": replace(_7B, d_model=2048, n_layers=16, **_3_2),
    "llama-3.2-3b": replace(_7B, d_model=3072, n_layers=28, n_heads=24, **_3_2),
}

_TWO, _HERD, _CARD = "Touvron et al. 2023, table 1", "Dubey et al. 2024, table 1", "model card of Llama 3.2"
PUBLISHED = {
    "llama-2-7b": Published(7e9, _TWO, "the paper rounds"),
    "llama-2-13b": Published(13e9, _TWO, "the paper rounds"),
    "llama-2-70b": Published(70e9, _TWO, "the paper rounds 69.0B up"),
    "llama-3-8b": Published(8e9, _HERD, "the paper rounds"),
    "llama-3-70b": Published(70e9, _HERD, "the paper rounds"),
    "llama-3.1-8b": Published(8e9, _HERD, "the paper rounds"),
    "llama-3.1-70b": Published(70e9, _HERD, "the paper rounds"),
    "llama-3.1-405b": Published(405e9, _HERD, "the paper rounds"),
    "llama-3.2-1b": Published(1.23e9, _CARD, "the card rounds 1.236B down"),
    "llama-3.2-3b": Published(3.21e9, _CARD, "the card rounds"),
}

HF = Format(
    names=("llama",),
    read_config=lambda config: from_dict(Config, from_hf(config), "config.json"),
    write_config=to_hf,
    rules=rules,
    fit=fit,
    aliases=aliases,
)

FAMILY = Family(name="llama", config=Config, net=Llama, sizes=SIZES, maps=maps, formats={"hf": HF}, published=PUBLISHED)
