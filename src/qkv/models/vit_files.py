"""ViT, DeiT and DINOv2 in the files of transformers 5.23: four layouts, each with a table of its own, one net."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from qkv.base.errors import UnsupportedError
from qkv.weights.configs import ACTS, ConfigTable, count_labels, number_labels, read_head, read_sides
from qkv.weights.rules import Rule, join, same

WIDTHS: dict[str, dict[str, Any]] = {
    "tiny": {"d_model": 192, "n_layers": 12, "n_heads": 3, "d_ff": 768},
    "small": {"d_model": 384, "n_layers": 12, "n_heads": 6, "d_ff": 1536},
    "base": {"d_model": 768, "n_layers": 12, "n_heads": 12, "d_ff": 3072},
    "large": {"d_model": 1024, "n_layers": 24, "n_heads": 16, "d_ff": 4096},
    "huge": {"d_model": 1280, "n_layers": 32, "n_heads": 16, "d_ff": 5120},
    "giant": {"d_model": 1536, "n_layers": 40, "n_heads": 24, "d_ff": 4096, "gated": True, "act": "silu"},
}
_PLAIN = {
    "hidden_size": "d_model",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "layer_norm_eps": "eps",
    "num_channels": "n_channels",
    "qkv_bias": "qkv_bias",
    "attention_probs_dropout_prob": "dropout_attention",
}
_VIT = _PLAIN | {"intermediate_size": "d_ff", "hidden_dropout_prob": "dropout"}
_DINOV2 = _PLAIN | {"layerscale_value": "layer_scale", "drop_path_rate": "dropout_path", "use_swiglu_ffn": "gated"}
_MODEL = {"Model": (None, "first")}
_LABELS = {"ForImageClassification": ("classify", "first")}
_QKV = [f"attention.attention.{x}" for x in ("query", "key", "value")]
_VIT_PARTS = {
    "layernorm_before": "norm_attention",
    "attention.output.dense": "attention.out",
    "layernorm_after": "norm_mlp",
    "intermediate.dense": "mlp.up",
    "output.dense": "mlp.down",
}
_DINOV2_PARTS = {"norm1": "norm_attention", "attention.output.dense": "attention.out", "norm2": "norm_mlp"}


class Layout(NamedTuple):
    """How one of the four names its configuration and its classes, and what of the net it settles.

    settles: fields that are the same in every file. heads: what each class has for a head, and what that reads. other,
    fixed: keys of its configuration beyond what all have.
    """

    stem: str
    settles: dict[str, Any]
    heads: Mapping[str, tuple[str | None, str]]
    plain: Mapping[str, str]
    parts: Mapping[str, str]
    fixed: dict[str, Any]
    other: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ()

    def table(self, layout: str) -> ConfigTable:
        """Return the table of its config.json."""
        return ConfigTable(
            architecture=f"{self.stem}Model",
            plain=self.plain,
            words={"hidden_act": ("act", ACTS)},
            optional=("num_channels", "qkv_bias", "drop_path_rate", "use_swiglu_ffn", "use_mask_token"),
            twins={} if "pooler" in self.settles else {"pooler_output_size": "hidden_size"},
            fixed=self.fixed | {"model_type": layout},
            other=("image_size", "patch_size", *self.other),
            harmless=self.harmless,
        )

    def class_of(self, cfg: Any) -> str:
        """Return the reference's class for a net."""
        for name, (head, reads) in self.heads.items():
            if head == cfg.head and (reads == cfg.reads if head else cfg.reads != "mean") and not (head and cfg.pooler):
                return self.stem + name
        what = (
            f"{'a pooler and ' * cfg.pooler}a head that reads {cfg.reads}" if cfg.head else "the mean for its summary"
        )
        raise UnsupportedError(f"{self.stem} has no class with {what} in transformers. Save it in qkv's own format.")


_LIKE_VIT = Layout(
    stem="ViT",
    settles={
        "n_class": 1,
        "n_registers": 0,
        "gated": False,
        "layer_scale": None,
        "mask_token": False,
        "antialias": False,
    },
    heads=_MODEL | _LABELS,
    plain=_VIT,
    parts=_VIT_PARTS,
    fixed={"pooler_act": "tanh"},
    harmless=("encoder_stride",),
)
_LIKE_DINOV2 = Layout(
    stem="Dinov2",
    settles={"n_class": 1, "n_registers": 0, "pooler": False, "antialias": False},
    heads={"Model": (None, "first_and_mean"), "ForImageClassification": ("classify", "first_and_mean")},
    plain=_DINOV2 | {"use_mask_token": "mask_token"},
    parts=_DINOV2_PARTS,
    fixed={"hidden_dropout_prob": 0.0},
    other=("mlp_ratio",),
    harmless=("out_features", "out_indices", "stage_names", "apply_layernorm", "reshape_hidden_states"),
)
LAYOUTS = {
    "vit": _LIKE_VIT,
    "deit": _LIKE_VIT._replace(
        stem="DeiT",
        settles=_LIKE_VIT.settles | {"n_class": 2},
        heads=_MODEL | _LABELS | {"ForImageClassificationWithTeacher": ("classify", "each")},
    ),
    "dinov2": _LIKE_DINOV2,
    "dinov2_with_registers": _LIKE_DINOV2._replace(
        stem="Dinov2WithRegisters",
        settles={"n_class": 1, "pooler": False, "mask_token": True, "antialias": True},
        plain=_DINOV2 | {"num_register_tokens": "n_registers"},
    ),
}
_EVERYWHERE = {"place_class": True, "norm_late": False}


