"""DeBERTa-v2 and v3 in the files of transformers 5.23, and in those that their authors published."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from qkv.weights.configs import ACTS, ConfigTable, count_labels, number_labels, read_head
from qkv.weights.rules import Rule, join, same

_TERMS = {"p2c": "position_to_content", "c2p": "content_to_position"}
# What transformers takes where a file says nothing: seldom what the published nets are.
_UNSAID = {
    "conv_act": "tanh",
    "conv_kernel_size": 0,
    "max_relative_positions": -1,
    "norm_rel_ebd": "none",
    "pos_att_type": [],
    "position_biased_input": True,
    "position_buckets": -1,
    "relative_attention": False,
    "share_att_key": False,
}
_COUNTS = {"conv_kernel_size": "conv_width", "max_relative_positions": "max_distance", "position_buckets": "n_buckets"}
_TABLE = ConfigTable(
    architecture="DebertaV2Model",
    plain={
        "vocab_size": "vocab_size",
        "hidden_size": "d_model",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "d_ff",
        "max_position_embeddings": "max_len",
        "share_att_key": "shared",
        "layer_norm_eps": "eps",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "dropout_attention",
        "cls_dropout": "dropout_head",
        "pad_token_id": "pad_id",
        "legacy": "legacy_head",
    },
    words={
        "hidden_act": ("act", ACTS),
        "conv_act": ("conv_act", {"tanh": "tanh"} | ACTS),
    },
    optional=("layer_norm_eps", "cls_dropout", "pad_token_id", "legacy"),
    twins={"embedding_size": "hidden_size", "pooler_hidden_size": "hidden_size"},
    fixed={
        "model_type": "deberta-v2",
        "relative_attention": True,
        "position_biased_input": False,
        "type_vocab_size": 0,
        "conv_groups": 1,
        "pooler_dropout": 0,
        "pooler_hidden_act": "gelu",
        "tie_word_embeddings": True,
    },
    other=("attention_head_size", "norm_rel_ebd", "pos_att_type", *_COUNTS),
)
CLASSES = {
    None: "DebertaV2Model",
    "mlm": "DebertaV2ForMaskedLM",
    "classify": "DebertaV2ForSequenceClassification",
    "tag": "DebertaV2ForTokenClassification",
}
_PARTS = {  # of a block
    "attention.output.dense": "attention.out",
    "attention.output.LayerNorm": "norm_attention",
    "intermediate.dense": "mlp.up",
    "output.dense": "mlp.down",
    "output.LayerNorm": "norm_mlp",
}
_MASKED = {  # the masked head's layer, norm and bias
    True: ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias"),
    False: ("lm_predictions.lm_head.dense", "lm_predictions.lm_head.LayerNorm", "lm_predictions.lm_head.bias"),
}


def from_hf(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of our Config; the head is the one of `architectures`, until the file's names say another."""
    config = _UNSAID | {key: value for key, value in config.items() if value is not None or key not in _UNSAID}
    fields = _TABLE.read(config, list(_faults(config)))
    fields |= {ours: config[key] if config[key] > 0 else None for key, ours in _COUNTS.items()}
    fields["norm_relative"] = config["norm_rel_ebd"] == "layer_norm"
    fields |= {ours: term in _terms(config["pos_att_type"]) for term, ours in _TERMS.items()}
    head = read_head(config, CLASSES)
    return fields | count_labels(config, head) | {"head": head}


def _faults(config: Mapping[str, Any]) -> Iterator[str]:
    yield from (f'"{key}" is {config[key]!r}, not a whole number' for key in _COUNTS if type(config[key]) is not int)
    if not _terms(config["pos_att_type"]):
        yield f'"pos_att_type" is {config["pos_att_type"]!r}, not {" or ".join(_TERMS)} or both'
    if config["norm_rel_ebd"] not in ("layer_norm", "none"):
        yield f'"norm_rel_ebd" is {config["norm_rel_ebd"]!r}, not layer_norm or none'
    head, n_heads, hidden = (config.get(key) for key in ("attention_head_size", "num_attention_heads", "hidden_size"))
    if head is not None and not (type(head) is type(n_heads) is int and head * n_heads == hidden):
        yield f'"attention_head_size" is {head!r}, but {n_heads} of them must make the "hidden_size", {hidden!r}'


def _terms(told: Any) -> list[str]:
    """Return the terms that a configuration adds to the scores, told as a list or as "p2c|c2p"; none if that is odd."""
    terms = [term.strip() for term in told.lower().split("|")] if isinstance(told, str) else told
    return terms if isinstance(terms, list) and all(term in tuple(_TERMS) for term in terms) else []


