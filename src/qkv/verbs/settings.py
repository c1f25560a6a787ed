"""What a training is asked to do: everything that `run.json` keeps and that makes a run repeatable."""

import dataclasses
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from qkv.base import files
from qkv.base.config import from_dict
from qkv.base.errors import ConfigError, nearest
from qkv.image.augment import Augmentation
from qkv.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings:
    """A training of a translator.

    model: a size, such as "bahdanau-tiny". data: a parallel file, or cldr:dates, cldr:numbers, cldr:names; then source,
    target (locales), items (how many are joined, "1-3") and n_examples choose what is made. tokenizer: how both sides
    are cut; vocab_size bounds their tokens. dropout: the net's own, in place of the size's.
    """

    example: ClassVar[str] = "qkv train transformer-tiny names.tsv"

    model: str
    data: str
    source: str = "en"
    target: str = "fr"
    items: str = "1-1"
    n_examples: int = 20_000
    valid: str | None = None
    on_bad: Literal["raise", "skip"] = "raise"
    tokenizer: Literal["words", "chars", "bpe"] = "words"
    vocab_size: int = 8000
    dropout: float | None = None
    recipe: Recipe = Recipe()  # noqa: RUF009 - frozen


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainSettings:
    """A training from nothing on raw text.

    model: a size, such as "gpt-tiny". data: pydoc, or a user's text. objective: the net's natural one if None.
    tokenizer: the folder of one that exists; without it one of at most `vocab_size` tokens is learned. window: tokens
    that are read at once, the size's `max_len` if None. share, whole_words: what "mlm" hides. dropout,
    dropout_attention: the net's own, in place of the size's.
    """

    example: ClassVar[str] = "qkv pretrain gpt-tiny pydoc"

    model: str
    data: str
    objective: Literal["causal", "mlm"] | None = None
    valid: str | None = None
    on_bad: Literal["raise", "skip"] = "raise"
    tokenizer: str | None = None
    vocab_size: int | None = None
    window: int | None = None
    share: float = 0.15
    whole_words: bool = True
    dropout: float | None = None
    dropout_attention: float | None = 0.0
    recipe: Recipe = Recipe()  # noqa: RUF009 - frozen


@dataclass(frozen=True, kw_only=True, slots=True)
class LearnSettings:
    """A training on labels, from a model or from nothing; or of a model that goes on with raw text.

    model: a folder or a name on the hub; of qkv train, a size. data: a TSV with labels, a folder of pictures, "digits";
    raw text for the other objectives. columns: of the TSV, the label last. fold: of the digits, which fifth to test on.
    truncate: cut long texts; stride: or split them, so many tokens shared. freeze: "body", or a pattern of names of
    parameters that stay as they are. augment: changes of pictures. The rest is as in PretrainSettings.
    """

    example: ClassVar[str] = "qkv finetune MODEL reviews.tsv"

    model: str
    data: str
    objective: Literal["classify", "causal", "mlm"] = "classify"
    columns: str | None = None
    valid: str | None = None
    on_bad: Literal["raise", "skip"] = "raise"
    fold: int | None = None
    truncate: bool = False
    stride: int | None = None
    freeze: str | None = None
    vocab_size: int | None = None
    window: int | None = None
    share: float = 0.15
    whole_words: bool = True
    dropout: float | None = None
    dropout_attention: float | None = None
    augment: Augmentation = Augmentation()  # noqa: RUF009 - frozen
    recipe: Recipe = Recipe()  # noqa: RUF009 - frozen


MAKES_CLDR = {"source": "--from", "target": "--to", "items": "--items", "n_examples": "--n-examples"}
Settings = TypeVar("Settings", TrainSettings, PretrainSettings, LearnSettings)


def merge(*layers: Mapping[str, Any], where: str, kind: type[Settings] = TrainSettings) -> Settings:
    """Join layers of options, later ones win; those of a table may stand beside the others. Strict on names."""
    fields = dataclasses.fields(kind)
    inside = {one.name: _names(type(one.default)) for one in fields if dataclasses.is_dataclass(one.default)}
    outer: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {name: {} for name in inside}
    for layer in layers:
        given = {k: v for k, v in layer.items() if v is not None}
        for name, names in inside.items():
            table = given.pop(name, {})
            if not isinstance(table, dict):
                raise ConfigError(f'{where}: "{name}" is {table!r}, wanted a table of settings.')
            tables[name] |= table
            tables[name] |= {k: given.pop(k) for k in list(given) if k in names}
        outer |= given
    known = _names(kind).union(*inside.values())
    unknown = [f'"{name}".{nearest(name, known)}' for name in outer if name not in known]
    if unknown:
        raise ConfigError(f"{where}: there is no setting {' and no '.join(unknown)}")
    missing = [name for name in ("model", "data") if name not in outer]
    if missing:
        raise ConfigError(f"{where}: no {' and no '.join(missing)}, as in: {kind.example}")
    return from_dict(kind, {**outer, **tables}, where)


def pace(*layers: Mapping[str, Any]) -> dict[str, int]:
    """Return how often a run of so many steps is looked at, and how long it warms up, unless the user says."""
    steps = [layer.get("steps") or layer.get("recipe", {}).get("steps") for layer in reversed(layers)]
    tenth = max(1, next((n for n in steps if isinstance(n, int)), Recipe().steps) // 10)
    return {"warmup": min(100, tenth), "validate_every": tenth, "checkpoint_every": tenth}


def _names(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def read_settings(path: Path) -> dict[str, Any]:
    """Read options from a recipe in TOML, or from the run.json of a run (to repeat it)."""
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text) if path.suffix == ".toml" else _read_run(text)["settings"]
    except FileNotFoundError:
        raise ConfigError(f"There is no file {path}: give a recipe in TOML, or the run.json of a run.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError, ConfigError) as error:
        raise ConfigError(f"{path} is neither a recipe in TOML nor a run.json: {error}") from None


def read_run(folder: Path) -> dict[str, Any]:
    """Return what a run's folder says of the run; ConfigError where it is no run."""
    path = folder / "run.json"
    try:
        return _read_run(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{folder} is no run: it has no run.json. Start one with: qkv train MODEL DATA.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError, ConfigError) as error:
        raise ConfigError(f"{path} is damaged: {error}") from None


def _read_run(text: str) -> dict[str, Any]:
    run = json.loads(text)
    if not isinstance(run, dict) or not isinstance(run.get("settings"), dict):
        raise ConfigError('it holds no "settings".')
    return run


def refuse_idle(data: str, options: Mapping[str, Any]) -> None:
    """Raise ConfigError for options that would change nothing: --valid beside cldr: data, the others beside a file."""
    built_in = data.startswith("cldr:")
    idle = {"valid": "--valid"} if built_in else MAKES_CLDR
    given = [spelled for name, spelled in idle.items() if options.get(name) is not None]
    if given:
        why = "has its own validation split" if built_in else "is a file, and they choose what cldr: data is made"
        raise ConfigError(f"{data} takes no {' and no '.join(given)}: it {why}.")


def free_folder(out: Path | str | None, name: str) -> Path:
    """Return the folder of a new run: `out`, which may hold nothing yet, or the first free one of runs/NAME-2 ..."""
    if out is None:
        places = (Path("runs") / (name if n == 1 else f"{name}-{n}") for n in count(1))
        return next(place for place in places if not place.exists())
    folder = Path(out)
    files.sweep(folder)  # what a start that was killed may have left
    if (folder / "run.json").exists():
        raise ConfigError(f"{folder} holds a run already: go on with --resume {folder}, or name another --out.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and is not empty: remove it, or name another --out.")
    return folder
