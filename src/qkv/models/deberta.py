"""DeBERTa-v2 and v3: what a token is and how far it stands apart are scored apart.

He et al. 2021 (https://arxiv.org/abs/2006.03654) and He et al. 2023 (https://arxiv.org/abs/2111.09543), whose v3 is the
same net, trained otherwise. Reference: transformers 5.23, `models/deberta_v2` (deberta_files.py). There the states of
padding are zero after the convolution; here, as everywhere, nobody reads them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from qkv.base.config import check_ranges, from_dict
from qkv.base.errors import ConfigError, ShapeError
from qkv.models.deberta_files import aliases, fit, from_hf, rules, to_hf
from qkv.models.family import Encoder, Family, Format, MapSpec, Published
from qkv.nn.attention import Attend, Attention
from qkv.nn.block import Block, Stack
from qkv.nn.heads import LabelHead, MaskedHead, first_of
from qkv.nn.linear import Linear, keep_rows
from qkv.nn.mlp import ACTIVATIONS, Mlp
from qkv.nn.table import TokenTable
from qkv.nn.where import EVERYWHERE, Where
from qkv.ops.buckets import by_key, log_buckets
from qkv.ops.masks import keys_mask


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """One encoder of texts.

    max_len: how long its texts were in training; longer ones are read, too. max_distance: from where on distances are
    one, max_len if None. n_buckets: how many rows far and near distances of one sign share; None gives each its own.
    content_to_position, position_to_content: which of the two scores there are. shared: distances are projected as
    tokens are, not by layers of their own. norm_relative: embedded distances pass a norm. conv_width: how many
    neighbours the first block's convolution reads. legacy_head: files name the masked head as BERT's do.
    dropout_head: that of "classify", `dropout` if None.
    """

    vocab_size: int = 128_100
    d_model: int = 768
    n_layers: int = 12
    n_heads: int = 12
    d_ff: int = 3072
    max_len: int = 512
    max_distance: int | None = None
    n_buckets: int | None = 256
    content_to_position: bool = True
    position_to_content: bool = True
    shared: bool = True
    norm_relative: bool = True
    conv_width: int | None = None
    conv_act: Literal["tanh", "gelu", "relu", "silu", "gelu_tanh"] = "tanh"
    act: Literal["gelu", "relu", "silu", "gelu_tanh"] = "gelu"
    eps: float = 1e-7
    dropout: float = 0.1
    dropout_attention: float = 0.1
    dropout_head: float | None = None
    head: Literal["mlm", "classify", "tag"] | None = None
    legacy_head: bool = False
    n_labels: int = 2
    pad_id: int = 0

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.d_model % self.n_heads:
            raise ConfigError(f"d_model ({self.d_model}) must be a multiple of n_heads ({self.n_heads}).")
        if not (self.content_to_position or self.position_to_content):
            raise ConfigError("Without content_to_position and position_to_content the net would not know any order.")
        least = 1 if self.n_buckets is None else self.n_buckets // 2 + 2
        if self.n_buckets == 1 or not least <= self.furthest <= 2**20:
            raise ConfigError(
                f"{self.n_buckets} n_buckets up to the distance {self.furthest}: there must be two or more, and the "
                f"distance from {least:,} to {2**20:,}."
            )
        if self.conv_width is not None and not (self.conv_width % 2 and 0 < self.conv_width < 1024):
            raise ConfigError(f"conv_width is {self.conv_width}; it must be odd, from 1 to 1,023.")

    @property
    def furthest(self) -> int:
        """From where on distances are one."""
        return self.max_len if self.max_distance is None else self.max_distance

    @property
    def n_rows(self) -> int:
        """How many rows the distances of one sign have."""
        return self.n_buckets or self.furthest


class DisentangledAttention(Attention):
    """Attention that also scores how far a key stands from a query: He et al. 2021, section 3.1, eq. 4.

    To q·k come q·k' and k·q', with k' and q' projected from the embedded distance of the two, by the layers of tokens
    if `shared`; all is divided by the root of d times the number of terms.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        *,
        content_to_position: bool,
        position_to_content: bool,
        shared: bool,
        dropout: float,
        dropout_attention: float,
    ) -> None:
        super().__init__(d_model, n_heads)
        self.content_to_position, self.position_to_content = content_to_position, position_to_content
        self.scale = (self.d_head * (1 + content_to_position + position_to_content)) ** -0.5
        self.attend = Attend(self.scale, dropout_attention)
        self.drop = nn.Dropout(dropout)
        if not shared:
            self.position = Linear(d_model, d_model * (content_to_position + position_to_content))

    def see(self, q: Float[Tensor, "b h t d"], k: Float[Tensor, "n g s d"], where: Where) -> Where:
        """Return `where` with the scores of distances as its bias, the mask inside."""
        if where.relative is None or where.lengths is not None:
            raise ShapeError("Disentangled attention reads `where.relative`, the embedded distances, and no `lengths`.")
        project = self.position if hasattr(self, "position") else self.qkv
        parts = project(self.drop(where.relative)[None]).split(self.sizes[0], -1)
        # with the tokens' layers come queries, keys and values; with their own, queries and keys, or the one there is
        queries, keys = (self._heads(part) * self.scale for part in (parts[0], parts[:2][-1]))
        scores = [by_key(q @ keys.flip(2).mT)] if self.content_to_position else []
        scores += [by_key(k @ queries.mT).mT] if self.position_to_content else []
        bias = reduce(torch.add, scores)
        if where.mask is not None:
            bias = bias.masked_fill_(~where.mask, float("-inf"))
        return where._replace(mask=None, bias=bias)

    def keep(self, heads: Sequence[int]) -> None:
        """Forget all heads but these, with their rows of the layers of distances."""
        if hasattr(self, "position"):
            places = torch.arange(self.position.out_features).view(-1, self.sizes[0] // self.d_head, self.d_head)
            keep_rows(self.position, places[:, sorted(heads)].flatten())
        super().keep(heads)


class ConvBlock(Block):
    """A block to whose result a convolution over its input is added: the first of DeBERTa-v2's large nets.

    As in the authors' code and model cards (https://github.com/microsoft/DeBERTa); the papers do not tell of it.
    """

    def __init__(
        self,
        d_model: int,
        attention: Attention,
        mlp: nn.Module,
        norm: Callable[[int], nn.Module],
        *,
        dropout: float,
        width: int,
        act: str,
    ) -> None:
        super().__init__(d_model, attention, mlp, norm, dropout=dropout)
        self.conv = nn.Conv1d(d_model, d_model, width, padding=width // 2)
        self.act, self.norm_conv = ACTIVATIONS[act], norm(d_model)

    def forward(self, x: Float[Tensor, "b t m"], where: Where = EVERYWHERE, *rest: Any) -> Float[Tensor, "b t m"]:
        """Return the stream after this block; padding in x is zero, as is what lies beyond a text's ends."""
        near = self.act(self.drop(self.conv(x.mT).mT))
        return self.norm_conv(super().forward(x, where, *rest) + near)


class Deberta(Encoder):
    """Token vectors, a norm, a post-norm stack that knows distances but no positions; the first token sums up."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg, d = cfg, cfg.d_model
        self.token = TokenTable(cfg.vocab_size, d, padding_idx=cfg.pad_id)
        self.relative = nn.Embedding(2 * cfg.n_rows, d)
        if cfg.norm_relative:
            self.norm_relative = nn.LayerNorm(d, eps=cfg.eps)
        self.norm, self.drop = nn.LayerNorm(d, eps=cfg.eps), nn.Dropout(cfg.dropout)
        self.stack = Stack([self._block(conv=cfg.conv_width is not None and i == 0) for i in range(cfg.n_layers)])
        if cfg.head == "mlm":
            self.head = MaskedHead(d, cfg.vocab_size, cfg.act, cfg.eps)
        elif cfg.head:
            act, dropout = ("gelu", cfg.dropout_head) if cfg.head == "classify" else (None, None)
            self.head = LabelHead(d, cfg.n_labels, act=act, dropout=cfg.dropout if dropout is None else dropout)
        self._draw_weights()

    def _block(self, *, conv: bool) -> Block:
        cfg = self.cfg
        attention = DisentangledAttention(
            cfg.d_model,
            cfg.n_heads,
            content_to_position=cfg.content_to_position,
            position_to_content=cfg.position_to_content,
            shared=cfg.shared,
            dropout=cfg.dropout,
            dropout_attention=cfg.dropout_attention,
        )
        kind = partial(ConvBlock, width=cfg.conv_width, act=cfg.conv_act) if conv else Block
        mlp, norm = Mlp(cfg.d_model, cfg.d_ff, cfg.act), partial(nn.LayerNorm, eps=cfg.eps)
        return kind(cfg.d_model, attention, mlp, norm, dropout=cfg.dropout)

    def _draw_weights(self) -> None:
        """N(0, 0.02) for products and tables, as BERT; biases and the padding's row are zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding | nn.Conv1d):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear | nn.Conv1d):
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # all of them have one
        nn.init.zeros_(self.token.weight[self.cfg.pad_id])

    def encode(
        self,
        ids: Int[Tensor, "b t"],
        mask: Bool[Tensor, "b t"] | None = None,
        segments: Int[Tensor, "b t"] | None = None,
    ) -> Float[Tensor, "b t m"]:
        """Return the state of every token; `segments` tell this net nothing."""
        x = self.norm(self.token(ids))
        if mask is not None:
            x = x * mask[..., None]
        where = Where(mask=None if mask is None else keys_mask(mask), relative=self.distances(ids.size(1), ids.device))
        return self.stack(self.drop(x), where)

    def distances(self, t: int, device: torch.device | None = None) -> Float[Tensor, "w m"]:
        """Return the embedded distances from -t to t, query less key; beyond the table's ends its last rows serve."""
        at, n = torch.arange(-t, t + 1, device=device), self.cfg.n_rows
        if self.cfg.n_buckets:
            at = log_buckets(at, self.cfg.n_buckets, self.cfg.furthest)
        x = self.relative((at + n).clamp(0, 2 * n - 1))
        return self.norm_relative(x) if self.cfg.norm_relative else x

    def summary(self, states: Float[Tensor, "b t m"], mask: Bool[Tensor, "b t"] | None = None) -> Float[Tensor, "b m"]:
        """Return one vector per text: the state of its first token."""
        return first_of(states, mask)

    def forward(
        self,
        ids: Int[Tensor, "b t"],
        mask: Bool[Tensor, "b t"] | None = None,
        segments: Int[Tensor, "b t"] | None = None,
        keep: Bool[Tensor, "b t"] | None = None,
    ) -> Float[Tensor, "*n k"]:
        """Return what the head says: token logits, all or those that `keep` marks; label logits; else states."""
        x = self.encode(ids, mask, segments)
        if self.cfg.head == "classify":
            return self.head(self.summary(x, mask))
        x = x if keep is None else x[keep]
        if self.cfg.head == "mlm":
            return self.head(x, self.token.logits)
        return self.head(x) if self.cfg.head else x


def maps(cfg: Config) -> tuple[MapSpec, ...]:
    """Return the attention maps of one pass, in call order."""
    return tuple(MapSpec(i, "self", "text", "text", cfg.n_heads) for i in range(cfg.n_layers))


_BASE = Config()
_XLARGE = replace(_BASE, d_model=1536, n_layers=24, n_heads=24, d_ff=6144, conv_width=3, conv_act="gelu")

SIZES = {
    "deberta-v3-base": _BASE,
    "deberta-v3-xsmall": replace(_BASE, d_model=384, n_heads=6, d_ff=1536),
    "deberta-v3-small": replace(_BASE, n_layers=6),
    "deberta-v3-large": replace(_BASE, d_model=1024, n_layers=24, n_heads=16, d_ff=4096),
    "mdeberta-v3-base": replace(_BASE, vocab_size=251_000),
    "deberta-v2-xlarge": _XLARGE,
    "deberta-v2-xxlarge": replace(_XLARGE, n_layers=48),
}

_CARD = "model card"
PUBLISHED = {
    "deberta-v3-base": Published(184e6, _CARD, "the card says 86M and 98M for tokens"),
    "deberta-v3-xsmall": Published(70e6, _CARD, "the card says 22M and 48M for tokens, rounded down"),
    "deberta-v3-small": Published(142e6, _CARD, "the card says 44M and 98M for tokens"),
    "deberta-v3-large": Published(435e6, _CARD, "the card says 304M and 131M for tokens"),
    "mdeberta-v3-base": Published(276e6, _CARD, "the card says 86M and 190M for tokens"),
    "deberta-v2-xlarge": Published(900e6, _CARD, "the card rounds"),
    "deberta-v2-xxlarge": Published(1.5e9, _CARD, "the card rounds"),
}

HF = Format(
    names=("deberta-v2",),
    read_config=lambda config: from_dict(Config, from_hf(config), "config.json"),
    write_config=to_hf,
    rules=rules,
    fit=fit,
    aliases=aliases,
)

FAMILY = Family(
    name="deberta", config=Config, net=Deberta, sizes=SIZES, maps=maps, formats={"hf": HF}, published=PUBLISHED
)
