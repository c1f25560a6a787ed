"""ViT, DeiT and DINOv2 in the files of timm 1.0.31: its architectures, its settings, its names."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from qkv.base.config import choose
from qkv.base.errors import ConfigError, UnsupportedError
from qkv.models.vit_files import WIDTHS
from qkv.weights.configs import ConfigTable, read_sides
from qkv.weights.rules import Rule, join, same


def _row(width: str, patch: int, side: int, **more: Any) -> dict[str, Any]:
    size = WIDTHS[width]
    shape = {"embed_dim": size["d_model"], "depth": size["n_layers"], "num_heads": size["n_heads"]}
    return shape | {"patch_size": patch, "img_size": side} | more


# What the settings of an architecture are where they are not the usual ones.
_VITS = [
    ("tiny", 16, 224), ("tiny", 16, 384), ("small", 32, 224), ("small", 32, 384), ("small", 16, 224),
    ("small", 16, 384), ("small", 8, 224), ("base", 32, 224), ("base", 32, 384), ("base", 16, 224), ("base", 16, 384),
    ("base", 8, 224), ("large", 32, 224), ("large", 32, 384), ("large", 16, 224), ("large", 16, 384),
    ("large", 14, 224), ("huge", 14, 224),
]  # fmt: skip
_DEITS = [("tiny", 16, 224), ("small", 16, 224), ("base", 16, 224), ("base", 16, 384)]
_SCALED, _REGISTERS = {"init_values": 1e-5}, {"reg_tokens": 4, "no_embed_class": True}
ARCHITECTURES = {
    **{f"vit_{width}_patch{patch}_{side}": _row(width, patch, side) for width, patch, side in _VITS},
    **{f"deit_{width}_patch{patch}_{side}": _row(width, patch, side) for width, patch, side in _DEITS},
    **{f"deit_{width}_distilled_patch{patch}_{side}": _row(width, patch, side) for width, patch, side in _DEITS},
    **{f"vit_{width}_patch14_dinov2": _row(width, 14, 518, **_SCALED) for width in ("small", "base", "large")},
    **{
        f"vit_{width}_patch14_reg4_dinov2": _row(width, 14, 518, **_SCALED, **_REGISTERS)
        for width in ("small", "base", "large")
    },
    "vit_giant_patch14_dinov2": _row("giant", 14, 518, **_SCALED, mlp_ratio=2.66667 * 2),
    "vit_giant_patch14_reg4_dinov2": _row("giant", 14, 518, **_SCALED, **_REGISTERS, mlp_ratio=2.66667 * 2),
}
EPS = 1e-6  # of all norms
_PARTS = {
    "norm1": "norm_attention",
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.out",
    "norm2": "norm_mlp",
    "mlp.fc1": "mlp.up",
    "mlp.fc2": "mlp.down",
}
_NORM = {False: {"norm": "stack.norm"}, True: {"fc_norm": "norm_late"}}
_TABLE = ConfigTable(
    architecture="VisionTransformer",
    plain={
        "in_chans": "n_channels",
        "embed_dim": "d_model",
        "depth": "n_layers",
        "num_heads": "n_heads",
        "qkv_bias": "qkv_bias",
        "init_values": "layer_scale",
        "reg_tokens": "n_registers",
        "num_classes": "n_labels",
    },
    words={"global_pool": ("reads", {"token": "first", "avg": "mean"})},
    optional=("in_chans", "qkv_bias", "init_values", "reg_tokens", "num_classes", "global_pool"),
    fixed={
        "class_token": True, "pre_norm": False, "final_norm": True, "qk_norm": False, "scale_attn_norm": False,
        "scale_mlp_norm": False, "proj_bias": True, "pos_embed": "learn", "pool_include_prefix": False,
        "dynamic_img_pad": False, "drop_rate": 0.0, "pos_drop_rate": 0.0, "patch_drop_rate": 0.0, "proj_drop_rate": 0.0,
        "attn_drop_rate": 0.0, "drop_path_rate": 0.0,
    },
    other=("img_size", "patch_size", "mlp_ratio", "no_embed_class", "fc_norm"),
    harmless=("architecture", "dynamic_img_size", "fix_init", "label_descriptions", "label_names", "num_features",
              "pretrained_cfg", "strict_img_size", "weight_init"),
)  # fmt: skip


def from_timm(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of our Config: those of the architecture, but for what `model_args` says."""
    args, known = (config.get(key) or {} for key in ("model_args", "pretrained_cfg"))
    if not isinstance(args, Mapping) or not isinstance(known, Mapping):
        raise ConfigError('config.json: "model_args" and "pretrained_cfg" must be objects. Check that timm wrote it.')
    name = str(config.get("architecture"))
    told = {"mlp_ratio": 4.0, **choose("architecture", name, ARCHITECTURES, "config.json")}
    seen = known.get("input_size")
    told |= {"in_chans": seen[0], "img_size": seen[1:]} if isinstance(seen, list) and len(seen) == 3 else {}
    told |= {key: value for key, value in config.items() if key != "model_args"} | dict(args)
    gated, distilled, bare, ratio = *_kind(name), told.get("no_embed_class") or False, told["mlp_ratio"]
    faults: list[str] = []
    size, patch = read_sides(told, "img_size", faults), read_sides(told, "patch_size", faults, square=True)[0]
    sound = type(ratio) in (int, float) and 0 < ratio <= 1024
    faults += [] if sound else [f'"mlp_ratio" is {ratio!r}, not a number up to 1,024']
    faults += [] if type(told["embed_dim"]) is int else [f'"embed_dim" is {told["embed_dim"]!r}, not a whole number']
    if (told.get("reg_tokens") and not bare) or (distilled and (bare or told.get("reg_tokens"))):
        faults.append(
            f'"no_embed_class" is {bare}, but registers have no positions here, and class tokens of DeiT have'
        )
    fields = _TABLE.read(told, faults)
    reads, late = fields.get("reads", "first"), told.get("fc_norm")
    hidden = int(fields["d_model"] * ratio)
    layouts = {(False, False): "vit", (True, False): "dinov2", (True, True): "dinov2_with_registers"}
    layout = layouts.get((bool(fields.get("layer_scale")), bool(fields.get("n_registers"))), "vit")
    n_labels = {"n_labels": fields.pop("n_labels", 1000)}
    return fields | {
        "picture_size": size,
        "patch": patch,
        "d_ff": hidden // 2 if gated else hidden,
        "gated": gated,
        "act": "silu" if gated else "gelu",
        "eps": EPS,
        "n_class": 2 if distilled else 1,
        "place_class": not bare,
        "antialias": True,
        "reads": "each" if distilled else reads,
        "norm_late": reads == "mean" if late is None else late,
        "layout": "deit" if distilled else layout,
        **(n_labels | {"head": "classify"} if n_labels["n_labels"] else {"head": None}),
    }


