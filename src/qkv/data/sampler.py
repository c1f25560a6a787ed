"""Batches in an order that anyone can draw again: which samples a step sees depends only on (seed, epoch).

Samples are shuffled, cut into windows, sorted by length within a window, and packed up to a budget of tokens, padding
included; then the batches are shuffled. So a batch holds samples of like length, as in Vaswani et al. 2017, section
5.1 (https://arxiv.org/abs/1706.03762), and every sample is seen once per epoch.
"""

import multiprocessing.resource_tracker
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import tee
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import DataLoader

from qkv.base import seeds
from qkv.base.errors import ConfigError, DataError


class Cursor(NamedTuple):
    """The place in the stream of batches: so many batches of this epoch are done."""

    epoch: int
    batch: int


class Sampler:
    """Packs samples into batches of at most `budget` tokens: number of samples times the longest of them.

    lengths: tokens of each sample. window: samples that are sorted by length together; a larger one pads less and
    shuffles less. Raises DataError when a sample alone is longer than the budget.
    """

    def __init__(self, lengths: Sequence[int] | np.ndarray, budget: int, *, window: int = 4096, seed: int = 0) -> None:
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.budget, self.window, self.seed = budget, window, seed
        if not len(self.lengths):
            raise DataError("There are no samples to make batches of.")
        if self.lengths.min() < 1:
            raise DataError(f"Sample {self.lengths.argmin()} has no tokens.")
        if window < 1:
            raise ConfigError(f"window is {window}; at least one sample must be in it.")
        if self.lengths.max() > budget:
            raise DataError(
                f"Sample {self.lengths.argmax():,} has {self.lengths.max():,} tokens, more than a whole batch may have "
                f"({budget:,}); so have {(self.lengths > budget).sum():,} of {len(self.lengths):,} samples. "
                "Raise the budget, or shorten or leave out these samples."
            )

    def order(self, epoch: int) -> list[list[int]]:
        """Return the batches of an epoch, each a list of sample numbers."""
        n = len(self.lengths)
        samples = _shuffled(n, "samples", self.seed, epoch)
        window = np.arange(n) // self.window
        samples = samples[np.lexsort((self.lengths[samples], window))]
        batches = []
        for start in range(0, n, self.window):
            batches += self._pack(samples[start : start + self.window])
        return [batches[i] for i in _shuffled(len(batches), "batches", self.seed, epoch)]

    def _pack(self, samples: np.ndarray) -> Iterator[list[int]]:
        """Cut samples, shortest first, into batches within the budget."""
        start = 0
        indices = samples.tolist()
        for end, length in enumerate(self.lengths[samples].tolist()):
            if (end + 1 - start) * length > self.budget:
                yield indices[start:end]
                start = end
        yield indices[start:]

    def batches_from(self, cursor: Cursor) -> Iterator[tuple[Cursor, list[int]]]:
        """Yield batches without end from a place on, each with the place after it; nothing before it is drawn."""
        epoch, done = cursor
        while True:
            order = self.order(epoch)
            if not 0 <= done <= len(order):
                raise DataError(
                    f"Batch {done:,} of epoch {epoch} does not exist: this data makes {len(order):,} batches. "
                    "Was the place saved with other data, another budget or seed?"
                )
            for batch in range(done, len(order)):
                yield Cursor(epoch, batch + 1), order[batch]
            epoch, done = epoch + 1, 0


def load(
    dataset: Sequence[Any],
    sampler: Sampler,
    cursor: Cursor,
    *,
    workers: int = 0,
    vary: Callable[..., Any] | None = None,
    collate: Callable[[list[Any]], Any],
) -> Generator[tuple[Cursor, Any], None, None]:
    """Yield collated batches without end from a place on, each with the place after it.

    vary: called with a sample, the seed, the epoch and the sample's number; returns the sample as it is seen this once.
    The stream is the same for any number of workers. With workers, data set, vary and collate travel to other processes
    by pickle, and draw nothing from global generators. Close the iterator to end the workers.
    """
    places, batches = tee(sampler.batches_from(cursor))
    loader = DataLoader(
        _Seen(dataset, vary, sampler.seed),  # type: ignore[arg-type]
        batch_sampler=([(place.epoch, i) for i in numbers] for place, numbers in batches),  # type: ignore[arg-type]
        collate_fn=collate,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_stand_apart if workers else None,
        generator=seeds.generator("loader", sampler.seed),  # or torch's global one would lose a draw
    )
    with _interrupts_wait() if workers else nullcontext():
        stream = iter(loader)
    for (place, _), batch in zip(places, stream, strict=False):
        yield place, batch


class _Seen:
    """Samples as they are seen in an epoch."""

    def __init__(self, dataset: Sequence[Any], vary: Callable[..., Any] | None, seed: int) -> None:
        self.dataset, self.vary, self.seed = dataset, vary, seed

    def __getitem__(self, place: tuple[int, int]) -> Any:
        epoch, number = place
        sample = self.dataset[number]
        return sample if self.vary is None else self.vary(sample, self.seed, epoch, number)


def _shuffled(n: int, *name: int | str) -> np.ndarray:
    """Return 0 to n - 1 in an order that only the name decides, on every machine and in every version."""
    draw = seeds.draw(*name).random
    return np.argsort([draw() for _ in range(n)], kind="stable")


def _stand_apart(worker: int) -> None:
    """Keep a worker out of what is meant for its parent: Ctrl-C, and signals to the whole group, as `timeout` sends.

    The parent ends its workers itself; should it be killed, they see that it is gone and leave.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgrp"):
        os.setpgrp()


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Hold Ctrl-C back while workers start: they inherit this, so none dies of it before `_stand_apart`."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    multiprocessing.resource_tracker.ensure_running()  # it would let signals through again when it starts later
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