def to_hf(cfg: Any) -> dict[str, Any]:
    """Return the `config.json` of the same net in transformers."""
    counts = {key: getattr(cfg, ours) for key, ours in _COUNTS.items()}
    return {
        "architectures": [CLASSES[cfg.head]],
        **{key: value for key, value in _TABLE.write(cfg).items() if value is not None},
        **{key: _UNSAID[key] if value is None else value for key, value in counts.items()},
        **{key: _TABLE.fixed[key] for key in ("model_type", "relative_attention", "position_biased_input")},
        "norm_rel_ebd": "layer_norm" if cfg.norm_relative else "none",
        "pos_att_type": [term for term, ours in _TERMS.items() if getattr(cfg, ours)],
        "tie_word_embeddings": True,
        **number_labels(cfg),
    }


def fit(cfg: Any, names: Collection[str]) -> Any:
    """Return the configuration of the net that the tensors of a file are of: its head, and under which names."""
    for legacy, parts in _MASKED.items():
        if any(f"{part}.weight" in names or part in names for part in parts):
            return replace(cfg, head="mlm", legacy_head=legacy)
    if "classifier.weight" in names:
        return replace(cfg, head="classify" if "pooler.dense.weight" in names else "tag")
    return replace(cfg, head=None)


def rules(cfg: Any) -> list[Rule]:
    """Return the table of names between such files and our net."""
    d, body = cfg.d_model, "deberta." if cfg.head else ""
    theirs, ours = f"{body}encoder.layer.*", "stack.blocks.*"
    pairs = {f"{theirs}.{name}": f"{ours}.{part}" for name, part in _PARTS.items()}
    pairs[f"{body}embeddings.LayerNorm"] = "norm"
    single = {f"{body}embeddings.word_embeddings.weight": "token.weight"}
    single[f"{body}encoder.rel_embeddings.weight"] = "relative.weight"
    if cfg.norm_relative:
        pairs[f"{body}encoder.LayerNorm"] = "norm_relative"
    if cfg.conv_width is not None:
        pairs |= {f"{body}encoder.conv.conv": "stack.blocks.0.conv"}
        pairs |= {f"{body}encoder.conv.LayerNorm": "stack.blocks.0.norm_conv"}
    if cfg.head == "mlm":
        dense, norm, bias = _MASKED[cfg.legacy_head]
        pairs |= {dense: "head.dense", norm: "head.norm"}
        single[bias] = "head.bias"
    if cfg.head in ("classify", "tag"):
        pairs |= {"pooler.dense": "head.dense"} if cfg.head == "classify" else {}
        pairs["classifier"] = "head.out"
    joined = {"qkv": ["query_proj", "key_proj", "value_proj"]}
    if not cfg.shared:
        queries, keys = ["pos_query_proj"] * cfg.position_to_content, ["pos_key_proj"] * cfg.content_to_position
        joined["position"] = queries + keys
    both = ("weight", "bias")
    return [
        *(same(name, part) for name, part in single.items()),
        *(same(f"{name}.{kind}", f"{part}.{kind}") for name, part in pairs.items() for kind in both),
        *(
            join(
                [f"{theirs}.attention.self.{x}.{kind}" for x in xs], f"{ours}.attention.{part}.{kind}", 0, [d] * len(xs)
            )
            for part, xs in joined.items()
            for kind in both
        ),
    ]


def aliases(cfg: Any) -> dict[str, str | None]:
    """Return what else published files hold: a second copy of the tied table, and what is left of training.

    Of training are left positions that the net does not read, the discriminator's own share of the tables, which have
    it in them (v3, section 3.3), and its head, which tells replaced tokens.
    """
    body = "deberta." if cfg.head else ""
    found: dict[str, str | None] = {f"{body}embeddings.position_ids": None}
    found |= {f"{body}embeddings.position_embeddings.{name}": None for name in ("weight", "_weight")}
    found[f"{body}embeddings.word_embeddings._weight"] = None
    for part in ("dense", "LayerNorm", "classifier"):
        found |= {f"mask_predictions.{part}.{kind}": None for kind in ("weight", "bias")}
    if cfg.head == "mlm" and cfg.legacy_head:
        found["cls.predictions.decoder.weight"] = f"{body}embeddings.word_embeddings.weight"
        found["cls.predictions.decoder.bias"] = "cls.predictions.bias"
    return found
