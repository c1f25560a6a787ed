"""Llama in the files of transformers 5.23, whose configurations spell rotary positions in two ways."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from qkv.weights.configs import (
    ACTS,
    ConfigTable,
    count_labels,
    number_labels,
    read_head,
    read_special_ids,
    write_special_ids,
)
from qkv.weights.rules import Rule, join, same, swap_body

_TABLE = ConfigTable(
    architecture="LlamaModel",
    plain={
        "vocab_size": "vocab_size",
        "hidden_size": "d_model",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "num_key_value_heads": "n_kv_heads",
        "intermediate_size": "d_ff",
        "max_position_embeddings": "max_len",
        "rms_norm_eps": "eps",
        "attention_dropout": "dropout_attention",
        "tie_word_embeddings": "tied",
    },
    words={"hidden_act": ("act", ACTS)},
    optional=("num_key_value_heads", "attention_dropout", "tie_word_embeddings", "hidden_act"),
    # pretraining_tp: products cut in pieces, to have the rounding of the training
    fixed={
        "model_type": "llama",
        "attention_bias": False,
        "mlp_bias": False,
        "pretraining_tp": 1,
        "rope_interleaved": False,
    },
    other=("head_dim", "pad_token_id", "classifier_dropout", "rope_theta", "rope_scaling", "rope_parameters"),
    harmless=("is_llama_config", "transformers.js_config"),
)
CLASSES = {
    "lm": "LlamaForCausalLM",
    "classify": "LlamaForSequenceClassification",
    "tag": "LlamaForTokenClassification",
    None: "LlamaModel",
}
_STRETCH = ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings")


def from_hf(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of our configuration; strict in both directions."""
    rope = _rope(config)
    fields, head = _TABLE.read(config, faults=_rope_faults(rope)), read_head(config, CLASSES)
    fields.setdefault("n_kv_heads", fields["n_heads"])
    width, n_heads = config.get("head_dim"), fields["n_heads"]
    shared = type(width) is type(n_heads) is int and width * n_heads == fields["d_model"]
    fields |= {} if width is None or shared else {"d_head": width}
    fields |= {"head": head, "theta": rope["rope_theta"], **read_special_ids(config)}
    fields |= count_labels(config, head)
    if rope["rope_type"] == "llama3":
        *factors, old = (rope[key] for key in _STRETCH)
        fields["stretch"] = (*map(float, factors), old)
    dropout = config.get("classifier_dropout")
    return fields if dropout is None else fields | {"dropout_head": dropout}


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rotary parameters of either spelling: `rope_parameters`, or `rope_theta` beside `rope_scaling`."""
    told = config.get("rope_parameters") or config.get("rope_scaling") or {}
    rope: dict[str, Any] = {"rope_theta": config.get("rope_theta") or 10000.0}
    rope |= told if isinstance(told, dict) else {str(told): told}
    once = rope.pop("type", None)
    rope = {"rope_type": once or "default"} | rope
    return rope if once in (None, rope["rope_type"]) else rope | {"type": once}


def _rope_faults(rope: Mapping[str, Any]) -> list[str]:
    """Tell what of the rotary parameters our nets cannot be."""
    kinds = {"default": (), "llama3": _STRETCH}
    if rope["rope_type"] not in list(kinds):
        return [f'"rope_type" is {rope["rope_type"]!r}, not one of {", ".join(kinds)}']
    wanted = {"rope_theta", "rope_type", *kinds[rope["rope_type"]]}
    odd = [key for key in (*rope, *wanted) if key not in rope or key not in wanted]
    odd += [key for key in rope if key != "rope_type" and type(rope[key]) not in (int, float)]
    return [f'of "rope_type" {rope["rope_type"]!r} do not fit {", ".join(sorted({*odd}))}'] if odd else []


def to_hf(cfg: Any) -> dict[str, Any]:
    """Return the `config.json` of the same net in transformers."""
    rope = {"rope_theta": cfg.theta, "rope_type": "llama3" if cfg.stretch else "default"}
    return {
        "architectures": [CLASSES[cfg.head]],
        "model_type": "llama",
        **_TABLE.write(cfg),
        "head_dim": cfg.head_width,
        "rope_parameters": rope | dict(zip(_STRETCH, cfg.stretch or (), strict=False)),
        "attention_bias": False,
        "mlp_bias": False,
        **write_special_ids(cfg),
        **({"classifier_dropout": cfg.dropout_head} if cfg.head == "tag" else {}),
        **number_labels(cfg),
    }


def fit(cfg: Any, names: Collection[str]) -> Any:
    """Return the configuration of the net that the tensors of a file are of: they know the head best."""
    if "score.weight" in names:
        return replace(cfg, head="tag" if "score.bias" in names else "classify")
    return replace(cfg, head="lm") if "lm_head.weight" in names else cfg


def rules(cfg: Any) -> list[Rule]:
    """Return the table of names between the files and our net."""
    body = "model." if cfg.head else ""
    block, ours = f"{body}layers.*.", "stack.blocks.*."
    q, kv = cfg.n_heads * cfg.head_width, cfg.n_kv_heads * cfg.head_width
    pairs = {
        f"{body}embed_tokens": "token",
        f"{block}self_attn.o_proj": f"{ours}attention.out",
        f"{block}mlp.down_proj": f"{ours}mlp.down",
        f"{block}input_layernorm": f"{ours}norm_attention",
        f"{block}post_attention_layernorm": f"{ours}norm_mlp",
        f"{body}norm": "stack.norm",
    }
    if cfg.head == "lm" and not cfg.tied:
        pairs["lm_head"] = "head"
    if cfg.head in ("classify", "tag"):
        pairs["score"] = "head.out"
    return [
        *(same(f"{theirs}.weight", f"{mine}.weight") for theirs, mine in pairs.items()),
        *([same("score.bias", "head.out.bias")] if cfg.head == "tag" else []),
        join([f"{block}self_attn.{x}_proj.weight" for x in "qkv"], f"{ours}attention.qkv.weight", 0, (q, kv, kv)),
        join([f"{block}mlp.{x}_proj.weight" for x in ("gate", "up")], f"{ours}mlp.up.weight", 0, (cfg.d_ff, cfg.d_ff)),
    ]


def aliases(cfg: Any) -> dict[str, str | None]:
    """Return the names in older files: frequencies, the tied table once more, the body's name there or left out."""
    found = swap_body(rules(cfg), "model.", named=cfg.head is not None)
    for prefix in ("", "model."):
        found |= {f"{prefix}{name}rotary_emb.inv_freq": None for name in ("", "layers.*.self_attn.")}
    if cfg.head == "lm" and cfg.tied:
        found["lm_head.weight"] = "model.embed_tokens.weight"
    return found
