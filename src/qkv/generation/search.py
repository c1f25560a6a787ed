"""Greedy and beam search over any encoder-decoder: sources are read once, finished ones leave the batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from qkv.base.errors import UnsupportedError
from qkv.models.family import EncoderDecoder


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One finished output.

    ids: the tokens, the end token included if it was reached. score: log-probability / length ** penalty.
    rows: which row of each step's batch wrote the token: with it, what was seen in a step can be stitched to the ids.
    """

    ids: list[int]
    score: float
    rows: list[int]


class _Node(NamedTuple):
    """One token of an unfinished output, the row that wrote it, and what came before."""

    token: int
    row: int
    before: "_Node | None"


def _unroll(node: _Node | None, score: float) -> Hypothesis:
    ids, rows = [], []
    while node is not None:
        ids.append(node.token)
        rows.append(node.row)
        node = node.before
    return Hypothesis(ids[::-1], score, rows[::-1])


@torch.inference_mode()
def greedy(
    net: EncoderDecoder, source: Int[Tensor, "b s"], source_mask: Bool[Tensor, "b s"], *, room: int | Sequence[int]
) -> list[Hypothesis]:
    """Take the likeliest token at every step, never the padding; at most `room` tokens, for all sources or for each."""
    _check_eval(net)
    rooms = _rooms(room, source.size(0))
    state = net.start(source, source_mask, beams=1, room=max(rooms))
    alive, done = list(range(source.size(0))), {}
    paths: list[_Node | None] = [None] * len(alive)
    scores = [0.0] * len(alive)
    ids = source.new_full((len(alive),), net.cfg.start_id)
    for step in range(1, max(rooms) + 1):
        values, tokens = _best(net.step(ids, state), 1, net.cfg.pad_id)
        for row, (value, token) in enumerate(zip(values[:, 0].tolist(), tokens[:, 0].tolist(), strict=True)):
            paths[row], scores[row] = _Node(token, row, paths[row]), scores[row] + value
        keep = []
        for row, source_id in enumerate(alive):
            if tokens[row, 0] == net.cfg.end_id or step == rooms[source_id]:
                done[source_id] = _unroll(paths[row], scores[row] / step)
            else:
                keep.append(row)
        if not keep:
            break
        ids = tokens[keep, 0]
        if len(keep) < len(alive):
            rows = torch.tensor(keep, device=source.device)
            state = state.pick(rows, rows)
            alive, paths, scores = ([part[row] for row in keep] for part in (alive, paths, scores))
    return [done[i] for i in range(source.size(0))]


@dataclass(slots=True)
class _Search:
    """The beam of one source: its unfinished outputs, and the best finished ones so far, best first."""

    source: int
    beams: int
    penalty: float
    paths: list[_Node | None]
    finished: list[tuple[float, _Node]] = field(default_factory=list)
    ended: bool = False

    def advance(
        self, step: int, last: bool, end_id: int, offset: int, candidates: list[tuple[float, int, int]]
    ) -> list[tuple[float, int, int]]:
        """Sort the 2 * beams best candidates (score, token, beam) into finished and running; return the running."""
        running: list[tuple[float, int, int]] = []
        paths = []
        for rank, (score, token, beam) in enumerate(candidates):
            node = _Node(token, offset + beam, self.paths[beam])
            if token == end_id or last:
                if rank < self.beams:
                    self.finished.append((score / step**self.penalty, node))
            elif len(running) < self.beams:
                running.append((score, token, beam))
                paths.append(node)
        self.finished = sorted(self.finished, key=lambda pair: -pair[0])[: self.beams]
        self.paths = paths
        full = len(self.finished) == self.beams
        self.ended = last or (full and running[0][0] / step**self.penalty <= self.finished[-1][0])
        return running


