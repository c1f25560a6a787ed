"""Greedy and beam search over any net that writes: prompts are read once, finished ones leave the batch."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from qkv.generation.likeliest import likeliest
from qkv.generation.outputs import Hypothesis, Net, Why, check_eval, special_tokens


@dataclass(slots=True)
class Path:
    """The one output of a prompt, while it is written; totals: the log-probability up to each token."""

    prompt: int
    room: int
    ends: Collection[int]
    ids: list[int] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    why: Why | None = None

    def add(self, token: int, value: float, row: int) -> None:
        """Write one token, of log-probability `value`, by a row of the batch."""
        self.totals.append((self.totals[-1] if self.totals else 0.0) + value)
        self.rows.append(row)
        self.ids.append(token)
        if token in self.ends:
            self.why = "end"
        elif len(self.ids) == self.room:
            self.why = "room"

    def found(self) -> Hypothesis:
        """Return what was written; the score is that of one token in the mean."""
        n = len(self.ids)
        return Hypothesis(self.ids, self.totals[n - 1] / n if n else 0.0, self.rows[:n], self.why or "interrupted")


Begin = Callable[..., tuple[Tensor, Any]]
Choose = Callable[[Tensor, Sequence[Path]], tuple[Tensor, Tensor]]


@torch.inference_mode()
def greedy(
    net: Net,
    ids: Int[Tensor, "b s"],
    mask: Bool[Tensor, "b s"],
    *,
    room: int | Sequence[int],
    end_ids: Collection[int] | None = None,
    never: Collection[int] | None = None,
) -> list[Hypothesis]:
    """Take the likeliest token at every step; at most `room` tokens, for all prompts or for each.

    ids, mask: sources of an encoder-decoder, or prompts of a decoder, padded on the left. end_ids: tokens that end an
    output; never: tokens that none may hold. Unless given, the ends that the net's configuration names, and padding is
    never an answer of an encoder-decoder.
    """
    special = special_tokens(net, end_ids, never)
    paths = [Path(i, n, special.ends) for i, n in enumerate(each_room(room, ids.size(0)))]
    walk(net, partial(net.begin, ids, mask), paths, Likeliest(special.never))
    return [path.found() for path in paths]


class Likeliest(NamedTuple):
    """Chooses the likeliest token that may be written."""

    never: Sequence[int]

    def __call__(self, logits: Float[Tensor, "n v"], paths: Sequence[Path]) -> tuple[Tensor, Tensor]:
        """Return the log-probability (n) of each row's token, and the token (n)."""
        values, tokens = likeliest(logits, 1, self.never)
        return values[:, 0], tokens[:, 0]


def walk(
    net: Net, begin: Begin, paths: Sequence[Path], choose: Choose, heed: Callable[[Path], None] = lambda path: None
) -> None:
    """Write every path, one for each prompt, to its end, a token at a time.

    begin: `net.begin` with the prompts. choose: gives the log-probability and the token of each row of logits. heed: is
    told of each token; may shorten the path and end it. What an exception leaves behind is in the paths.
    """
    check_eval(net)
    alive = list(paths)
    logits, state = begin(beams=1, room=max(path.room for path in paths))
    while True:
        values, tokens = choose(logits, alive)
        for row, (path, value, token) in enumerate(zip(alive, values.tolist(), tokens.tolist(), strict=True)):
            path.add(token, value, row)
            heed(path)
        keep = [row for row, path in enumerate(alive) if path.why is None]
        if not keep:
            return
        if len(keep) < len(alive):
            rows = torch.tensor(keep, device=tokens.device)
            state, tokens = state.pick(rows, rows), tokens[rows]
            alive = [alive[row] for row in keep]
        logits = net.step(tokens, state)


class _Node(NamedTuple):
    """One token of a beam's output, the row that wrote it, and what came before."""

    token: int
    row: int
    before: "_Node | None"


