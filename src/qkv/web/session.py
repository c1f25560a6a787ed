"""What the explorer has open: a model, what was last looked at, and its trace."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from qkv.base.errors import DataError, UnsupportedError
from qkv.image.decode import read_picture
from qkv.web.line import Line
from qkv.web.wishes import Ablation, Look


@dataclass(frozen=True)
class Kept:
    """Bytes that are sent again and again, and the name of this version of them."""

    body: bytes
    etag: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "etag", f'"{hashlib.sha256(self.body).hexdigest()[:32]}"')


@dataclass
class Session:
    """An open model. `explain(model, given, **options)` returns a trace; `ablate` too, given what is `off`, `hidden`.

    given and trace: what the page shows first. The methods run the model: `line` calls them, one at a time.
    """

    model: Any
    given: Any
    trace: Kept
    takes: Literal["text", "picture"]
    explain: Callable[..., Any]
    ablate: Callable[..., Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    line: Line = field(default_factory=Line)

    def look(self, wish: Look) -> Kept:
        """Look at a text; from now on the page shows it."""
        if self.takes != "text":  # a text would be taken for the name of a file
            raise DataError("This model looks at pictures: send one, as PNG or JPEG.")
        return self._look(wish.given, wish.options)

    def look_at(self, picture: bytes) -> Kept:
        """Look at a picture file; from now on the page shows it."""
        if self.takes != "picture":
            raise DataError("This model reads text: send some, not a picture.")
        return self._look(read_picture(picture), {})

    def switch_off(self, wish: Ablation) -> Kept:
        """Look again at what the page shows, without some heads or tokens; the page keeps what it shows."""
        if self.ablate is None:
            raise UnsupportedError("Heads of this model cannot be switched off here.")
        trace = self.ablate(self.model, self.given, off=wish.heads, hidden=wish.mask, **self.options)
        return Kept(trace.to_bytes())

    def _look(self, given: Any, options: dict[str, Any]) -> Kept:
        kept = Kept(self.explain(self.model, given, **options).to_bytes())
        self.given, self.options, self.trace = given, options, kept
        return kept
