"""ViT (Dosovitskiy et al. 2021, https://arxiv.org/abs/2010.11929): a Transformer encoder over the patches of a picture.

DeiT (Touvron et al. 2021, https://arxiv.org/abs/2012.12877) adds a token and a head that learn from a teacher, DINO
(Caron et al. 2021, https://arxiv.org/abs/2104.14294) nothing, DINOv2 (Oquab et al. 2023,
https://arxiv.org/abs/2304.07193) layer scale, and registers (Darcet et al. 2024, https://arxiv.org/abs/2309.16588).
References: transformers 5.23, `models/vit`, `deit`, `dinov2`, `dinov2_with_registers` (vit_files.py), and timm 1.0.31,
`models/vision_transformer.py`, `deit.py` (vit_timm.py).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qkv.base.config import check_ranges, from_dict
from qkv.base.errors import ConfigError
from qkv.models.family import Family, Format, MapSpec, PictureNet, Published
from qkv.models.vit_files import LAYOUTS, WIDTHS, fit, from_hf, rules, to_hf
from qkv.models.vit_timm import ARCHITECTURES, fit_timm, from_timm, rules_timm, to_timm
from qkv.nn.attention import Attention
from qkv.nn.block import Block, Stack
from qkv.nn.cache import BlockCache
from qkv.nn.drop_path import rising
from qkv.nn.heads import LabelHead
from qkv.nn.linear import Linear
from qkv.nn.mlp import GatedMlp, Mlp
from qkv.nn.patches import Patches
from qkv.nn.where import EVERYWHERE, Where
from qkv.ops.resize import resize_table


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """One encoder of pictures.

    picture_size: height and width in pixels that positions are for; `patch` is the side of a patch. n_class: tokens
    that stand for the whole picture; DeiT has two, for the labels and for its teacher's. n_registers: tokens that
    nothing reads. place_class: class tokens have positions, as patches do; registers never. antialias: how positions
    are resized. layer_scale: the first value of a factor on what each sublayer adds, if there is one. mask_token: the
    file has the vector of a hidden patch, which no pass here reads. pooler: a layer over the first token. reads: what
    the head reads, the first token, the mean of the patches, both, or "each" class token by a head of its own.
    norm_late: the last norm falls on what is read, not on all states. dropout_path: stochastic depth of the last
    layer, rising from none in the first. layout: whose transformers files hold it.
    """

    picture_size: tuple[int, int] = (224, 224)
    patch: int = 16
    n_channels: int = 3
    d_model: int = 768
    n_layers: int = 12
    n_heads: int = 12
    d_ff: int = 3072
    act: Literal["gelu", "silu", "relu", "gelu_tanh"] = "gelu"
    gated: bool = False
    qkv_bias: bool = True
    eps: float = 1e-12
    n_class: int = 1
    n_registers: int = 0
    place_class: bool = True
    antialias: bool = False
    layer_scale: float | None = None
    mask_token: bool = False
    dropout: float = 0.0
    dropout_attention: float = 0.0
    dropout_path: float = 0.0
    pooler: bool = False
    head: Literal["classify"] | None = "classify"
    n_labels: int = 1000
    reads: Literal["first", "mean", "first_and_mean", "each"] = "first"
    norm_late: bool = False
    layout: Literal["vit", "deit", "dinov2", "dinov2_with_registers"] = "vit"

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.d_model % self.n_heads:
            raise ConfigError(f"d_model ({self.d_model}) must be a multiple of n_heads ({self.n_heads}).")
        height, width = self.picture_size
        if self.patch < 1 or any(side < 1 or side % self.patch for side in (height, width)):
            raise ConfigError(
                f"picture_size is {height} x {width}; both must be multiples of patch ({self.patch}), one at least."
            )
        if max(height, width) // self.patch > 1024:
            raise ConfigError(
                f"picture_size is {height} x {width}; patches of {self.patch} make more than 1,024 a side."
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return self.picture_size[0] // self.patch, self.picture_size[1] // self.patch


class ScaledBlock(Block):
    """A pre-norm block with a learned factor on each number that a sublayer adds: Touvron et al. 2021, eq. 4.

    Layer scale, https://arxiv.org/abs/2103.17239.
    """

    def __init__(self, d_model: int, *rest: object, scale: float, **options: object) -> None:
        super().__init__(d_model, *rest, **options)  # type: ignore[arg-type]
        self.scale_attention = nn.Parameter(torch.full((d_model,), scale))
        self.scale_mlp = nn.Parameter(torch.full((d_model,), scale))

    def forward(
        self,
        x: Float[Tensor, "b t m"],
        where: Where = EVERYWHERE,
        memory: None = None,
        memory_where: Where = EVERYWHERE,
        cache: BlockCache | None = None,
    ) -> Float[Tensor, "b t m"]:
        """Return the stream after this block."""
        x = x + self.drop(self.attention(self.norm_attention(x), where)) * self.scale_attention
        return x + self.drop(self.mlp(self.norm_mlp(x))) * self.scale_mlp


class Vit(PictureNet):
    """Patches and positions, class tokens before them, a pre-norm stack; a head on what stands for the picture."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg, d = cfg, cfg.d_model
        self.patches = Patches(cfg.n_channels, d, cfg.patch)
        self.prefix = nn.Parameter(torch.empty(1, cfg.n_class, d))
        if cfg.n_registers:
            self.registers = nn.Parameter(torch.empty(1, cfg.n_registers, d))
        if cfg.mask_token:
            self.mask = nn.Buffer(torch.zeros(1, d))
        rows, columns = cfg.grid
        self.position = nn.Parameter(torch.empty(1, self.n_placed + rows * columns, d))
        self.drop = nn.Dropout(cfg.dropout)
        norm = partial(nn.LayerNorm, eps=cfg.eps)
        rates = rising(cfg.dropout_path, cfg.n_layers) if cfg.dropout_path else [None] * cfg.n_layers
        self.stack = Stack([self._block(norm, rate) for rate in rates], None if cfg.norm_late else norm(d))
        if cfg.norm_late:
            self.norm_late = norm(d)
        if cfg.pooler:
            self.pooler = Linear(d, d)
        if cfg.head:
            width = 2 * d if cfg.reads == "first_and_mean" else d
            n_heads = cfg.n_class if cfg.reads == "each" else 1
            self.heads = nn.ModuleList(LabelHead(width, cfg.n_labels) for _ in range(n_heads))
        self._draw_weights()

    @property
    def n_placed(self) -> int:
        """How many rows of the table of positions are not of patches."""
        return self.cfg.n_class if self.cfg.place_class else 0

    def _block(self, norm: partial[nn.LayerNorm], rate: float | None) -> Block:
        cfg, d = self.cfg, self.cfg.d_model
        attention = Attention(d, cfg.n_heads, dropout=cfg.dropout_attention)
        if not cfg.qkv_bias:
            attention.qkv.register_parameter("bias", None)
        mlp = GatedMlp(d, cfg.d_ff, cfg.act, bias=True) if cfg.gated else Mlp(d, cfg.d_ff, cfg.act)
        kind = Block if cfg.layer_scale is None else partial(ScaledBlock, scale=cfg.layer_scale)
        return kind(d, attention, mlp, norm, pre_norm=True, dropout=cfg.dropout, drop_path=rate)

    def _draw_weights(self) -> None:
        """N(0, 0.02), cut at two standard deviations, for products and tables, as DeiT's code; biases are zero."""
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.trunc_normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def encode(self, pictures: Float[Tensor, "b c y x"]) -> Float[Tensor, "b t m"]:
        """Return the states of class tokens, registers and patches, row by row.

        Pictures may have any size that is a multiple of the patch; positions are resized for it.
        """
        cfg, n, x = self.cfg, self.n_placed, self.patches(pictures)
        position = resize_table(self.position[:, n:], cfg.grid, (x.size(1), x.size(2)), antialias=cfg.antialias)
        first = [self.prefix + self.position[:, :n] if n else self.prefix]
        first += [self.registers] if cfg.n_registers else []
        first = [tokens.expand(x.size(0), -1, -1) for tokens in first]
        return self.stack(self.drop(torch.cat((*first, x.flatten(1, 2) + position), 1)))

    def summary(self, states: Float[Tensor, "b t m"]) -> Float[Tensor, "b m"]:
        """Return one vector per picture: its first token, or the mean of its patches if that is all the head reads."""
        x = self._read(states)[0]
        return self.pooler(x).tanh() if self.cfg.pooler else x

    def scores(self, states: Float[Tensor, "b t m"]) -> Float[Tensor, "b r k"]:
        """Return the label logits of every head: of DeiT's pair, the second is the one that learns from the teacher."""
        read = self._read(states)
        if self.cfg.reads == "first_and_mean":
            read = [torch.cat(read, -1)]
        return torch.stack([head(x) for head, x in zip(self.heads, read, strict=True)], 1)

    def _read(self, states: Float[Tensor, "b t m"]) -> list[Float[Tensor, "b m"]]:
        """Return the vectors that the head reads."""
        cfg = self.cfg
        first = list(states[:, : cfg.n_class if cfg.reads == "each" else 1].unbind(1))
        if cfg.reads in ("mean", "first_and_mean"):
            mean = states[:, cfg.n_class + cfg.n_registers :].mean(1)
            first = [mean] if cfg.reads == "mean" else [*first, mean]
        return [self.norm_late(x) for x in first] if cfg.norm_late else first

    def forward(self, pictures: Float[Tensor, "b c y x"]) -> Float[Tensor, "b *k"]:
        """Return the label logits, the mean of the heads'; without a head, the states."""
        states = self.encode(pictures)
        return self.scores(states).mean(1) if self.cfg.head else states