@dataclass(slots=True)
class Beam:
    """The outputs of one prompt: the likeliest unfinished ones, and the best finished ones so far, best first."""

    prompt: int
    room: int
    width: int
    penalty: float
    ends: Collection[int]
    running: list[tuple[float, _Node | None]] = field(init=False)
    finished: list[tuple[float, _Node]] = field(default_factory=list)
    ended: bool = False

    def __post_init__(self) -> None:
        # all beams start alike: only the first may branch
        self.running = [(0.0 if i == 0 else -1e9, None) for i in range(self.width)]

    def advance(self, step: int, offset: int, candidates: "_Candidates") -> list[tuple[int, int]]:
        """Sort the best candidates into finished and running; return the rows and tokens of the running."""
        last, chosen = step == self.room, []
        running: list[tuple[float, _Node | None]] = []
        for rank, (score, token, beam) in enumerate(candidates):
            node = _Node(token, offset + beam, self.running[beam][1])
            if token in self.ends or last:
                if rank < self.width:
                    self.finished.append((score / step**self.penalty, node))
            elif len(running) < self.width:
                running.append((score, node))
                chosen.append((offset + beam, token))
        self.finished = sorted(self.finished, key=lambda pair: -pair[0])[: self.width]
        self.running = running
        full = len(self.finished) == self.width
        self.ended = last or (full and running[0][0] / step**self.penalty <= self.finished[-1][0])
        return chosen

    def found(self) -> Hypothesis:
        """Return the best finished output; before there is one, the likeliest unfinished one."""
        return self.ranked()[0]

    def ranked(self) -> list[Hypothesis]:
        """Return all finished outputs, best first; before there is one, the likeliest unfinished one."""
        return [self._spell(*one) for one in self.finished or self.running[:1]]

    def _spell(self, score: float, node: _Node | None) -> Hypothesis:
        ids, rows = [], []
        while node is not None:
            ids.append(node.token)
            rows.append(node.row)
            node = node.before
        if not self.finished:
            score /= max(len(ids), 1) ** self.penalty
        why: Why = "interrupted" if not self.ended else "end" if ids[0] in self.ends else "room"
        return Hypothesis(ids[::-1], score, rows[::-1], why)


_Candidates = list[tuple[float, int, int]]


@torch.inference_mode()
def beam_search(
    net: Net,
    ids: Int[Tensor, "b s"],
    mask: Bool[Tensor, "b s"],
    *,
    beams: int = 4,
    length_penalty: float = 1.0,
    room: int | Sequence[int],
    end_ids: Collection[int] | None = None,
    never: Collection[int] | None = None,
) -> list[Hypothesis]:
    """Keep the `beams` likeliest prefixes; return the best finished output of each prompt.

    A score is the log-probability divided by length ** length_penalty, the end token counted, the prompt not. A prompt
    stops when its best prefix, at its present length, could not enter its `beams` finished outputs any more
    (transformers' `early_stopping=False`), or after `room` tokens, for all or for each. ids, mask, end_ids and never as
    in `greedy`. Sutskever et al. 2014, section 3.2; Wu et al. 2016, section 7.
    """
    special = special_tokens(net, end_ids, never)
    every = [Beam(i, n, beams, length_penalty, special.ends) for i, n in enumerate(each_room(room, ids.size(0)))]
    walk_beams(net, partial(net.begin, ids, mask), every, special.never)
    return [beam.found() for beam in every]


def walk_beams(net: Net, begin: Begin, every: Sequence[Beam], never: Sequence[int]) -> None:
    """Write the beams of all prompts to their end, as `walk` does paths."""
    check_eval(net)
    alive, width = list(every), every[0].width
    logits, state = begin(beams=width, room=max(beam.room for beam in every))
    n_best, device = max(2, 1 + len(every[0].ends)) * width, logits.device  # if all ends are among them, enough go on
    step = 0
    while True:
        step += 1
        scores = torch.tensor([[score for score, _ in beam.running] for beam in alive], device=device)
        candidates = _branch(logits, scores, n_best, never)
        chosen = [beam.advance(step, i * width, candidates[i]) for i, beam in enumerate(alive)]
        keep = [i for i, beam in enumerate(alive) if not beam.ended]
        if not keep:
            return
        order = [row for i in keep for row, _ in chosen[i]]
        if order != list(range(len(alive) * width)):
            sources = torch.tensor(keep, device=device) if len(keep) < len(alive) else None
            state = state.pick(torch.tensor(order, device=device), sources)
        alive = [alive[i] for i in keep]
        logits = net.step(torch.tensor([token for i in keep for _, token in chosen[i]], device=device), state)


def _branch(
    logits: Float[Tensor, "n v"], scores: Float[Tensor, "b k"], n_best: int, never: Sequence[int]
) -> list[_Candidates]:
    """Return, for each prompt, the best `n_best` continuations of all its beams."""
    b, width = scores.shape
    values, tokens = likeliest(logits, min(n_best, logits.size(-1)), never)
    total = (values.view(b, width, -1) + scores[..., None]).flatten(1)
    best, at = total.topk(n_best)
    beam, token = at // tokens.size(1), tokens.view(b, -1).gather(1, at)
    return [list(zip(*row, strict=True)) for row in zip(best.tolist(), token.tolist(), beam.tolist(), strict=True)]


def each_room(room: int | Sequence[int], n: int) -> Sequence[int]:
    """Return the room of each of n prompts."""
    return [room] * n if isinstance(room, int) else room
