"""Swin (Liu et al. 2021, https://arxiv.org/abs/2103.14030): attention inside windows that shift, in four stages.

Each stage but the first halves the map and doubles its width; every second layer moves its windows by half a window.
References: transformers 5.23, `models/swin`, and timm 1.0.31, `swin_transformer.py` (swin_files.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from qkv.base.config import check_ranges, from_dict
from qkv.base.errors import ConfigError
from qkv.models.family import Family, Format, MapSpec, PictureNet, Published
from qkv.models.swin_files import (
    TIMM_NAMES,
    aliases_hf,
    aliases_timm,
    fit_hf,
    fit_timm,
    from_hf,
    from_timm,
    grids,
    rules_hf,
    rules_timm,
    to_hf,
    to_timm,
)
from qkv.nn.block import Block
from qkv.nn.drop_path import rising
from qkv.nn.heads import LabelHead
from qkv.nn.linear import Linear
from qkv.nn.mlp import Mlp
from qkv.nn.patches import Patches
from qkv.nn.where import Where
from qkv.nn.windows import Cutter, WindowAttention
from qkv.ops.windows import fit_to_each_side, fit_to_shorter_side


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """One encoder of pictures in stages.

    picture_size: rows and columns of pixels that the net was made for; others work, too. depths and heads: of each
    stage. window: rows and columns of patches that see each other. eps: of the norms in and after the blocks.
    dropout_path: of the last layer; from 0 it rises evenly. shift_first: how maps are treated that are no multiple of
    the window, or smaller. True, as in timm: shifted, then padded; window and shift fit each side of a picture of
    `picture_size`. False, as in the paper's code and transformers: padded, then shifted; window and shift fit the
    shorter side of the picture at hand. For other maps both are the same.
    """

    picture_size: tuple[int, int] = (224, 224)
    patch: int = 4
    n_channels: int = 3
    d_model: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 7
    mlp_ratio: float = 4.0
    act: Literal["gelu", "relu", "silu", "gelu_tanh"] = "gelu"
    eps: float = 1e-5
    dropout: float = 0.0
    dropout_attention: float = 0.0
    dropout_path: float = 0.1
    shift_first: bool = False
    head: Literal["classify"] | None = "classify"
    n_labels: int = 1000

    def __post_init__(self) -> None:
        check_ranges(self)
        faults = list(self._numbers_out_of_range()) or list(self._misfits())
        if faults:
            raise ConfigError("; ".join(faults) + ".")

    def _numbers_out_of_range(self) -> Iterator[str]:
        tuples = {"picture_size": self.picture_size, "depths": self.depths, "heads": self.heads}
        for name, values in {**tuples, "patch": (self.patch,), "window": (self.window,)}.items():
            yield from (f"{name} is {n}; it must be from 1 to 16,384" for n in values if not 1 <= n <= 2**14)
        if not 0 <= self.dropout_path < 1:
            yield f"dropout_path is {self.dropout_path}; it must be at least 0 and less than 1"
        if not 1 <= self.mlp_ratio * self.d_model <= 2**20:
            yield f"mlp_ratio is {self.mlp_ratio}; layers of that width cannot be"

    def _misfits(self) -> Iterator[str]:
        if not 1 <= len(self.depths) == len(self.heads) <= 8 or sum(self.depths) > 1024:
            yield f"depths {self.depths} and heads {self.heads} must be of the same 1 to 8 stages, 1,024 layers in all"
        for i, n_heads in enumerate(self.heads):
            if self.d_model * 2**i % n_heads:
                yield f"the width of stage {i + 1} ({self.d_model * 2**i}) must be a multiple of its {n_heads} heads"
        y, x = grids(self)[0] if self.depths else (0, 0)
        if y * x * self.window**2 > 2**27:
            yield f"a map of {y} x {x} in windows of {self.window} x {self.window} has more than 2**27 pairs"


class Merge(nn.Module):
    """Join each 2 x 2 neighbours into one place of twice the width: section 3.1. Sides of odd length are padded."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.norm, self.out = nn.LayerNorm(4 * d_model), Linear(4 * d_model, 2 * d_model, bias=False)

    def forward(self, x: Float[Tensor, "b y x m"]) -> Float[Tensor, "b v u n"]:
        """Return the smaller map; of the four, those of the left column come first."""
        x = F.pad(x, (0, 0, 0, x.size(2) % 2, 0, x.size(1) % 2))
        x = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # b y row x column m
        return self.out(self.norm(x.permute(0, 1, 3, 4, 2, 5).flatten(3)))