def _kind(architecture: str) -> tuple[bool, bool]:
    """Tell whether an architecture has gated MLPs, and whether it has a distillation token: no setting says so."""
    return "_giant_" in architecture, "_distilled_" in architecture


def to_timm(cfg: Any) -> dict[str, Any]:
    """Return the `config.json` of the same net in timm: every setting is named, whatever the architecture's are.

    How positions are resized goes with timm and is not written, nor are rates of dropout, as timm writes none.
    """
    settled = {
        "eps": EPS,
        "act": "silu" if cfg.gated else "gelu",
        "mask_token": False,
        "pooler": False,
        "place_class": cfg.n_class == 2 or (cfg.place_class and not cfg.n_registers),
        "n_class": 2 if cfg.reads == "each" else 1,
        "n_registers": 0 if cfg.reads == "each" else cfg.n_registers,
        "gated": cfg.gated and cfg.reads != "each",
        "norm_late": cfg.norm_late and cfg.reads != "each",
        "reads": "first" if cfg.reads == "first_and_mean" and cfg.head else cfg.reads,
    }
    wrong = [f"{key} {getattr(cfg, key)!r}" for key, value in settled.items() if getattr(cfg, key) != value]
    if wrong:
        raise UnsupportedError(f"timm cannot express this net's {', '.join(wrong)}. Save it in qkv's own format.")
    n_labels, pool = cfg.n_labels if cfg.head else 0, "avg" if cfg.reads == "mean" else "token"
    hidden = cfg.d_ff * (1 + cfg.gated)
    ratios = (hidden / cfg.d_model, (hidden + 0.5) / cfg.d_model)  # timm rounds the product down
    written = _TABLE.write(replace(cfg, reads="mean" if pool == "avg" else "first", n_labels=n_labels or 1))
    args = written | {
        "num_classes": n_labels,
        "img_size": list(cfg.picture_size),
        "patch_size": cfg.patch,
        "mlp_ratio": next(ratio for ratio in ratios if int(cfg.d_model * ratio) == hidden),
        "no_embed_class": not cfg.place_class,
        "fc_norm": cfg.norm_late,
    }
    like = [name for name in ARCHITECTURES if _kind(name) == (cfg.gated, cfg.n_class == 2)]
    alike = {**args, "img_size": cfg.picture_size[0]}
    return {
        "architecture": max(like, key=lambda name: sum(alike.get(k) == v for k, v in ARCHITECTURES[name].items())),
        "num_classes": n_labels,
        "num_features": cfg.d_model,
        "global_pool": pool,
        "model_args": args,
        "pretrained_cfg": {
            "input_size": [cfg.n_channels, *cfg.picture_size],
            "num_classes": n_labels,
            "fixed_input_size": True,
            "first_conv": "patch_embed.proj",
            "classifier": ["head", "head_dist"] if cfg.n_class == 2 else "head",
        },
    }


def fit_timm(cfg: Any, names: Collection[str]) -> Any:
    """Return the configuration of the net that the tensors of a file are of: with its head, if it has one."""
    return replace(cfg, head="classify" if "head.weight" in names else None)


def rules_timm(cfg: Any) -> list[Rule]:
    """Return the table of names between the files of timm and our net."""
    pairs = {"patch_embed.proj": "patches", **_NORM[cfg.norm_late]}
    pairs |= {f"blocks.*.{theirs}": f"stack.blocks.*.{ours}" for theirs, ours in _PARTS.items()}
    single = {"pos_embed": "position"}
    if cfg.layer_scale is not None:
        scales = {"ls1.gamma": "scale_attention", "ls2.gamma": "scale_mlp"}
        single |= {f"blocks.*.{theirs}": f"stack.blocks.*.{ours}" for theirs, ours in scales.items()}
    if cfg.n_registers:
        single["reg_token"] = "registers"
    if cfg.head:
        pairs |= {theirs: f"heads.{i}.out" for i, theirs in enumerate(("head", "head_dist")[: cfg.n_class])}
    tokens = ("cls_token", "dist_token")[: cfg.n_class]
    return [
        join(tokens, "prefix", 1, [1] * cfg.n_class) if cfg.n_class > 1 else same(tokens[0], "prefix"),
        *(same(theirs, ours) for theirs, ours in single.items()),
        *(same(f"{theirs}.weight", f"{ours}.weight") for theirs, ours in pairs.items()),
        *(
            same(f"{theirs}.bias", f"{ours}.bias")
            for theirs, ours in pairs.items()
            if cfg.qkv_bias or not theirs.endswith("qkv")
        ),
    ]
