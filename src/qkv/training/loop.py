"""The training loop: steps that can be repeated bit for bit, and a state that survives any kill."""

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import nn

from qkv.base import seeds
from qkv.base.errors import QkvError
from qkv.data.sampler import Cursor, Sampler, load
from qkv.nn.ema import Ema
from qkv.tasks.objective import Objective
from qkv.training.checkpoint import TrainingState, load_newest, pack_optimiser, save, unpack_optimiser
from qkv.training.log import Log
from qkv.training.optim import learning_rate, make_optimiser
from qkv.training.recipe import Recipe
from qkv.training.signals import Stopped, graceful

Net = TypeVar("Net", bound=nn.Module)

MOST_SKIPS = 3
START = Cursor(0, 0)


class DivergedError(QkvError):
    """The loss or its gradient was not a number several steps running."""


class Began(NamedTuple):
    """A training begins, or goes on, after a step: its run's name, the steps in all, and what its losses count."""

    name: str
    step: int
    steps: int
    unit: str = "tokens"


class Stepped(NamedTuple):
    """One step: mean loss per unit in nats, plain cross-entropy, learning rate, norm of the gradient, units seen."""

    step: int
    loss: float
    plain: float
    lr: float
    norm: float
    n_units: int
    seconds: float
    skipped: bool


class Validated(NamedTuple):
    """A look at the validation data: figures, and whether they are the best so far."""

    step: int
    figures: dict[str, float]
    best: bool


class Saved(NamedTuple):
    """A checkpoint was written."""

    step: int
    folder: Path


class Noticed(NamedTuple):
    """Something the user should read."""

    text: str


Event = Began | Stepped | Validated | Saved | Noticed


@dataclass(slots=True)
class Progress:
    """Where a training stands, beside its tensors.

    stale: validations since the best one. skipped: the places after the batches of the steps that were skipped since
    the last sound one.
    """

    step: int = 0
    cursor: Cursor = START
    best: float = math.inf
    best_step: int = 0
    stale: int = 0
    skipped: list[Cursor] = field(default_factory=list)


