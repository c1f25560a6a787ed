"""GPT-1 and GPT-2 in the files of transformers 5.23: two layouts, whose products lie transposed."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from qkv.base.config import choose
from qkv.base.errors import UnsupportedError
from qkv.weights.configs import (
    ACTS,
    ConfigTable,
    count_labels,
    number_labels,
    read_head,
    read_special_ids,
    write_special_ids,
)
from qkv.weights.rules import Rule, flip, same, swap_body

_PLAIN = {
    "vocab_size": "vocab_size",
    "n_embd": "d_model",
    "n_layer": "n_layers",
    "n_head": "n_heads",
    "n_positions": "max_len",
    "layer_norm_epsilon": "eps",
    "resid_pdrop": "dropout",
    "attn_pdrop": "dropout_attention",
    "embd_pdrop": "dropout_embed",
}
_SUMMARY = ("summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels", "summary_first_dropout")
_TABLE = ConfigTable(
    architecture="GPT2Model",
    plain=_PLAIN,
    optional=("layer_norm_epsilon", "resid_pdrop", "attn_pdrop", "embd_pdrop", "activation_function", "afn"),
    # n_special: rows for special tokens that the first files added to those of vocab_size
    fixed={"tie_word_embeddings": True, "n_special": 0},
    other=("pad_token_id",),
    # summary: of the head for multiple choice; n_ctx: the side of a buffer that is no longer there
    harmless=(*_SUMMARY, "n_ctx", "predict_special_tokens"),
)


class Layout(NamedTuple):
    """What differs between the two: configuration, classes by head, names of the tables."""

    name: str
    table: ConfigTable
    classes: Mapping[str | None, str]
    token: str
    position: str


_GPT2 = Layout(
    name="gpt2",
    table=replace(
        _TABLE,
        words={"activation_function": ("act", ACTS)},
        fixed={
            **_TABLE.fixed,
            "model_type": "gpt2",
            "scale_attn_weights": True,
            "scale_attn_by_inverse_layer_idx": False,
        },
        other=(*_TABLE.other, "n_inner", "classifier_dropout"),
        harmless=(*_TABLE.harmless, "reorder_and_upcast_attn"),  # scores in fp32, as ours always are
    ),
    classes={
        "lm": "GPT2LMHeadModel",
        "classify": "GPT2ForSequenceClassification",
        "tag": "GPT2ForTokenClassification",
        None: "GPT2Model",
    },
    token="wte",
    position="wpe",
)
_GPT1 = Layout(
    name="openai-gpt",
    table=replace(
        _TABLE,
        architecture="OpenAIGPTModel",
        # what it calls gelu is the approximation by tanh
        words={"afn": ("act", {"gelu": "gelu_tanh", "relu": "relu", "silu": "silu", "swish": "silu"})},
        fixed={**_TABLE.fixed, "model_type": "openai-gpt"},
    ),
    classes={
        "lm": "OpenAIGPTLMHeadModel",
        "classify": "OpenAIGPTForSequenceClassification",
        None: "OpenAIGPTModel",
    },
    token="tokens_embed",
    position="positions_embed",
)
LAYOUTS = {layout.name: layout for layout in (_GPT2, _GPT1)}


def layout_of(cfg: Any) -> Layout:
    """Return the layout of a net's files: where the norms are tells GPT-1 from GPT-2."""
    return _GPT2 if cfg.pre_norm else _GPT1


def from_hf(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of our configuration; strict in both directions."""
    layout = choose("model_type", str(config.get("model_type", "gpt2")), LAYOUTS, "config.json")
    fields, head = layout.table.read(config), read_head(config, layout.classes)
    d = fields["d_model"]
    fields |= {"d_ff": config.get("n_inner") or (4 * d if isinstance(d, int) else d), "pre_norm": layout is _GPT2}
    fields |= {"head": head, **read_special_ids(config), **count_labels(config, head)}
    dropout = config.get("classifier_dropout")
    return fields if dropout is None else fields | {"dropout_head": dropout}


def to_hf(cfg: Any) -> dict[str, Any]:
    """Return the `config.json` of the same net in transformers."""
    layout = layout_of(cfg)
    if cfg.head not in layout.classes:
        raise UnsupportedError(f'{layout.name} has no "{cfg.head}" head in transformers. Save it in qkv\'s own format.')
    inner = {} if cfg.d_ff == 4 * cfg.d_model else {"n_inner": cfg.d_ff}
    if inner and not cfg.pre_norm:
        raise UnsupportedError(
            f"{layout.name} cannot express this net's d_ff {cfg.d_ff}, only 4 * d_model. Save it in qkv's own format."
        )
    return {
        "architectures": [layout.classes[cfg.head]],
        "model_type": layout.name,
        **layout.table.write(cfg),
        **inner,
        **write_special_ids(cfg),
        "tie_word_embeddings": True,
        **({"classifier_dropout": cfg.dropout_head} if cfg.head == "tag" else {}),
        **number_labels(cfg),
    }


def fit(cfg: Any, names: Collection[str]) -> Any:
    """Return the configuration of the net that the tensors of a file are of: they know the head best."""
    if "score.weight" in names:
        return replace(cfg, head="classify")
    if "classifier.weight" in names:
        return replace(cfg, head="tag")
    return replace(cfg, head="lm") if "lm_head.weight" in names else cfg


def rules(cfg: Any) -> list[Rule]:
    """Return the table of names between the files of a layout and our net."""
    layout, body = layout_of(cfg), "transformer." if cfg.head else ""
    block, ours = f"{body}h.*.", "stack.blocks.*."
    products = {
        "attn.c_attn": "attention.qkv",
        "attn.c_proj": "attention.out",
        "mlp.c_fc": "mlp.up",
        "mlp.c_proj": "mlp.down",
    }
    norms = {f"{block}ln_1": f"{ours}norm_attention", f"{block}ln_2": f"{ours}norm_mlp"}
    norms |= {f"{body}ln_f": "stack.norm"} if cfg.pre_norm else {}
    heads = {"classify": {"score.weight": "head.out.weight"}}
    heads["tag"] = {"classifier.weight": "head.out.weight", "classifier.bias": "head.out.bias"}
    return [
        same(f"{body}{layout.token}.weight", "token.weight"),
        same(f"{body}{layout.position}.weight", "position.weight"),
        *(flip(f"{block}{theirs}.weight", f"{ours}{mine}.weight") for theirs, mine in products.items()),
        *(same(f"{block}{theirs}.bias", f"{ours}{mine}.bias") for theirs, mine in products.items()),
        *(same(f"{theirs}.{part}", f"{mine}.{part}") for theirs, mine in norms.items() for part in ("weight", "bias")),
        *(same(theirs, mine) for theirs, mine in heads.get(cfg.head, {}).items()),
    ]


def aliases(cfg: Any) -> dict[str, str | None]:
    """Return the names in older files: without the body's name or with it, causal masks, the tied table once more."""
    found = swap_body(rules(cfg), "transformer.", named=cfg.head is not None)
    for prefix in ("", "transformer."):
        buffers = ("h.*.attn.bias", "h.*.attn.masked_bias", "position_ids")
        found |= {prefix + name: None for name in buffers}
    if cfg.head == "lm":
        found["lm_head.weight"] = f"transformer.{layout_of(cfg).token}.weight"
    return found