@torch.inference_mode()
def beam_search(
    net: EncoderDecoder,
    source: Int[Tensor, "b s"],
    source_mask: Bool[Tensor, "b s"],
    *,
    beams: int = 4,
    length_penalty: float = 1.0,
    room: int | Sequence[int],
) -> list[Hypothesis]:
    """Keep the `beams` likeliest prefixes; return the best finished output of each source.

    A score is the log-probability divided by length ** length_penalty, the end token counted. A source stops when its
    best prefix, at its present length, could not enter its `beams` finished outputs any more (transformers'
    `early_stopping=False`), or after `room` tokens, for all or for each. Sutskever et al. 2014, section 3.2; Wu et al.
    2016, section 7.
    """
    _check_eval(net)
    device, end_id = source.device, net.cfg.end_id
    rooms = _rooms(room, source.size(0))
    state = net.start(source, source_mask, beams=beams, room=max(rooms))
    searches = [_Search(i, beams, length_penalty, [None] * beams) for i in range(source.size(0))]
    done: dict[int, Hypothesis] = {}
    scores = torch.full((len(searches), beams), -1e9, device=device)
    scores[:, 0] = 0.0  # all beams start alike: only the first may branch
    ids = source.new_full((len(searches) * beams,), net.cfg.start_id)
    for step in range(1, max(rooms) + 1):
        candidates = _branch(net.step(ids, state), scores, net.cfg.pad_id)
        running = [
            search.advance(step, step == rooms[search.source], end_id, i * beams, candidates[i])
            for i, search in enumerate(searches)
        ]
        for search in searches:
            if search.ended:
                score, node = search.finished[0]
                done[search.source] = _unroll(node, score)
        keep = [i for i, search in enumerate(searches) if not search.ended]
        if not keep:
            break
        order = [i * beams + beam for i in keep for _, _, beam in running[i]]
        if order != list(range(len(searches) * beams)):
            sources = torch.tensor(keep, device=device) if len(keep) < len(searches) else None
            state = state.pick(torch.tensor(order, device=device), sources)
        searches = [searches[i] for i in keep]
        scores = torch.tensor([[score for score, _, _ in running[i]] for i in keep], device=device)
        ids = torch.tensor([token for i in keep for _, token, _ in running[i]], device=device)
    return [done[i] for i in range(source.size(0))]


def _check_eval(net: EncoderDecoder) -> None:
    if net.training:
        raise UnsupportedError(
            "The net is in training mode, where dropout garbles what it writes: call net.eval() first."
        )


def _rooms(room: int | Sequence[int], n: int) -> Sequence[int]:
    return [room] * n if isinstance(room, int) else room


def _best(logits: Float[Tensor, "n v"], k: int, banned: int) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Return the k largest log-probabilities of each row, in fp32, and their tokens, `banned` never among them.

    The logits are used up: fresh memory for as many numbers costs more than all that is done with them.
    """
    top = logits.amax(-1, keepdim=True)
    kept = logits[:, banned].clone()
    logits[:, banned] = float("-inf")
    values, tokens = _largest(logits, k)
    logits[:, banned] = kept
    total = logits.sub_(top).exp_().sum(-1, keepdim=True, dtype=torch.float32).log() + top
    return values.float() - total, tokens


def _largest(x: Float[Tensor, "n v"], k: int, width: int = 128) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """Return `x.topk(k)`, four times as fast for a large vocabulary: only chunks with a large maximum are searched."""
    n_chunks = x.size(1) // width
    if n_chunks <= k:
        return x.topk(k)
    whole = n_chunks * width
    chunks = x[:, :whole].unflatten(1, (n_chunks, width)).amax(-1).topk(k, sorted=False).indices
    ids = (chunks[..., None] * width + torch.arange(width, device=x.device)).flatten(1)
    rest = torch.arange(whole, x.size(1), device=x.device).expand(x.size(0), -1)
    ids = torch.cat((ids, rest), 1)
    values, at = x.gather(1, ids).topk(k)
    return values, ids.gather(1, at)


def _branch(
    logits: Float[Tensor, "n v"], scores: Float[Tensor, "b k"], banned: int
) -> list[list[tuple[float, int, int]]]:
    """Return, for each source, the best 2 * beams continuations of all its beams as (score, token, beam)."""
    b, beams = scores.shape
    width = min(2 * beams, logits.size(-1))
    values, tokens = _best(logits, width, banned)
    total = (values.view(b, beams, width) + scores[..., None]).flatten(1)
    best, at = total.topk(2 * beams)
    beam, token = at // width, tokens.view(b, -1).gather(1, at)
    return [list(zip(*row, strict=True)) for row in zip(best.tolist(), token.tolist(), beam.tolist(), strict=True)]
