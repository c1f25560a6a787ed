"""What the page may ask of the model, read strictly from JSON."""

import dataclasses
import json
from typing import Any, TypeVar

from qkv.base.config import from_dict, to_dict
from qkv.base.errors import DataError, brief

T = TypeVar("T")
MOST_KEYS = 16
LIMITS = {"n_tokens": (1, 1024), "top": (1, 64)}
ANY_PLACE = (0, 2**31 - 1)  # of a layer, a head, a token: which there are is for the model to say


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """A text, or a pair of them, to look at; the rest as in `qkv.model.explain`."""

    text: str
    pair: str | None = None
    target: str | None = None
    n_tokens: int | None = None
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    exact: bool | None = None
    top: int | None = None

    def __post_init__(self) -> None:
        _check_numbers(self)
        if empty := [name for name in ("layers", "heads") if getattr(self, name) == ()]:
            raise DataError(f"The request: {empty[0]} is empty; leave it out to see all.")

    @property
    def given(self) -> str | tuple[str, str]:
        """What is looked at."""
        return self.text if self.pair is None else (self.text, self.pair)

    @property
    def options(self) -> dict[str, Any]:
        """What was asked for besides."""
        return {name: value for name, value in to_dict(self).items() if name not in ("text", "pair")}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Ablation:
    """Heads to switch off, as (layer, head), and tokens to hide."""

    heads: tuple[tuple[int, int], ...] = ()
    mask: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _check_numbers(self)


def read_wish(kind: type[T], body: bytes) -> T:
    """Read a Look or an Ablation from the body of a request; DataError or ConfigError says what is wrong with it."""
    try:
        wish = json.loads(body.decode(), parse_constant=_refuse_constant)
        if not isinstance(wish, dict):
            raise DataError("The request must be a JSON object in braces.")
        if len(wish) > MOST_KEYS:
            raise DataError(f"The request has {len(wish):,} keys; {MOST_KEYS} are allowed.")
        json.dumps(wish, ensure_ascii=False).encode()  # half a character, "\ud800", is JSON but no text
        return from_dict(kind, wish, "The request")
    except UnicodeEncodeError:
        raise DataError("The request holds half a character (a lone surrogate).") from None
    except UnicodeDecodeError as error:
        raise DataError(f"The request is not UTF-8: byte {error.start:,} is wrong.") from None
    except RecursionError:
        raise DataError("The request is nested too deeply.") from None
    except ValueError as error:
        raise DataError(f"The request is not JSON: {error}.") from None


def _refuse_constant(name: str) -> None:
    raise DataError(f"The request holds {name}, which is not JSON.")


def _check_numbers(wish: Any) -> None:
    """Raise DataError for the first number that no net can mean."""
    for name, value in to_dict(wish).items():
        low, high = LIMITS.get(name, ANY_PLACE)
        for number in _numbers(value):
            if not low <= number <= high:
                raise DataError(f"The request: {name} holds {brief(number)}; it must be from {low} to {high:,}.")


def _numbers(value: Any) -> list[int]:
    if isinstance(value, tuple):
        return [number for item in value for number in _numbers(item)]
    return [value] if type(value) is int else []