def from_hf(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of our Config; the head is the one of `architectures`, until the file's names say another."""
    name = config["model_type"]
    layout = LAYOUTS[name]
    faults: list[str] = []
    size, patch = read_sides(config, "image_size", faults), read_sides(config, "patch_size", faults, square=True)[0]
    ratio = config.get("mlp_ratio", 0 if "mlp_ratio" in layout.other else 1)
    if type(ratio) is not int or ratio < 1:
        faults.append(f'"mlp_ratio" is {ratio!r}, not a whole number')
    fields = layout.table(name).read(config, faults) | dict(layout.settles)
    if "mlp_ratio" in layout.other:
        gated = fields.get("gated", False)
        fields |= {"d_ff": _hidden(fields["d_model"] * ratio, gated)} | ({"act": "silu"} if gated else {})
    head, reads = read_head(config, {found: layout.stem + suffix for suffix, found in layout.heads.items()})
    made = {"picture_size": size, "patch": patch, "head": head, "reads": reads, "layout": name}
    return fields | count_labels(config, head) | made


def _hidden(width: int, gated: bool) -> int:
    """Return the width of DINOv2's MLP; a gated one has two thirds, rounded up to eights."""
    return (int(width * 2 / 3) + 7) // 8 * 8 if gated else width


def to_hf(cfg: Any) -> dict[str, Any]:
    """Return the `config.json` of the same net in transformers.

    How positions are resized goes with the layout and is not written, nor are rates of dropout that it has no key for.
    """
    layout = LAYOUTS[cfg.layout]
    name = layout.class_of(cfg)
    wrong = [k for k, v in (layout.settles | _EVERYWHERE).items() if k != "antialias" and getattr(cfg, k) != v]
    written = layout.table(cfg.layout).write(cfg)
    if "mlp_ratio" in layout.other:
        ratios = [ratio for ratio in range(1, 65) if _hidden(cfg.d_model * ratio, cfg.gated) == cfg.d_ff]
        written |= {"mlp_ratio": ratios[0]} if ratios else {}
        wrong += [] if ratios else ["d_ff"]
        wrong += ["layer_scale"] if cfg.layer_scale is None else []
        wrong += ["act"] if cfg.gated and cfg.act != "silu" else []
    if wrong:
        raise UnsupportedError(
            f"{layout.stem} cannot express this net's {', '.join(wrong)}. Save it in qkv's own format."
        )
    height, width = cfg.picture_size
    return {
        "architectures": [name],
        "model_type": cfg.layout,
        **written,
        "image_size": height if height == width else [height, width],
        "patch_size": cfg.patch,
        **number_labels(cfg),
    }


def fit(cfg: Any, names: Collection[str]) -> Any:
    """Return the configuration of the net that the tensors of a file are of: its head, its pooler, its mask token."""
    each, single = "cls_classifier.weight" in names, "classifier.weight" in names
    reads = "each" if each else LAYOUTS[cfg.layout].heads["ForImageClassification" if single else "Model"][1]
    return replace(
        cfg,
        head="classify" if each or single else None,
        reads=reads,
        pooler="pooler.dense.weight" in names,
        mask_token=any(name.endswith("embeddings.mask_token") for name in names) and cfg.layer_scale is not None,
    )


def rules(cfg: Any) -> list[Rule]:
    """Return the table of names between the files of a layout and our net."""
    layout, d = LAYOUTS[cfg.layout], cfg.d_model
    body = f"{cfg.layout}." if cfg.head else ""
    embeddings, block, own = f"{body}embeddings", f"{body}encoder.layer.*", "stack.blocks.*"
    pairs = {f"{embeddings}.patch_embeddings.projection": "patches", f"{body}layernorm": "stack.norm"}
    pairs |= {f"{block}.{theirs}": f"{own}.{ours}" for theirs, ours in layout.parts.items()}
    single = {f"{embeddings}.position_embeddings": "position"}
    if layout.parts is _DINOV2_PARTS:
        up, down = ("weights_in", "weights_out") if cfg.gated else ("fc1", "fc2")
        pairs |= {f"{block}.mlp.{up}": f"{own}.mlp.up", f"{block}.mlp.{down}": f"{own}.mlp.down"}
        scales = {"layer_scale1": "scale_attention", "layer_scale2": "scale_mlp"}
        single |= {f"{block}.{theirs}.lambda1": f"{own}.{ours}" for theirs, ours in scales.items()}
    if cfg.n_registers:
        single[f"{embeddings}.register_tokens"] = "registers"
    if cfg.mask_token:
        single[f"{embeddings}.mask_token"] = "mask"
    if cfg.pooler:
        pairs["pooler.dense"] = "pooler"
    if cfg.head:
        heads = ("cls_classifier", "distillation_classifier") if cfg.reads == "each" else ("classifier",)
        pairs |= {theirs: f"heads.{i}.out" for i, theirs in enumerate(heads)}
    both = ("weight", "bias")
    tokens = [f"{embeddings}.{token}" for token in ("cls_token", "distillation_token")[: cfg.n_class]]
    return [
        join(tokens, "prefix", 1, [1] * cfg.n_class) if cfg.n_class > 1 else same(tokens[0], "prefix"),
        *(same(theirs, ours) for theirs, ours in single.items()),
        *(same(f"{theirs}.{part}", f"{ours}.{part}") for theirs, ours in pairs.items() for part in both),
        *(
            join([f"{block}.{x}.{part}" for x in _QKV], f"{own}.attention.qkv.{part}", 0, (d, d, d))
            for part in both
            if part == "weight" or cfg.qkv_bias
        ),
    ]
