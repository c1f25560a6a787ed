"""BERT and its family in the files of transformers 5.23: five layouts, each with a table of its own, one net."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from qkv.base.errors import UnsupportedError
from qkv.weights.configs import ACTS, ConfigTable, count_labels, number_labels, read_head
from qkv.weights.rules import Rule, join, same

_BERT = {
    "vocab_size": "vocab_size",
    "hidden_size": "d_model",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "d_ff",
    "type_vocab_size": "n_segments",
    "layer_norm_eps": "eps",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "dropout_attention",
    "classifier_dropout": "dropout_head",
    "pad_token_id": "pad_id",
}
_DISTILBERT = {
    "vocab_size": "vocab_size",
    "dim": "d_model",
    "n_layers": "n_layers",
    "n_heads": "n_heads",
    "hidden_dim": "d_ff",
    "dropout": "dropout",
    "attention_dropout": "dropout_attention",
    "seq_classif_dropout": "dropout_head",
    "pad_token_id": "pad_id",
}
_OPTIONAL = ("layer_norm_eps", "classifier_dropout", "pad_token_id", "type_vocab_size")
_FIXED = {"position_embedding_type": "absolute", "tie_word_embeddings": True, "sinusoidal_pos_embds": False}
_HARMLESS = ("qa_dropout", "tie_weights_", "pooler_fc_size", "pooler_num_attention_heads", "pooler_num_fc_layers",
             "pooler_size_per_head", "pooler_type")  # fmt: skip
_OTHER = ("max_position_embeddings",)


class Layout(NamedTuple):
    """How one of the five names its configuration and its tensors, and what of the net it settles.

    prefix: of the body's names where a head stands beside it. stem: of its classes. settles: fields that are equal in
    every file. parts: names within a block, theirs and ours. masked: the masked head's layer, norm and bias. label: the
    layer before the scores of a text, if there is one, and the scores. plain, act, acts: its configuration's keys and
    activations.
    """

    prefix: str
    stem: str
    settles: Mapping[str, Any]
    blocks: str
    qkv: tuple[str, str, str]
    parts: Mapping[str, str]
    masked: tuple[str, str, str]
    label: tuple[str | None, str]
    plain: Mapping[str, str] = _BERT
    act: str = "hidden_act"
    acts: Mapping[str, str] = ACTS

    def table(self, layout: str) -> ConfigTable:
        """Return the table of its config.json."""
        return ConfigTable(
            architecture=f"{self.stem}Model",
            plain=self.plain,
            words={self.act: ("act", self.acts)},
            optional=_OPTIONAL,
            fixed=_FIXED | {"model_type": layout},
            other=_OTHER,
            harmless=_HARMLESS,
        )

    def class_of(self, head: str | None) -> str:
        """Return the reference's class for a head."""
        return self.stem + CLASSES[head]