def resize_positions(net: Vit, grid: tuple[int, int]) -> None:
    """Give a net positions for another grid of patches, for good: its configuration then says that size of picture.

    For training on such pictures; a net that only sees them resizes its positions by itself.
    """
    n, cfg = net.n_placed, net.cfg
    with torch.no_grad():
        patches = resize_table(net.position[:, n:], cfg.grid, grid, antialias=cfg.antialias)
        table = torch.cat((net.position[:, :n], patches), 1)
    net.cfg = replace(cfg, picture_size=(grid[0] * cfg.patch, grid[1] * cfg.patch))
    net.position = nn.Parameter(table, net.position.requires_grad)


def maps(cfg: Config) -> tuple[MapSpec, ...]:
    """Return the attention maps of one pass, in call order; class tokens and registers come before the grid."""
    return tuple(MapSpec(i, "self", "picture", "picture", cfg.n_heads, grid=cfg.grid) for i in range(cfg.n_layers))


def _size(width: str, patch: int, side: int = 224, **more: Any) -> Config:
    return Config(**WIDTHS[width], patch=patch, picture_size=(side, side), **more)


_AS_PUBLISHED = [
    ("tiny", 16, 224), ("tiny", 16, 384), ("small", 16, 224), ("small", 16, 384), ("small", 32, 224),
    ("small", 32, 384), ("base", 8, 224), ("base", 16, 224), ("base", 16, 384), ("base", 32, 224), ("base", 32, 384),
    ("large", 16, 224), ("large", 16, 384), ("large", 32, 224), ("large", 32, 384), ("huge", 14, 224),
]  # fmt: skip
_DEIT = {"n_class": 2, "reads": "each", "layout": "deit"}
_DINOV2 = {"head": None, "reads": "first_and_mean", "eps": 1e-6, "layer_scale": 1.0, "mask_token": True}
_REGISTERS = {"n_registers": 4, "antialias": True, "layout": "dinov2_with_registers"}
_FOUR = ("small", "base", "large", "giant")

