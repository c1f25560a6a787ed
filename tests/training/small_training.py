"""A small real training: pairs of words, narrow nets, every part of the state in use."""

from itertools import takewhile
from pathlib import Path
from typing import Any

from models.tiny import shrink
from qkv.base import seeds
from qkv.models import get_size
from qkv.tasks.translation import Translation
from qkv.text.tokenizer import train_tokenizer
from qkv.training.checkpoint import TrainingState, load_newest
from qkv.training.log import read_log
from qkv.training.loop import Event, Stepped, Training
from qkv.training.recipe import Recipe
from training.crash.states import same_bits
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


def steps_of(events: list[Event]) -> list[tuple]:
    """Return every step as figures that are equal in equal runs, floats to the last bit."""
    return [
        (e.step, e.loss.hex(), e.plain.hex(), e.lr.hex(), e.norm.hex(), e.n_units, e.skipped)
        for e in events
        if isinstance(e, Stepped)
    ]


def state_of(folder: Path) -> TrainingState:
    """Return the newest checkpoint, which must be sound."""
    state, notes = load_newest(folder)
    assert state is not None
    assert not notes
    return state


def log_of(folder: Path) -> list[dict[str, Any]]:
    """Return the log without its clocks."""
    clocks = ("seconds", "tokens_per_s")
    return [{k: v for k, v in line.items() if k not in clocks} for line in read_log(folder / "metrics.jsonl")]


def break_after(training: Training, step: int) -> list:
    """Run to a step and leave as a crash would: without a word."""
    events = training.run()
    seen = list(takewhile(lambda event: not (isinstance(event, Stepped) and event.step == step), events))
    events.close()
    return seen


def same_net(a: Training, b: Training) -> bool:
    one, two = a.net.state_dict(), b.net.state_dict()
    return one.keys() == two.keys() and all(same_bits(one[name], two[name]) for name in one)
