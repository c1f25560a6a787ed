"""A small real training: pairs of words, narrow nets, every part of the state in use."""

from pathlib import Path
from typing import Any

from models.tiny import shrink
from qkv.base import seeds
from qkv.models import get_size
from qkv.tasks.translation import Translation
from qkv.text.tokenizer import train_tokenizer
from qkv.training.loop import Training
from qkv.training.recipe import Recipe
from verbs.small_runs import PAIRS

RECIPE: dict[str, Any] = {
    "steps": 12,
    "budget": 120,
    "lr": 1e-2,
    "warmup": 3,
    "validate_every": 2,
    "checkpoint_every": 3,
    "log_every": 1,
    "seed": 5,
}
BOTH = train_tokenizer("words", (text for pair in PAIRS for text in (pair.source, pair.target)))


def make_training(
    folder: Path, size: str = "transformer-tiny", *, n: int = 96, dropout: float = 0.2, **recipe: Any
) -> Training:
    """Return a training of a narrow net on the first `n` pairs, watched on others."""
    folder.mkdir(exist_ok=True)
    family, published = get_size(size)
    vocabularies = {"vocab_size": BOTH.vocab_size}
    if published.target_vocab_size is not None:
        vocabularies["target_vocab_size"] = BOTH.vocab_size
    cfg = shrink(published, dropout=dropout, **vocabularies)
    settings = Recipe(**RECIPE | recipe)
    seeds.plant(settings.seed, 0)
    net = family.net(cfg)
    watching = Translation(BOTH, BOTH, cfg)
    task = Translation(BOTH, BOTH, cfg, smoothing=settings.smoothing)
    watched = [watching.encode(pair) for pair in PAIRS[-24:]]
    examples = [task.encode(pair) for pair in PAIRS[:n]]
    return Training(net, task, examples, settings, folder, lambda net: watching.figures(net, watched))