class Stage(nn.Module):
    """Blocks over one map, every second one with shifted windows; a merge comes first in all stages but one."""

    def __init__(self, cfg: Config, i: int, rates: list[float]) -> None:
        super().__init__()
        d, grid = cfg.d_model * 2**i, grids(cfg)[i]
        if i:
            self.merge = Merge(d // 2)
        self.plain = Cutter(grid, cfg.window, shifted=False, shift_first=cfg.shift_first)
        self.shifted = Cutter(grid, cfg.window, shifted=True, shift_first=cfg.shift_first)
        self.blocks = nn.ModuleList(
            Block(
                d,
                WindowAttention(d, cfg.heads[i], self.plain.table(), dropout=cfg.dropout_attention),
                Mlp(d, int(cfg.mlp_ratio * d), cfg.act),
                partial(nn.LayerNorm, eps=cfg.eps),
                pre_norm=True,
                dropout=cfg.dropout,
                drop_path=rate,
            )
            for rate in rates
        )

    def forward(self, x: Float[Tensor, "b y x m"]) -> Float[Tensor, "b v u n"]:
        """Return the map after this stage."""
        if hasattr(self, "merge"):
            x = self.merge(x)
        grid, wheres = x.shape[1:3], [Where(windows=cutter(x)) for cutter in (self.plain, self.shifted)]
        x = x.flatten(1, 2)
        for i, block in enumerate(self.blocks):
            x = block(x, wheres[i % 2])
        return x.unflatten(1, grid)


class Swin(PictureNet):
    """Patches, a norm, the stages, a norm; the mean of all places stands for the picture."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg, d = cfg, cfg.d_model * 2 ** (len(cfg.depths) - 1)
        self.patches, self.norm_patches = Patches(cfg.n_channels, cfg.d_model, cfg.patch), nn.LayerNorm(cfg.d_model)
        self.drop = nn.Dropout(cfg.dropout)
        rates = iter(rising(cfg.dropout_path, sum(cfg.depths)))
        self.stages = nn.ModuleList(Stage(cfg, i, list(islice(rates, depth))) for i, depth in enumerate(cfg.depths))
        self.norm = nn.LayerNorm(d, eps=cfg.eps)
        if cfg.head:
            self.head = LabelHead(d, cfg.n_labels)
        self._draw_weights()

    def _draw_weights(self) -> None:
        """N(0, 0.02), cut at two, for products and tables of offsets, as the authors' code; biases are zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            if isinstance(module, WindowAttention):
                nn.init.trunc_normal_(module.table, std=0.02)

    def encode(self, pictures: Float[Tensor, "b c y x"]) -> Float[Tensor, "b t m"]:
        """Return the state of every place of the last stage's map, row by row.

        Pictures are padded at the bottom and on the right to whole patches.
        """
        side = self.cfg.patch
        pictures = F.pad(pictures, (0, -pictures.size(-1) % side, 0, -pictures.size(-2) % side))
        x = self.drop(self.norm_patches(self.patches(pictures)))
        for stage in self.stages:
            x = stage(x)
        return self.norm(x).flatten(1, 2)

    def summary(self, states: Float[Tensor, "b t m"]) -> Float[Tensor, "b m"]:
        """Return one vector per picture: the mean of its places."""
        return states.mean(1)

    def forward(self, pictures: Float[Tensor, "b c y x"]) -> Float[Tensor, "b *t k"]:
        """Return the logits of the labels; without a head, the states."""
        states = self.encode(pictures)
        return self.head(self.summary(states)) if self.cfg.head else states


def maps(cfg: Config) -> tuple[MapSpec, ...]:
    """Return the attention maps of one pass, in call order; layers are numbered through all stages."""
    fit, found = fit_to_each_side if cfg.shift_first else fit_to_shorter_side, []
    for grid, depth, n_heads in zip(grids(cfg), cfg.depths, cfg.heads, strict=True):
        window, shift = fit(grid, cfg.window)
        plain = MapSpec(0, "self", "picture", "picture", n_heads, grid=grid, window=window)
        found += [plain._replace(layer=len(found) + i, shift=shift if i % 2 else (0, 0)) for i in range(depth)]
    return tuple(found)


_TINY = Config()
_SMALL = replace(_TINY, depths=(2, 2, 18, 2))
_BASE = replace(_SMALL, d_model=128, heads=(4, 8, 16, 32))
_LARGE = replace(_SMALL, d_model=192, heads=(6, 12, 24, 48))
_AT_384 = {"picture_size": (384, 384), "window": 12}
_IN_22K = {"n_labels": 21841}

SIZES = {
    "swin-digits": Config(
        picture_size=(8, 8),
        patch=1,
        n_channels=1,
        d_model=32,
        depths=(2, 2),
        heads=(2, 4),
        window=4,
        mlp_ratio=2.0,
        n_labels=10,
    ),
    "swin-tiny-patch4-window7-224": _TINY,
    "swin-small-patch4-window7-224": _SMALL,
    "swin-base-patch4-window7-224": _BASE,
    "swin-base-patch4-window7-224-in22k": replace(_BASE, **_IN_22K),
    "swin-base-patch4-window12-384": replace(_BASE, **_AT_384),
    "swin-base-patch4-window12-384-in22k": replace(_BASE, **_AT_384, **_IN_22K),
    "swin-large-patch4-window7-224": _LARGE,
    "swin-large-patch4-window7-224-in22k": replace(_LARGE, **_IN_22K),
    "swin-large-patch4-window12-384": replace(_LARGE, **_AT_384),
    "swin-large-patch4-window12-384-in22k": replace(_LARGE, **_AT_384, **_IN_22K),
}

_BUILT = "transformers 5.23 and timm 1.0.31, as built"
PUBLISHED = {
    "swin-tiny-patch4-window7-224": Published(28_288_354, _BUILT, "table 1 of the paper says 29M"),
    "swin-small-patch4-window7-224": Published(49_606_258, _BUILT, "table 1 of the paper says 50M"),
    "swin-base-patch4-window7-224": Published(87_768_224, _BUILT, "table 1 of the paper says 88M"),
    "swin-base-patch4-window12-384": Published(87_903_584, _BUILT, "table 1 of the paper says 88M"),
    "swin-large-patch4-window7-224": Published(196_532_476, _BUILT, "table 1 of the paper says 197M"),
    "swin-large-patch4-window12-384": Published(196_735_516, _BUILT, "table 1 of the paper says 197M"),
}

HF = Format(
    names=("swin",),
    read_config=lambda config: from_dict(Config, from_hf(config), "config.json"),
    write_config=to_hf,
    rules=rules_hf,
    fit=fit_hf,
    aliases=aliases_hf,
)

TIMM = Format(
    names=tuple(TIMM_NAMES),
    read_config=lambda config: from_dict(Config, from_timm(config), "config.json"),
    write_config=to_timm,
    rules=rules_timm,
    key="architecture",
    fit=fit_timm,
    aliases=aliases_timm,
)

FAMILY = Family(
    name="swin",
    config=Config,
    net=Swin,
    sizes=SIZES,
    maps=maps,
    formats={"hf": HF, "timm": TIMM},
    published=PUBLISHED,
)
