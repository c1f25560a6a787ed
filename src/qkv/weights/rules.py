"""Tables between the names in public weight files and ours: each row turns both ways, and nothing is left over.

| row | file to net | net to file |
|--|--|--|
| `same(theirs, ours)` | as it is | as it is |
| `flip(theirs, ours)` | transposed | transposed |
| `join(theirs, ours, dim, sizes)` | several laid end to end | cut apart |
| `cut(theirs, ours, dim, sizes)` | cut apart | several laid end to end |
| `tie(copy, source)` | ours is the same tensor under two names | written once, if truly the same |

In names `*` stands for one number, the same throughout a row: "layers.*.fc1.weight" is that weight of every layer.
Reading and writing take time linear in the number of tensors; nothing is copied but what is laid end to end.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

import torch
from torch import Tensor

from qkv.base.errors import WeightsError, nearest

T = TypeVar("T")
_NUMBER = re.compile("[0-9]+")


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of a table; make it with `same`, `flip`, `join`, `cut` or `tie`."""

    kind: Literal["same", "flip", "join", "cut", "tie"]
    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    dim: int = 0
    sizes: tuple[int, ...] = ()


def same(theirs: str, ours: str) -> Rule:
    """Give a tensor of the file our name."""
    return Rule("same", (theirs,), (ours,))


def flip(theirs: str, ours: str) -> Rule:
    """Swap the last two axes: for files that store products the other way round (Conv1D of GPT-2)."""
    return Rule("flip", (theirs,), (ours,))


def join(theirs: Sequence[str], ours: str, dim: int, sizes: Sequence[int]) -> Rule:
    """Lay tensors of the file, of these `sizes` along `dim`, end to end (q, k and v in one product)."""
    return Rule("join", tuple(theirs), (ours,), dim, tuple(sizes))


def cut(theirs: str, ours: Sequence[str], dim: int, sizes: Sequence[int]) -> Rule:
    """Cut a tensor of the file along `dim` into parts of these `sizes`."""
    return Rule("cut", (theirs,), tuple(ours), dim, tuple(sizes))


def tie(copy: str, source: str) -> Rule:
    """Say that one tensor of ours has two names and the file has it once: under that of `source`, by another row."""
    return Rule("tie", (), (copy, source))


def swap_body(rules: Iterable[Rule], body: str, *, named: bool) -> dict[str, str | None]:
    """Return aliases for files whose names lack the `body.` that the table's begin with, or have it where those do not.

    named: whether the table's have it.
    """
    here, there = (body, "") if named else ("", body)
    names = (name for rule in rules for name in rule.theirs if name.startswith(here))
    return {there + name.removeprefix(here): name for name in names}


def read_state(
    rules: Sequence[Rule],
    theirs: Mapping[str, Tensor],
    like: Mapping[str, Tensor],
    *,
    aliases: Mapping[str, str | None] | None = None,
    where: str = "this file",
    kind: str = "model",
) -> dict[str, Tensor]:
    """Return the tensors of a file under our names: one for each name of `like`, the net's state, and of its shape.

    Of `like` only shapes and kinds of number are read, so it may lie on the meta device. aliases: names that a file may
    have beyond those of the table, and what each is a name for today, in one step or more; None for what is dropped
    unread. A tensor that is there twice must be equal, bit for bit. where and kind name the file and its format in
    errors. Numbers keep their type; parts of a `cut` share memory, and a `flip` is a view.

    Raises WeightsError that lists all that is missing, unexpected or unfit.
    """
    rows = _spell_out(rules, like)
    wanted = {name: None for row in rows for name in row.theirs}
    faults = _Faults()
    found = _find(theirs, wanted, aliases or {}, faults)
    if len(found) * 10 < len(wanted):
        example = f'; its names are like "{min(theirs)}"' if theirs else ""
        raise WeightsError(
            f"{where} holds no {kind} weights: {len(found)} of {len(wanted)} {kind} names found{example}. "
            "Load it as the model that its config.json names."
        )
    faults.missing = [name for name in wanted if name not in found]
    ours: dict[str, Tensor] = {}
    for row in rows:
        if row.kind != "tie" and all(name in found for name in row.theirs):
            parts = [found[name] for name in row.theirs]
            misfits = list(_misfits(row, parts, like[row.ours[0]]))
            faults.unfit += misfits
            if not misfits:
                ours.update(zip(row.ours, _turn(row, parts), strict=True))
    faults.check(where, kind, len(wanted))
    _check_types(ours, where)
    ours.update({row.ours[0]: ours[row.ours[1]] for row in rows if row.kind == "tie"})
    return ours


