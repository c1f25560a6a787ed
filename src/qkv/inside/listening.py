"""What a look does at a seat: take from each call what is wanted, as little as that is."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from qkv.base.errors import ConfigError, UnsupportedError
from qkv.inside.stitch import Run, Step, find_rows
from qkv.models.family import MapSpec
from qkv.nn.where import EVERYWHERE, Where
from qkv.ops import facts
from qkv.ops.tiles import Scored, Weighed


class Track:
    """The calls of one seat as they are heard: whole passes, and decodes step by step.

    heads: those to be watched, all if None. asked: the facts to be computed at once, with their arguments; then nothing
    else is kept. half: keep queries and keys in fp16. values: keep values, too.
    """

    def __init__(
        self, spec: MapSpec, heads: Sequence[int] | None, asked: Mapping[str, Any], *, half: bool, values: bool
    ) -> None:
        self.spec, self.asked, self.half, self.values = spec, asked, half, values
        self.heads = None if heads is None else list(heads)
        self.runs: list[Run] = []
        self._at: tuple[Tensor, Tensor] | None = None

    def run(self) -> Run:
        """Return the one run that was heard; UnsupportedError if there were several."""
        if len(self.runs) > 1:
            raise UnsupportedError(
                f"{len(self.runs)} passes were seen, and one can be shown: open a look for each of them."
            )
        return self.runs[0]

    def one(self, x: Tensor, head: int | None) -> Tensor:
        """Return what belongs to one head, by its number in the net, or x for none."""
        if head is None:
            return x
        there = list(range(self.spec.heads)) if self.heads is None else self.heads
        if head not in there:
            raise ConfigError(f"Head {head} of layer {self.spec.layer} was not watched; there are {there}.")
        return x[:, there.index(head)]

    def prompt_read(self, beams: int) -> None:
        """Note that what was heard of the last run is its prompt, and that `beams` hypotheses of it go on."""
        if self.runs and self.runs[-1].cached and not self.runs[-1].prompt[0]:
            self.runs[-1].prompt = (len(self.runs[-1].steps) or len(self.runs[-1].facts), beams)

    def weigh(self, module: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        """Hear a call of `nn.scores.Weigh`."""
        run = self._memory(inputs[1], EVERYWHERE, None)
        weights = output[1].detach()[:, None]
        if self.asked:
            run.facts.append(facts.summarise(Weighed(weights), self.asked))
        else:
            v = inputs[1].detach()[:, None] if self.values and not run.steps else None
            run.steps.append(Step(weights, v=v, sources=run.sources))

    def attend(self, module: Any, inputs: tuple[Tensor, Tensor, Tensor, Where], output: Tensor) -> None:
        """Hear a call of `nn.attention.Attend`."""
        q, k, v, where = inputs
        if where.at is not None and where.bias is None:
            self._grow(q, k, v, where, module.scale)
            return
        run = self._memory(k, where, module.scale)
        mask, bias = (self._spread(x) for x in (where.mask, where.bias))
        if self.asked:
            call = Scored(self._queries(q), self._keys(k), mask, bias, where.causal, module.scale, where.lengths)
            run.facts.append(facts.summarise(call, self.asked))
        elif run.steps:
            run.steps.append(Step(self._kept(self._queries(q)), sources=run.sources))
        else:
            run.where, copy = run.where._replace(bias=bias), self.spec.kind == "cross"  # which may come from a cache
            k, v = self._kept(self._keys(k), copy=copy), self._kept(self._keys(v), copy=copy) if self.values else None
            run.steps.append(Step(self._kept(self._queries(q)), k, v, mask, run.sources))

    def _grow(self, q: Tensor, k: Tensor, v: Tensor, where: Where, scale: float | None) -> None:
        """Keep what a call adds to its cache; all of it if that is not what was heard before."""
        n_before = k.size(2) - q.size(2)
        run = self.runs[-1] if self.runs else None
        if run is None or not run.cached or not n_before or run.n_keys != n_before:
            run, n_before = Run(EVERYWHERE, scale, cached=True), 0
            self.runs.append(run)
        run.n_keys = k.size(2)
        if self.asked:
            call = Scored(self._queries(q), self._keys(k), where.mask, None, where.causal, scale)
            run.facts.append(facts.summarise(call, self.asked))
            return
        mask = None  # without rows it hides the future alone
        if where.mask is not None and where.mask.dim() > 2:
            mask = where.mask[..., -1:, n_before:].clone()
        new = self._kept(self._keys(k[:, :, n_before:]), copy=True)
        values = self._kept(self._keys(v[:, :, n_before:]), copy=True) if self.values else None
        run.steps.append(Step(self._kept(self._queries(q)), new, values, mask))

    def _memory(self, memory: Tensor, where: Where, scale: float | None) -> Run:
        """Return the run that a call belongs to: it goes on while the memory stays, or some of its rows leave."""
        run = self.runs[-1] if self.runs else None
        if run is not None and not run.cached and run.held is not None:
            if memory is run.held:
                return run
            if memory.size(0) < run.held.size(0) and memory.shape[1:] == run.held.shape[1:]:
                left = find_rows(memory, run.held)
                if left is not None:
                    run.held, run.sources = memory, tuple(run.sources[i] for i in left)
                    return run
        held = memory if self.spec.kind == "cross" else None
        where = where._replace(mask=None, bias=None, rotary=None, relative=None)
        self.runs.append(Run(where, scale, held=held, sources=tuple(range(memory.size(0)))))
        return self.runs[-1]

    def _queries(self, q: Float[Tensor, "b h t d"]) -> Tensor:
        return q if self.heads is None else q.index_select(1, self._indices(q)[0])

    def _keys(self, k: Float[Tensor, "b g s d"]) -> Tensor:
        return k if self.heads is None else k.index_select(1, self._indices(k)[1])

    def _indices(self, like: Tensor) -> tuple[Int[Tensor, "n"], Int[Tensor, "n"]]:
        """Return the heads, and for each the one of the keys' heads that it shares."""
        if self._at is None:
            repeats = self.spec.heads // (self.spec.kv_heads or self.spec.heads)
            heads = torch.tensor(self.heads, device=like.device)
            self._at = heads, heads // repeats
        return self._at

    def _spread(self, x: Tensor | None) -> Tensor | None:
        """Return a mask or bias of the watched heads."""
        if x is None or self.heads is None or x.dim() < 3 or x.size(-3) == 1:
            return x if x is None else x.detach()
        return x.detach().index_select(x.dim() - 3, self._indices(x)[0])

    def _kept(self, x: Tensor, *, copy: bool = False) -> Tensor:
        dtype = torch.float16 if self.half else x.dtype
        return x.detach().to(dtype, copy=copy and self.heads is None)
