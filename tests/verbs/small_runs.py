"""Small models and data for the tests of verbs and command line: made in milliseconds, saved as `qkv train` saves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from models.tiny import WIDTHS, shrink
from qkv.base import seeds
from qkv.data.pairs import Pair
from qkv.data.parallel import write_pairs
from qkv.model import Translator
from qkv.models import FAMILIES, get_family, get_size
from qkv.text.tokenizer import train_tokenizer

COLOURS = {"red": "rouge", "green": "verte", "white": "blanche", "black": "noire", "yellow": "jaune", "blue": "bleue"}
THINGS = {"house": "maison", "car": "voiture", "apple": "pomme", "chair": "chaise", "table": "table", "door": "porte"}
NUMBERS = {"one": "une", "two": "deux", "three": "trois", "four": "quatre", "five": "cinq", "six": "six"}
THINGS_SEEN = [
    Pair(f"{number} {colour} {thing}", f"{numéro} {chose} {couleur}")
    for number, numéro in NUMBERS.items()
    for colour, couleur in COLOURS.items()
    for thing, chose in THINGS.items()
]
PAIRS = [
    Pair(f"{a.source}, {b.source}", f"{a.target} et {b.target}") if i % 3 == 0 else a
    for i, (a, b) in enumerate(zip(THINGS_SEEN, THINGS_SEEN[50:] + THINGS_SEEN[:50], strict=True))
]


def make_model(size: str = "transformer-tiny", *, seed: int = 0, **changes: Any) -> Translator:
    """Return an untrained model of narrow width that knows the words of PAIRS."""
    family, cfg = get_size(size)
    both = train_tokenizer("words", (text for pair in PAIRS for text in (pair.source, pair.target)))
    vocabularies = {"vocab_size": both.vocab_size}
    if cfg.target_vocab_size is not None:
        vocabularies["target_vocab_size"] = both.vocab_size
    seeds.plant(seed, 0)
    net = family.net(shrink(cfg, **vocabularies | changes)).eval()
    return Translator(net, both, both, card={"data": "words.tsv"})


def save_model(folder: Path, size: str = "transformer-tiny", **changes: Any) -> Path:
    """Write such a model into a folder, and return the folder."""
    make_model(size, **changes).save(folder)
    return folder


def write_words(path: Path, n: int = len(PAIRS)) -> Path:
    """Write the first pairs as a parallel file, and return its path."""
    write_pairs(path, PAIRS[:n])
    return path


def narrow_sizes(patch: Any) -> None:
    """Make all sizes narrow for one test, by a MonkeyPatch; what is trained then takes milliseconds a step."""
    narrow = {name: value for name, value in WIDTHS.items() if name not in ("max_len", "dropout")}
    for family in map(get_family, FAMILIES):
        for name, cfg in dict(family.sizes).items():
            smaller = {k: v for k, v in narrow.items() if getattr(cfg, k, None) is not None}
            patch.setitem(family.sizes, name, replace(cfg, **smaller))
