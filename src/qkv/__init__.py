"""qkv: the attention lineage on one small core. Names are loaded when first used; importing qkv imports no torch."""

from importlib import import_module
from typing import Any

from qkv.base.version import __version__

_PLACES = {
    "Model": "qkv.model",
    "check_data": "qkv.verbs.check_data",
    "convert": "qkv.verbs.convert",
    "demo": "qkv.verbs.demo",
    "edit_heads": "qkv.inside.surgery",
    "embed": "qkv.verbs.read",
    "fill": "qkv.verbs.read",
    "finetune": "qkv.verbs.finetune",
    "generate": "qkv.verbs.generate",
    "diff": "qkv.verbs.diff",
    "doctor": "qkv.verbs.doctor",
    "evaluate": "qkv.verbs.evaluate",
    "explain": "qkv.model.explain",
    "explore": "qkv.verbs.explore",
    "importance": "qkv.inside.surgery",
    "info": "qkv.verbs.info",
    "lineage": "qkv.verbs.lineage",
    "list_models": "qkv.verbs.info",
    "load": "qkv.model",
    "look": "qkv.inside.look",
    "predict": "qkv.verbs.read",
    "pretrain": "qkv.verbs.pretrain",
    "prune": "qkv.inside.pruning",
    "relevance": "qkv.inside.relevance",
    "tables": "qkv.verbs.tables",
    "trace": "qkv.verbs.trace",
    "train": "qkv.verbs.train",
    "translate": "qkv.verbs.translate",
    "verify": "qkv.verbs.verify",
}

__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'qkv' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
