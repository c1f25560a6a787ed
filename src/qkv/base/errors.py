"""The errors qkv raises at its users. One sentence each: what is wrong, where, which value, what to do."""

import difflib
from collections.abc import Iterable


class QkvError(Exception):
    """Any error a user of qkv can cause and mend; the command line shows its message without a traceback."""

    exit_code = 1


class ConfigError(QkvError):
    """A setting, option or configuration file is not what qkv understands."""

    exit_code = 2


class ShapeError(QkvError):
    """Tensors, lengths or ids do not fit the model."""


class WeightsError(QkvError):
    """A weight file is damaged or does not belong to the model."""


class DataError(QkvError):
    """A user's data breaks a rule of its format."""

    exit_code = 65


class UnsupportedError(QkvError):
    """What was asked for cannot be expressed or is not available here."""


def brief(value: object) -> str:
    """Spell a value as Python would write it, or the beginning of one that is long: files may hold any."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ' Did you mean "x"?' for the closest of `names`, or an empty string when nothing is close."""
    close = difflib.get_close_matches(name[:80], list(names), n=1, cutoff=0.6)
    return f' Did you mean "{close[0]}"?' if close else ""