SIZES = {
    "vit-digits": Config(
        picture_size=(8, 8), patch=2, n_channels=1, d_model=96, n_layers=6, n_heads=4, d_ff=192, n_labels=10
    ),
    **{f"vit-{width}-patch{patch}-{side}": _size(width, patch, side) for width, patch, side in _AS_PUBLISHED},
    **{f"deit-{width}-patch16-224": _size(width, 16) for width in ("tiny", "small", "base")},
    "deit-base-patch16-384": _size("base", 16, 384),
    **{f"deit-{width}-distilled-patch16-224": _size(width, 16, **_DEIT) for width in ("tiny", "small", "base")},
    "deit-base-distilled-patch16-384": _size("base", 16, 384, **_DEIT),
    **{f"dino-vits{patch}": _size("small", patch, head=None) for patch in (16, 8)},
    **{f"dino-vitb{patch}": _size("base", patch, head=None) for patch in (16, 8)},
    **{f"dinov2-{width}": _size(width, 14, 518, **_DINOV2, layout="dinov2") for width in _FOUR},
    **{f"dinov2-with-registers-{width}": _size(width, 14, 518, **_DINOV2, **_REGISTERS) for width in _FOUR},
}

_VIT, _DINO = "Dosovitskiy et al. 2021, table 1", "Caron et al. 2021, table 1"
_TOUVRON, _OQUAB = "Touvron et al. 2021, table 1", "Oquab et al. 2023, model card"
PUBLISHED = {
    "vit-base-patch16-224": Published(86e6, _VIT, "the paper rounds down, with or without a head of 1,000 labels"),
    "vit-large-patch16-224": Published(
        307e6, _VIT, "ViT-L/16 has 303.3M, 304.3M with its head of 1,000 labels; L/32 with it has 306.5M"
    ),
    "vit-huge-patch14-224": Published(632e6, _VIT, "the paper rounds, its head of 1,000 labels in"),
    "deit-tiny-patch16-224": Published(5e6, _TOUVRON, "the paper rounds down 5.7M"),
    "deit-small-patch16-224": Published(22e6, _TOUVRON, "the paper rounds"),
    "deit-base-patch16-224": Published(86e6, _TOUVRON, "the paper rounds down"),
    "dino-vits16": Published(21e6, _DINO, "the paper rounds down 21.7M"),
    "dino-vitb16": Published(85e6, _DINO, "the paper rounds down 85.8M"),
    "dinov2-small": Published(21e6, _OQUAB, "the card rounds down; positions of 37 x 37 patches are in"),
    "dinov2-base": Published(86e6, _OQUAB, "the card rounds down"),
    "dinov2-large": Published(300e6, _OQUAB, "the card rounds"),
    "dinov2-giant": Published(1.1e9, _OQUAB, "the card rounds"),
}

HF = Format(
    names=tuple(LAYOUTS),
    read_config=lambda config: from_dict(Config, from_hf(config), "config.json"),
    write_config=to_hf,
    rules=rules,
    fit=fit,
)

TIMM = Format(
    names=tuple(ARCHITECTURES),
    key="architecture",
    read_config=lambda config: from_dict(Config, from_timm(config), "config.json"),
    write_config=to_timm,
    rules=rules_timm,
    fit=fit_timm,
)

FAMILY = Family(
    name="vit", config=Config, net=Vit, sizes=SIZES, maps=maps, formats={"hf": HF, "timm": TIMM}, published=PUBLISHED
)