class Training(Generic[Net]):
    """One training of one net in one run folder.

    task: turns examples into batches and batches into a loss. validate: called with the net (holding its averaged
    weights, if any), returns figures, that which the task watches among them. verb: the command that goes on with it.
    """

    def __init__(
        self,
        net: Net,
        task: Objective,
        examples: Sequence[Any],
        recipe: Recipe,
        folder: Path,
        validate: Callable[[Net], dict[str, float]],
        *,
        verb: str = "train",
    ) -> None:
        self.net, self.task, self.examples, self.recipe, self.folder = net, task, examples, recipe, folder
        self.validate, self.verb = validate, verb
        self._rate(1)  # a schedule that this net cannot have is told now
        self.optimiser = make_optimiser(net, recipe)
        self.ema = Ema(net, recipe.ema) if recipe.ema else None
        self.best: dict[str, torch.Tensor] = {}
        self.at = Progress(best=math.inf if task.watch.better == "lower" else -math.inf)
        self.sampler = Sampler([task.length(e) for e in examples], recipe.budget, seed=recipe.seed)
        self.log = Log(folder / "metrics.jsonl")

    def resume(self) -> list[str]:
        """Go on from the newest sound checkpoint of the folder; return what the user should know of damaged ones."""
        state, notes = load_newest(self.folder)
        if state is not None:
            facts = dict(state.facts)
            self.net.load_state_dict(state.tensors["net"])
            unpack_optimiser(self.optimiser, state.tensors["optimiser"], facts["optimiser"])
            if self.ema:
                self.ema.restore(state.tensors["ema"], facts["ema_updates"])
            self.best = dict(state.tensors.get("best", {}))
            at = facts["progress"]
            places = {"cursor": Cursor(*at["cursor"]), "skipped": [Cursor(*place) for place in at["skipped"]]}
            self.at = Progress(**{**at, **places, "best": float(at["best"])})
        self.log.cut_after(self.at.step)
        return notes

    def run(self) -> Generator[Event, None, None]:
        """Train to the last step, yielding what happens; leave the best weights (or the last) in the net.

        SIGTERM or Ctrl-C finishes the step, writes a checkpoint and raises Stopped.
        """
        recipe = self.recipe
        yield Began(self.folder.name, self.at.step, recipe.steps, self.task.unit)
        if recipe.warmup > recipe.steps:
            yield Noticed(
                f"warmup ({recipe.warmup}) is longer than the run ({recipe.steps} steps): lr is never reached."
            )
        task = self.task
        stream = load(
            self.examples,
            self.sampler,
            self.at.cursor,
            workers=recipe.workers,
            vary=task.vary,
            collate=task.batch,
        )
        with closing(stream), graceful() as stop:
            while self.at.step < recipe.steps and not self._stale():
                micro = [next(stream) for _ in range(recipe.accumulate)]
                stepped = self._step(micro)
                yield stepped
                yield from self._after(stepped)
                if stop.requested:
                    yield self.save(stopped=True)
                    raise Stopped(
                        f"Stopped after step {self.at.step}. Go on with: qkv {self.verb} --resume {self.folder}"
                    )
        self._settle()

    def _stale(self) -> bool:
        return bool(self.recipe.patience) and self.at.stale >= self.recipe.patience

    def _after(self, stepped: Stepped) -> Iterator[Event]:
        recipe, step = self.recipe, self.at.step
        last = step == recipe.steps
        if step % recipe.log_every == 0 or last or stepped.skipped:
            self._log_step(stepped)
        if stepped.skipped:
            yield from self._tell_skip(stepped)
        if step % recipe.validate_every == 0 or last:
            yield self._validate()
        if step % recipe.checkpoint_every == 0 or last or self._stale():
            yield self.save()

    def _log_step(self, stepped: Stepped) -> None:
        """Log a step; what it counts stands by its own name: n_tokens, pictures_per_s."""
        figures, unit = stepped._asdict(), self.task.unit.replace(" ", "_")
        n_units = figures.pop("n_units")
        self.log.add({**figures, f"n_{unit}": n_units, f"{unit}_per_s": n_units / stepped.seconds})

    def _step(self, micro: Sequence[tuple[Cursor, Any]]) -> Stepped:
        """Take one step over micro-batches, each counted by its units; a step that is not finite changes nothing."""
        begun, recipe = time.perf_counter(), self.recipe
        self.net.train()
        step = self.at.step + 1
        n_units, total, plain = 0, 0.0, 0.0
        for i, (_, batch) in enumerate(micro):
            seeds.plant(recipe.seed, step, i)
            with torch.autocast("cpu", torch.bfloat16) if recipe.dtype == "bf16" else nullcontext():
                loss = self.task.loss(self.net, batch)
            loss.total.backward()
            n_units, total, plain = n_units + loss.n_units, total + loss.total.item(), plain + loss.plain.item()
        gradients = [p.grad for p in self.net.parameters() if p.grad is not None]
        for gradient in gradients:
            gradient.div_(n_units)
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), recipe.clip or math.inf).item()
        lr = self._rate(step)
        skipped = not (math.isfinite(total) and math.isfinite(norm))
        if skipped:
            self.at.skipped += [cursor for cursor, _ in micro]
        else:
            for group in self.optimiser.param_groups:
                group["lr"] = lr
            self.optimiser.step()
            self.at.skipped = []
            if self.ema:
                self.ema.update()
        self.optimiser.zero_grad()
        self.at.step, self.at.cursor = step, micro[-1][0]
        seconds = time.perf_counter() - begun
        return Stepped(step, total / n_units, plain / n_units, lr, norm, n_units, seconds, skipped)

    def _rate(self, step: int) -> float:
        return learning_rate(self.recipe, step, getattr(self.net.cfg, "d_model", None))

    def _tell_skip(self, stepped: Stepped) -> Iterator[Noticed]:
        """Say that a step was skipped, and where its data stands; too many running end the training."""
        where = ", ".join(f"epoch {cursor.epoch} batch {cursor.batch - 1}" for cursor in self.at.skipped)
        yield Noticed(
            f"Step {stepped.step} was skipped: its loss ({stepped.loss}) or gradient ({stepped.norm}) is not a finite "
            f"number. Skipped running: {where}."
        )
        if len(self.at.skipped) >= MOST_SKIPS * self.recipe.accumulate:
            raise DivergedError(
                f"The loss or its gradient was not finite {MOST_SKIPS} steps running, last at step {stepped.step}: "
                f"{where}. The checkpoints in {self.folder} are sound. Start anew with a lower --lr, or look at these "
                "examples."
            )

    def _validate(self) -> Validated:
        self.net.eval()
        with self.ema.applied() if self.ema else nullcontext(), torch.inference_mode():
            figures = self.validate(self.net)
        watch = self.task.watch
        better = watch.prefers(figures[watch.figure], self.at.best)
        if better:
            self.at.best, self.at.best_step, self.at.stale = figures[watch.figure], self.at.step, 0
            if self.recipe.patience:
                self.best = {k: v.clone() for k, v in self._weights().items()}
        else:
            self.at.stale += 1
        self.log.add({"step": self.at.step, **{f"valid_{k}": v for k, v in figures.items()}})
        return Validated(self.at.step, figures, better)

    def _weights(self) -> dict[str, torch.Tensor]:
        """Return the weights to judge and to keep: the averages where there are some."""
        state = {k: v.detach() for k, v in self.net.state_dict().items()}
        return {**state, **self.ema.tensors()} if self.ema else state

    def _settle(self) -> None:
        self.net.load_state_dict(self.best or self._weights())
        self.net.eval()

    def save(self, *, stopped: bool = False) -> Saved:
        """Write a checkpoint of everything that the next step depends on."""
        tensors, packed = pack_optimiser(self.optimiser)
        groups = {"net": dict(self.net.state_dict()), "optimiser": tensors}
        facts: dict[str, Any] = {"optimiser": packed, "progress": self._progress()}
        if self.ema:
            groups["ema"], facts["ema_updates"] = self.ema.tensors(), self.ema.updates
        if self.best:
            groups["best"] = self.best
        state = TrainingState(step=self.at.step, tensors=groups, facts=facts)
        folder = save(self.folder, state, keep=self.recipe.keep, stopped=stopped)
        return Saved(self.at.step, folder)

    def _progress(self) -> dict[str, Any]:
        at = self.at
        return {
            "step": at.step,
            "cursor": list(at.cursor),
            "best": repr(at.best),  # infinity is no JSON
            "best_step": at.best_step,
            "stale": at.stale,
            "skipped": [list(cursor) for cursor in at.skipped],
        }
