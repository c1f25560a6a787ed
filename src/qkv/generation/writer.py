"""Ids become text as they come: whole characters, up to a stop string, and only what is sure to stay is passed on."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace

from qkv.generation.outputs import Hypothesis

Decode = Callable[[list[int]], str]
Stream = Callable[[int, list[int], str], None]

HALF = "\ufffd"  # what decoding shows for a character whose last bytes are still to come
CONTEXT = 8


class Writer:
    """The text of one output, id by id.

    With each new id only the last few are decoded again, some older ones with them: at the start of a text a tokenizer
    may write a token otherwise. `context`, the prompt's last ids, stands before the first. stream: called with the
    prompt's number, ids and text that no later token takes back.
    """

    def __init__(
        self, prompt: int, context: Sequence[int], decode: Decode, stops: Sequence[str], stream: Stream | None
    ) -> None:
        self.prompt, self.decode, self.stops, self.stream = prompt, decode, stops, stream
        self.text = self.settled = ""  # settled: of all ids but the last ones that end within a character
        self.ends: list[int] = []  # where the text of each settled id ends
        self.ids = list(context)[-CONTEXT:]
        self.n_context = self.n_known = len(self.ids)
        self.start = 0  # of the window that is decoded again; the ids up to `n_known` are settled
        self.passed = (0, 0)  # how many ids, how much text

    def take(self, token: int) -> int | None:
        """Add a token; return how many ids stand before a stop string, once there is one."""
        before = len(self.text)
        self.ids.append(token)
        self._read(HALF)
        found = [self.text.find(stop, max(0, before - len(stop) + 1)) for stop in self.stops]
        cut = min((place for place in found if place >= 0), default=None)
        if cut is None:
            return None
        self.text = self.text[:cut]
        return bisect_right(self.ends, cut)

    def pass_on(self, ids: list[int]) -> None:
        """Pass on what is sure to stay of the ids so far: no part of what may become a stop string."""
        sure = len(self.text) - _held_back(self.text, self.stops)
        self._pass_on(ids[: bisect_right(self.ends, sure)], sure)

    def finish(self, found: Hypothesis) -> Hypothesis:
        """Pass on what is left of an output; return it with its text."""
        if found.why != "stop":
            for token in found.ids[len(self.ids) - self.n_context : len(found.ids) - (found.why == "end")]:
                self.take(token)
            self._read("")  # no more bytes come
        self._pass_on(found.ids, len(self.text))
        return replace(found, text=self.text)

    def _read(self, half: str) -> None:
        """Decode what is new. All changes come at once, since Ctrl-C may fall between any two calls."""
        window, n_ids = self.ids[self.start :], len(self.ids)
        new = self.decode(window)[len(self.decode(window[: self.n_known - self.start])) :]
        whole = new.rstrip(half) if half else new
        text = self.settled + whole
        if whole == new:
            ends = self.ends + [len(text)] * (n_ids - self.n_context - len(self.ends))
            self.text, self.settled, self.ends, self.start, self.n_known = text, text, ends, self.n_known, n_ids
        else:
            self.text = text

    def _pass_on(self, ids: list[int], n_text: int) -> None:
        n_ids, before = self.passed
        if self.stream is not None and (len(ids) > n_ids or n_text > before):
            self.passed = (len(ids), n_text)
            self.stream(self.prompt, ids[n_ids:], self.text[before:n_text])


def _held_back(text: str, stops: Sequence[str]) -> int:
    """Return how long an end of the text may become a stop string with what comes next."""
    return max(
        (n for stop in stops for n in range(1, min(len(stop), len(text) + 1)) if text.endswith(stop[:n])), default=0
    )
