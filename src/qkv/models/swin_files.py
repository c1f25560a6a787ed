"""Swin in the files of transformers 5.23 and of timm 1.0.31: one net, two tables of names.

timm's stages merge first, as ours do; those of transformers merge last. Both order the four neighbours alike.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from qkv.base.config import choose
from qkv.base.errors import ConfigError, UnsupportedError
from qkv.ops.windows import Pair, fit_to_each_side, fit_to_shorter_side
from qkv.weights.configs import ACTS, ConfigTable, name_labels, read_labels, read_sides, write_labels
from qkv.weights.rules import Rule, join, same

CLASSES = {None: "SwinModel", "classify": "SwinForImageClassification"}
_BOTH = ("weight", "bias")
_HF = ConfigTable(
    architecture="SwinModel",
    plain={
        "num_channels": "n_channels",
        "embed_dim": "d_model",
        "depths": "depths",
        "num_heads": "heads",
        "window_size": "window",
        "mlp_ratio": "mlp_ratio",
        "layer_norm_eps": "eps",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "dropout_attention",
        "drop_path_rate": "dropout_path",
    },
    words={"hidden_act": ("act", ACTS)},
    fixed={"model_type": "swin", "qkv_bias": True, "use_absolute_embeddings": False},
    other=("image_size", "patch_size"),
    harmless=("encoder_stride", "hidden_size", "num_layers", "out_features", "out_indices", "path_norm", "stage_names"),
)
_HF_PARTS = {
    "attention.output.dense": "attention.out",
    "layernorm_before": "norm_attention",
    "layernorm_after": "norm_mlp",
    "intermediate.dense": "mlp.up",
    "output.dense": "mlp.down",
}
_HF_TABLE = "attention.self.relative_position_bias_table"

# timm's architectures: width, layers of the third stage, heads of the first, window, side of the picture
TIMM_NAMES = {
    "swin_tiny_patch4_window7_224": (96, 6, 3, 7, 224),
    "swin_small_patch4_window7_224": (96, 18, 3, 7, 224),
    "swin_base_patch4_window7_224": (128, 18, 4, 7, 224),
    "swin_base_patch4_window12_384": (128, 18, 4, 12, 384),
    "swin_large_patch4_window7_224": (192, 18, 6, 7, 224),
    "swin_large_patch4_window12_384": (192, 18, 6, 12, 384),
}
_TIMM = ConfigTable(
    architecture="SwinTransformer",
    plain={
        "in_chans": "n_channels",
        "embed_dim": "d_model",
        "depths": "depths",
        "num_heads": "heads",
        "window_size": "window",
        "mlp_ratio": "mlp_ratio",
        "attn_drop_rate": "dropout_attention",
        "drop_path_rate": "dropout_path",
        "num_classes": "n_labels",
    },
    optional=("in_chans", "mlp_ratio", "attn_drop_rate", "drop_path_rate", "num_classes"),
    fixed={"qkv_bias": True, "global_pool": "avg", "always_partition": False, "drop_rate": 0.0, "proj_drop_rate": 0.0},
    other=("img_size", "patch_size"),
    harmless=("architecture", "dynamic_img_size", "label_descriptions", "label_names", "num_features",
              "pretrained_cfg", "strict_img_size", "weight_init"),
)  # fmt: skip
_TIMM_PARTS = {
    "attn.qkv": "attention.qkv",
    "attn.proj": "attention.out",
    "norm1": "norm_attention",
    "norm2": "norm_mlp",
    "mlp.fc1": "mlp.up",
    "mlp.fc2": "mlp.down",
}


def grids(cfg: Any) -> list[Pair]:
    """Return the rows and columns of each stage's map, for a picture of the configured size."""
    y, x = (-(-n // cfg.patch) for n in cfg.picture_size)
    return [(-(-y // 2**i), -(-x // 2**i)) for i in range(len(cfg.depths))]


def from_hf(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of our Config; the head is the one of `architectures`, until the file's names say another."""
    faults: list[str] = []
    sizes = {"picture_size": read_sides(config, "image_size", faults)}
    sizes |= {"patch": read_sides(config, "patch_size", faults, square=True)[0]}
    fields = _HF.read(config, faults) | sizes
    named = config.get("architectures") or [CLASSES["classify"]]
    heads = {name: head for head, name in CLASSES.items()}
    head = choose("architectures", str(named[0] if isinstance(named, list) else named), heads, "config.json")
    labels = {"n_labels": len(read_labels(config))} if head or "id2label" in config else {}
    return fields | labels | {"head": head}


def to_hf(cfg: Any) -> dict[str, Any]:
    """Return the `config.json` of the same net in transformers."""
    if cfg.shift_first and not _borders_agree(cfg):
        raise UnsupportedError(_BORDERS.format("SwinModel", "pads maps before it shifts them"))
    y, x = cfg.picture_size
    return {
        "architectures": [CLASSES[cfg.head]],
        "model_type": "swin",
        **_HF.write(cfg),
        "image_size": y if y == x else [y, x],
        "patch_size": cfg.patch,
        "qkv_bias": True,
        "use_absolute_embeddings": False,
        **write_labels(name_labels(cfg.n_labels)),
    }


def fit_hf(cfg: Any, names: Collection[str]) -> Any:
    """Return the configuration of the net that the tensors of a file are of: with its head, if it has one."""
    return replace(cfg, head="classify" if "classifier.weight" in names else None)


def rules_hf(cfg: Any) -> list[Rule]:
    """Return the table of names between the files of transformers and our net."""
    body = "swin." if cfg.head else ""
    layers = f"{body}encoder.layers"
    pairs = {
        f"{body}embeddings.patch_embeddings.projection": "patches",
        f"{body}embeddings.norm": "norm_patches",
        f"{body}layernorm": "norm",
        **{f"{layers}.*.blocks.*.{theirs}": f"stages.*.blocks.*.{ours}" for theirs, ours in _HF_PARTS.items()},
        **{f"{layers}.{i}.downsample.norm": f"stages.{i + 1}.merge.norm" for i in range(len(cfg.depths) - 1)},
    }
    if cfg.head:
        pairs["classifier"] = "head.out"
    rules = [same(f"{theirs}.{part}", f"{ours}.{part}") for theirs, ours in pairs.items() for part in _BOTH]
    rules.append(same(f"{layers}.*.blocks.*.{_HF_TABLE}", "stages.*.blocks.*.attention.table"))
    for i in range(len(cfg.depths)):
        block, sizes = f"{layers}.{i}.blocks.*.attention.self", (cfg.d_model * 2**i,) * 3
        for part in _BOTH:
            three = [f"{block}.{x}.{part}" for x in ("query", "key", "value")]
            rules.append(join(three, f"stages.{i}.blocks.*.attention.qkv.{part}", 0, sizes))
        if i:
            rules.append(same(f"{layers}.{i - 1}.downsample.reduction.weight", f"stages.{i}.merge.out.weight"))
    return rules


def aliases_hf(cfg: Any) -> dict[str, str | None]:
    """Return what older files hold beside: which row of its table belongs to which offset."""
    body = "swin." if cfg.head else ""
    return {f"{body}encoder.layers.*.blocks.*.attention.self.relative_position_index": None}


def from_timm(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of our Config: those of the architecture, but for what `model_args` says."""
    given, known = (config.get(key) or {} for key in ("model_args", "pretrained_cfg"))
    if not isinstance(given, Mapping) or not isinstance(known, Mapping):
        raise ConfigError('config.json: "model_args" and "pretrained_cfg" must be objects. Check that timm wrote it.')
    name = str(config.get("architecture"))
    d_model, depth, n_heads, window, side = choose("architecture", name, TIMM_NAMES, "config.json")
    usual = {
        "embed_dim": d_model,
        "depths": [2, 2, depth, 2],
        "num_heads": [n_heads * 2**i for i in range(4)],
        "window_size": window,
        "patch_size": 4,
        "img_size": side,
    }
    size = known.get("input_size")
    usual |= {"img_size": size[1:]} if isinstance(size, list) else {}
    told = usual | {key: value for key, value in config.items() if key != "model_args"} | dict(given)
    faults: list[str] = []
    sizes = {"picture_size": read_sides(told, "img_size", faults)}
    sizes |= {"patch": read_sides(told, "patch_size", faults, square=True)[0]}
    fields = _TIMM.read(told, faults) | sizes | {"shift_first": True}
    if fields.get("n_labels") == 0:
        return {key: value for key, value in fields.items() if key != "n_labels"} | {"head": None}
    return fields


def to_timm(cfg: Any) -> dict[str, Any]:
    """Return the `config.json` of the same net in timm: every setting is named, whatever the architecture's are."""
    if not cfg.shift_first and not _borders_agree(cfg):
        raise UnsupportedError(_BORDERS.format("timm", "shifts maps before it pads them"))
    settled = {"act": "gelu", "eps": 1e-5, "dropout": 0.0}
    wrong = [f"{key} {getattr(cfg, key)!r}" for key, value in settled.items() if getattr(cfg, key) != value]
    if wrong:
        raise UnsupportedError(f"timm cannot express this net's {', '.join(wrong)}. Save it in qkv's own format.")
    shape = (cfg.d_model, cfg.depths[2:3], cfg.heads[0], cfg.window, cfg.picture_size[0])
    like = [name for name, (d, depth, *rest) in TIMM_NAMES.items() if (d, (depth,), *rest) == shape]
    written = _TIMM.write(cfg) | {"num_classes": cfg.n_labels if cfg.head else 0}
    sizes = {"img_size": list(cfg.picture_size), "patch_size": cfg.patch, "global_pool": "avg"}
    return {
        "architecture": like[0] if like else next(iter(TIMM_NAMES)),
        "num_classes": written["num_classes"],
        "num_features": cfg.d_model * 2 ** (len(cfg.depths) - 1),
        "global_pool": "avg",
        "model_args": written | sizes,
        "pretrained_cfg": {
            "input_size": [cfg.n_channels, *cfg.picture_size],
            "num_classes": written["num_classes"],
            "fixed_input_size": True,
            "first_conv": "patch_embed.proj",
            "classifier": "head.fc",
        },
    }


def fit_timm(cfg: Any, names: Collection[str]) -> Any:
    """Return the configuration of the net that the tensors of a file are of: with its head, if it has one."""
    return replace(cfg, head="classify" if "head.fc.weight" in names else None)


def rules_timm(cfg: Any) -> list[Rule]:
    """Return the table of names between the files of timm and our net."""
    pairs = {"patch_embed.proj": "patches", "patch_embed.norm": "norm_patches", "norm": "norm"}
    pairs |= {f"layers.*.blocks.*.{theirs}": f"stages.*.blocks.*.{ours}" for theirs, ours in _TIMM_PARTS.items()}
    pairs |= {"layers.*.downsample.norm": "stages.*.merge.norm"} if len(cfg.depths) > 1 else {}
    pairs |= {"head.fc": "head.out"} if cfg.head else {}
    single = {"layers.*.blocks.*.attn.relative_position_bias_table": "stages.*.blocks.*.attention.table"}
    single |= {"layers.*.downsample.reduction.weight": "stages.*.merge.out.weight"} if len(cfg.depths) > 1 else {}
    return [
        *(same(theirs, ours) for theirs, ours in single.items()),
        *(same(f"{theirs}.{part}", f"{ours}.{part}") for theirs, ours in pairs.items() for part in _BOTH),
    ]


def aliases_timm(cfg: Any) -> dict[str, str | None]:
    """Return what older files hold beside: what is computed from the size of picture and window."""
    return {
        "layers.*.blocks.*.attn_mask": None,
        "layers.*.blocks.*.attn.relative_position_index": None,
    }


_BORDERS = "{} {}, and this net does not, which matters at its picture_size. Save it in qkv's own format."


def _borders_agree(cfg: Any) -> bool:
    """Tell whether `shift_first` makes no difference for pictures of the configured size."""
    for grid in grids(cfg):
        window, shift = fit_to_each_side(grid, cfg.window)
        if (window, shift) != fit_to_shorter_side(grid, cfg.window) or window != (cfg.window, cfg.window):
            return False
        if any(shift) and any(n % cfg.window for n in grid):
            return False
    return True
