"""What the calls of one seat left behind, and how the steps of a decode make one call of it again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qkv.base.errors import UnsupportedError
from qkv.nn.where import Where
from qkv.ops.tiles import Call, Scored, Weighed


class Step(NamedTuple):
    """One call. x: its queries, or its weights where it had no scores. k, v, mask: what is new of keys and values.

    sources: which rows of the first step's memory its own are: those of inputs that are done leave.
    """

    x: Tensor
    k: Tensor | None = None
    v: Tensor | None = None
    mask: Tensor | None = None
    sources: tuple[int, ...] = ()


@dataclass(slots=True)
class Run:
    """Calls that belong together: one pass, or the steps of one decode.

    cached: they read a cache that grows; else all look at the memory of the first. held: the memory as the last call
    had it. n_keys: how many the cache has. prompt: how many of the steps read it, and how many hypotheses each row of
    it was spread to. facts: of each step, where facts are all that is wanted.
    """

    where: Where
    scale: float | None
    cached: bool = False
    held: Tensor | None = None
    sources: tuple[int, ...] = ()
    n_keys: int = 0
    steps: list[Step] = field(default_factory=list)
    prompt: tuple[int, int] = (0, 1)
    facts: list[dict[str, Any]] = field(default_factory=list)

    def call(self, rows: Sequence[int] | None = None) -> Call:
        """Return the call that all steps make together; of one hypothesis, if `rows` says which row wrote each token.

        Without rows, UnsupportedError for a decode of several, which may have changed places.
        """
        steps = self._pick(rows)
        x = torch.cat([step.x for step in steps], 2)
        if steps[0].k is None:
            return Weighed(x)
        where, mask = self.where, steps[0].mask
        if self.cached:
            mask = torch.cat([_columns(step) for step in steps], -1)
            mask, keys = None if bool(mask.all()) else mask, [step.k for step in steps if step.k is not None]
            return Scored(x, torch.cat(keys, 2), mask, causal=True, scale=self.scale)
        return Scored(x, steps[0].k, mask, where.bias, where.causal, self.scale, where.lengths)

    def values(self, rows: Sequence[int] | None = None) -> Tensor:
        """Return the values beside the keys of `call`."""
        parts: list[Any] = [step.v for step in self._pick(rows)]
        return torch.cat(parts, 2) if self.cached else parts[0]

    def _pick(self, rows: Sequence[int] | None) -> list[Step]:
        """Return the steps of one row, or all of them as they are."""
        if rows is None:
            alike = len({step.x.shape[:1] + step.x.shape[2:3] for step in self.steps}) == 1
            teacher = alike and self.steps[0].x.size(2) == 1 and self.steps[0].k is None
            if len(self.steps) == 1 or teacher:
                return self.steps
            if self._n_rows() > 1:
                raise UnsupportedError(
                    f"{len(self.steps)} steps of several hypotheses were seen: say whose, rows=hypothesis.rows."
                )
            rows = [0] * (len(self.steps) - max(0, self.prompt[0] - 1))
        n_prompt, beams = self.prompt
        if n_prompt:
            rows = [rows[0] // beams] * n_prompt + list(rows[1:])
        pairs = zip(self.steps, rows, strict=False)
        return [_row(step, row) if self.cached else self._share(step, row) for step, row in pairs]

    def _n_rows(self) -> int:
        return max(step.x.size(0) * (1 if self.cached else step.x.size(2)) for step in self.steps)

    def _share(self, step: Step, row: int) -> Step:
        """Return one row of a step whose rows lie one after the other before the memory that they share."""
        n, memory = step.x.size(2), self.steps[0]
        source, at = step.sources[row // n], slice(row // n, row // n + 1)
        return _row(memory, source)._replace(x=step.x[at, :, row % n, None])


def _row(step: Step, row: int) -> Step:
    here = slice(row, row + 1)
    k, v = (x if x is None else x[here] for x in (step.k, step.v))
    return Step(step.x[here], k, v, step.mask if step.mask is None or step.mask.size(0) == 1 else step.mask[here])


def _columns(step: Step) -> Tensor:
    """Return which of a step's new keys are real."""
    n = step.k.size(2)  # type: ignore[union-attr]
    if step.mask is None:
        return step.x.new_ones(step.x.size(0), 1, 1, n, dtype=torch.bool)
    return step.mask.expand(step.x.size(0), 1, 1, n)


def find_rows(x: Tensor, known: Tensor) -> tuple[int, ...] | None:
    """Return which rows of `known` these are, in their order; None if one is none of them."""
    found, at = [], 0
    for row in x:
        while at < known.size(0) and not torch.equal(row, known[at]):
            at += 1
        if at == known.size(0):
            return None
        found.append(at)
        at += 1
    return tuple(found)