CLASSES = {
    None: "Model",
    "mlm": "ForMaskedLM",
    "pretraining": "ForPreTraining",
    "classify": "ForSequenceClassification",
    "tag": "ForTokenClassification",
}
_BERT_PARTS = {
    "attention.output.dense": "attention.out",
    "attention.output.LayerNorm": "norm_attention",
    "intermediate.dense": "mlp.up",
    "output.dense": "mlp.down",
    "output.LayerNorm": "norm_mlp",
}
_DISTILBERT_PARTS = {
    "attention.out_lin": "attention.out",
    "sa_layer_norm": "norm_attention",
    "ffn.lin1": "mlp.up",
    "ffn.lin2": "mlp.down",
    "output_layer_norm": "norm_mlp",
}
_QKV = ("attention.self.query", "attention.self.key", "attention.self.value")
_LM = "cls.predictions"
_LIKE_BERT = Layout(
    prefix="bert",
    stem="Bert",
    settles={"summary": "pooler"},
    blocks="encoder.layer",
    qkv=_QKV,
    parts=_BERT_PARTS,
    masked=(f"{_LM}.transform.dense", f"{_LM}.transform.LayerNorm", f"{_LM}.bias"),
    label=(None, "classifier"),
)
_LIKE_ROBERTA = _LIKE_BERT._replace(
    prefix="roberta",
    settles={"summary": "tanh"},
    masked=("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),
    label=("classifier.dense", "classifier.out_proj"),
    acts={"gelu": "gelu"},  # the layer of its masked head knows no other
)
LAYOUTS = {
    "bert": _LIKE_BERT,
    "roberta": _LIKE_ROBERTA._replace(stem="Roberta"),
    "camembert": _LIKE_ROBERTA._replace(stem="Camembert"),
    "xlm-roberta": _LIKE_ROBERTA._replace(stem="XLMRoberta"),
    "distilbert": Layout(
        prefix="distilbert",
        stem="DistilBert",
        settles={"summary": "relu", "n_segments": 0, "pooler": False},
        blocks="transformer.layer",
        qkv=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        parts=_DISTILBERT_PARTS,
        masked=("vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),
        label=("pre_classifier", "classifier"),
        plain=_DISTILBERT,
        act="activation",
    ),
}


def from_hf(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of our Config; the head is the one of `architectures`, until the file's names say another."""
    name = config["model_type"]
    layout = LAYOUTS[name]
    rows = config.get("max_position_embeddings")
    faults = [] if isinstance(rows, int) else ['missing key "max_position_embeddings"']
    fields = layout.table(name).read(config, faults) | dict(layout.settles) | {"layout": name}
    first = fields.get("pad_id", 0) + 1 if layout.prefix == "roberta" else 0
    head = read_head(config, {head: layout.class_of(head) for head in CLASSES})
    pooler = layout.settles.get("pooler", head in (None, "pretraining", "classify"))
    fields |= {"first_position": first, "max_len": (rows or 0) - first, "head": head, "pooler": pooler}
    return fields | count_labels(config, head)


def to_hf(cfg: Any) -> dict[str, Any]:
    """Return the `config.json` of the same net in transformers."""
    layout = LAYOUTS[cfg.layout]
    if cfg.head == "pretraining" and cfg.layout != "bert":
        raise UnsupportedError(
            f'{layout.stem} has no "pretraining" head in transformers. Save it in qkv\'s own format.'
        )
    wrong = [k for k, v in layout.settles.items() if k != "pooler" and getattr(cfg, k) != v]
    if wrong:
        raise UnsupportedError(
            f"{layout.stem} cannot express this net's {', '.join(wrong)}. Save it in qkv's own format."
        )
    written = layout.table(cfg.layout).write(cfg)
    return {
        "architectures": [layout.class_of(cfg.head)],
        "model_type": cfg.layout,
        **{key: value for key, value in written.items() if value is not None},
        "max_position_embeddings": cfg.max_len + cfg.first_position,
        "tie_word_embeddings": True,
        **number_labels(cfg),
    }


def fit(cfg: Any, names: Collection[str]) -> Any:
    """Return the configuration of the net that the tensors of a file are of: its head, and whether it has a pooler."""
    layout = LAYOUTS[cfg.layout]
    dense, _, bias = layout.masked
    pooler = any("pooler.dense.weight" in name for name in names)
    if bias in names or f"{dense}.weight" in names:
        head = "pretraining" if "cls.seq_relationship.weight" in names else "mlm"
    elif f"{layout.label[1]}.weight" in names:
        texts = pooler if layout.label[0] is None else f"{layout.label[0]}.weight" in names
        head = cfg.head if cfg.head in ("classify", "tag") and pooler else "classify" if texts else "tag"
    elif "classifier.weight" in names:
        head = "tag"
    else:
        head = None
    return replace(cfg, head=head, pooler=pooler)


def rules(cfg: Any) -> list[Rule]:
    """Return the table of names between the files of a layout and our net."""
    layout, d = LAYOUTS[cfg.layout], cfg.d_model
    body = f"{layout.prefix}." if cfg.head else ""
    block = f"{body}{layout.blocks}.*"
    pairs = {f"{block}.{theirs}": f"stack.blocks.*.{ours}" for theirs, ours in layout.parts.items()}
    pairs |= {f"{body}embeddings.LayerNorm": "norm"}
    if cfg.pooler:
        pairs[f"{body}pooler.dense"] = "pooler"
    single = {f"{body}embeddings.word_embeddings.weight": "token.weight"}
    single[f"{body}embeddings.position_embeddings.weight"] = "position.weight"
    if cfg.n_segments:
        single[f"{body}embeddings.token_type_embeddings.weight"] = "segment.weight"
    if cfg.head in ("mlm", "pretraining"):
        dense, norm, bias = layout.masked
        pairs |= {dense: "head.dense", norm: "head.norm"}
        single[bias] = "head.bias"
    if cfg.head == "pretraining":
        pairs["cls.seq_relationship"] = "follows"
    if cfg.head == "classify":
        dense, out = layout.label
        pairs |= ({dense: "head.dense"} if dense else {}) | {out: "head.out"}
    if cfg.head == "tag":
        pairs["classifier"] = "head.out"
    both = ("weight", "bias")
    return [
        *(same(theirs, ours) for theirs, ours in single.items()),
        *(same(f"{theirs}.{part}", f"{ours}.{part}") for theirs, ours in pairs.items() for part in both),
        *(
            join([f"{block}.{x}.{part}" for x in layout.qkv], f"stack.blocks.*.attention.qkv.{part}", 0, (d, d, d))
            for part in both
        ),
    ]


def aliases(cfg: Any) -> dict[str, str | None]:
    """Return the names in older files: norms as gamma and beta, numbers of positions, the tied table a second time."""
    layout = LAYOUTS[cfg.layout]
    body = f"{layout.prefix}." if cfg.head else ""
    table = f"{body}embeddings.word_embeddings.weight"
    found: dict[str, str | None] = {f"{body}embeddings.position_ids": None}
    if cfg.head in ("mlm", "pretraining"):
        decoder, bias = layout.masked[2].removesuffix("bias"), layout.masked[2]
        found |= {f"{decoder}decoder.weight": table, f"{decoder}decoder.bias": bias, f"{decoder}weight": table}
    for rule in rules(cfg):
        for name in rule.theirs:
            for today, once in (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")):
                if name.endswith(today):
                    found[name.removesuffix(today) + once] = name
    return found