def write_state(rules: Sequence[Rule], ours: Mapping[str, Tensor], *, where: str = "this net") -> dict[str, Tensor]:
    """Return the tensors of a net under the names of the file, the inverse of `read_state`.

    What is cut apart is views of ours. Raises WeightsError if the sizes of a row do not fill a tensor, or if tensors
    differ that the file has only once.
    """
    theirs: dict[str, Tensor] = {}
    for row in _spell_out(rules, ours):
        parts = [ours[name] for name in row.ours]
        if row.kind == "tie":
            if not _equal(*parts):
                raise WeightsError(
                    f"{where}: {row.ours[0]} and {row.ours[1]} differ, but the file has one tensor for both. "
                    "Tie them again, or choose a configuration that keeps them apart."
                )
            continue
        theirs.update(zip(row.theirs, _turn(row, parts), strict=True))
    return theirs


def _turn(row: Rule, parts: Sequence[Tensor]) -> list[Tensor]:
    """Turn the tensors of either side into those of the other: each step is its own inverse, or its pair's."""
    if row.kind == "same":
        return list(parts)
    if row.kind == "flip":
        return [parts[0].transpose(-1, -2)]
    return [torch.cat(list(parts), row.dim)] if len(parts) > 1 else list(parts[0].split(row.sizes, row.dim))


def _misfits(row: Rule, parts: Sequence[Tensor], like: Tensor) -> Iterator[str]:
    """Tell which tensors of the file have another shape or kind of number than the net asks for."""
    shape = list(like.shape)
    if row.kind == "flip":
        *outer, m, n = shape
        shapes = [[*outer, n, m]]
    elif row.kind == "join":
        shapes = [_resized(shape, row.dim, size) for size in row.sizes]
    else:
        shapes = [_resized(shape, row.dim, sum(row.sizes)) if row.kind == "cut" else shape]
    for name, part, wanted in zip(row.theirs, parts, shapes, strict=True):
        if list(part.shape) != wanted:
            yield f"{name}: file {list(part.shape)}, model {wanted}"
        elif part.is_floating_point() != like.is_floating_point():
            yield f"{name}: file {part.dtype}, model {like.dtype}"
        elif part.dtype != parts[0].dtype:
            yield f"{name}: {part.dtype}, but {row.theirs[0]}, which it joins, {parts[0].dtype}"


def _check_types(ours: Mapping[str, Tensor], where: str) -> None:
    """Refuse a net whose layers would not understand each other."""
    first = {x.dtype: name for name, x in reversed([*ours.items()]) if x.is_floating_point()}
    if len(first) > 1:
        told = ", ".join(f"{str(dtype).removeprefix('torch.')} ({name})" for dtype, name in first.items())
        raise WeightsError(
            f"{where} mixes types of numbers: {told}. Save the model in one of them (in transformers: model.to(dtype), "
            "then save_pretrained)."
        )


def _resized(shape: Sequence[int], dim: int, size: int) -> list[int]:
    return [size if axis == dim % len(shape) else n for axis, n in enumerate(shape)]


def _equal(a: Tensor, b: Tensor) -> bool:
    """Tell whether two tensors are equal to the bit, NaN included."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return a is b or torch.equal(a.reshape(-1).view(torch.uint8), b.reshape(-1).view(torch.uint8))


@dataclass(slots=True)
class _Faults:
    """What is wrong with a file, all of it, told in at most five lines."""

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)

    def check(self, where: str, kind: str, n_wanted: int) -> None:
        """Raise WeightsError if there is any fault."""
        if not (self.missing or self.unexpected or self.unfit):
            return
        counts = [f"{len(self.missing)} of {n_wanted} tensors missing"] if self.missing else []
        counts += [f"{len(self.unexpected)} unexpected"] if self.unexpected else []
        counts += [f"{len(self.unfit)} unfit"] if self.unfit else []
        lines = [f"{where} does not fit this {kind} model: {', '.join(counts)}. Is its config.json another model's?"]
        missing = [name + nearest(name, self.unexpected) for name in self.missing[:3]]
        for word, names in (("missing", missing), ("unexpected", self.unexpected), ("unfit", self.unfit)):
            if names:
                more = len(getattr(self, word)) - 3
                lines.append(f"{word}: {'; '.join(names[:3])}" + (f"; and {more} more" if more > 0 else ""))
        raise WeightsError("\n".join(lines))


def _find(
    theirs: Mapping[str, Tensor], wanted: Collection[str], aliases: Mapping[str, str | None], faults: _Faults
) -> dict[str, Tensor]:
    """Return the tensors of a file under today's names; note what has no business there."""
    found = {name: x for name, x in theirs.items() if name in wanted}
    index = _index(aliases.items())
    for name, x in theirs.items():
        today: str | None = name
        for _ in aliases:  # no chain of aliases is longer than their number
            if today is None or today in wanted:
                break
            if (hit := _look_up(index, today)) is None:
                break
            alias, numbers = hit
            today = alias and _fill(alias, numbers)
        if today is None:
            continue
        if today not in wanted:
            faults.unexpected.append(name)
        elif not _equal(found.setdefault(today, x), x):
            faults.unfit.append(f"{name} is a second copy of {today}, but differs from it")
    return found


def _spell_out(rules: Sequence[Rule], ours: Mapping[str, Tensor]) -> list[Rule]:
    """Return the rows with the names of one net in place of the stars: every name in one row, every row used."""
    index = _index((name, rule) for rule in rules for name in (rule.ours[:1] if rule.kind == "tie" else rule.ours))
    rows: dict[Rule, None] = {}
    used = set()
    faults = []
    for name in ours:
        if (hit := _look_up(index, name)) is None:
            faults.append(f"no row for {name}")
            continue
        rule, numbers = hit
        used.add(rule)
        theirs, mine = (tuple(_fill(star, numbers) for star in side) for side in (rule.theirs, rule.ours))
        rows[replace(rule, theirs=theirs, ours=mine)] = None
    faults += [f"nothing for {rule.ours[0]} in the net" for rule in rules if rule not in used]
    counts = Counter(name for row in rows for name in row.theirs)
    faults += [f"two rows for {name}" for name, count in counts.items() if count > 1]
    for row in rows:
        absent = [name for name in row.ours if name not in ours]
        faults += [f"no {name} in the net" for name in absent]
        if row.sizes and not absent:
            sizes = tuple(ours[name].shape[row.dim] for name in row.ours)
            fits = sizes == (row.sizes if row.kind == "cut" else (sum(row.sizes),))
            faults += [] if fits else [f"sizes {row.sizes} do not make the {sizes} of {row.ours[0]}"]
    if faults:
        more = f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise WeightsError(f"The table of names does not fit the net: {'; '.join(faults[:3])}{more}. Mend the table.")
    return list(rows)


def _index(pairs: Iterable[tuple[str, T]]) -> dict[str, list[tuple[re.Pattern[str], T]]]:
    """Sort templates by what is left of them without numbers, so that a name meets only the few that can fit."""
    index: dict[str, list[tuple[re.Pattern[str], T]]] = {}
    for template, value in pairs:
        pattern = re.compile(re.escape(template).replace(r"\*", "([0-9]+)"))
        index.setdefault(_NUMBER.sub("*", template) if "*" in template else template, []).append((pattern, value))
    return index


def _look_up(index: Mapping[str, list[tuple[re.Pattern[str], T]]], name: str) -> tuple[T, tuple[str, ...]] | None:
    """Return what the template of a name stands for, and the numbers in the places of its stars."""
    candidates = [pair for key in {name, _NUMBER.sub("*", name)} for pair in index.get(key, ())]
    hits = [(value, hit.groups()) for pattern, value in candidates if (hit := pattern.fullmatch(name))]
    if len(hits) > 1:
        raise WeightsError(f"The table of names has {len(hits)} rows for {name}. Mend the table.")
    return hits[0] if hits else None


def _fill(template: str, numbers: Sequence[str]) -> str:
    for number in numbers:
        template = template.replace("*", number, 1)
    return template
