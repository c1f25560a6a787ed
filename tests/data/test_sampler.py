"""The stream of batches is the same however it is read: from the start or a place, by this process or by workers."""

import hashlib
import signal
import subprocess
import sys
import time
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qkv.base.errors import ConfigError, DataError
from qkv.data.sampler import Cursor, Sampler, load

LENGTHS = [1 + i * i * 31 % 59 for i in range(1000)]

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=120)


@given(lengths, st.integers(40, 200), st.integers(1, 50), st.integers(0, 3))
def test_every_sample_once_per_epoch_within_the_budget(lengths, budget, window, epoch):
    batches = Sampler(lengths, budget, window=window, seed=7).order(epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= window
        assert len(batch) * max(lengths[i] for i in batch) <= budget


@given(lengths, st.integers(40, 100), st.integers(1, 50), st.integers(0, 60))
def test_a_place_in_the_stream_is_found_without_replaying(lengths, budget, window, skipped):
    sampler = Sampler(lengths, budget, window=window, seed=1)
    stream = list(islice(sampler.batches_from(Cursor(0, 0)), skipped + 12))
    place = stream[skipped - 1][0] if skipped else Cursor(0, 0)
    assert list(islice(sampler.batches_from(place), 12)) == stream[skipped:]


def test_seeking_draws_only_the_epoch_it_lands_in(monkeypatch):
    drawn = []
    order = Sampler.order
    monkeypatch.setattr(Sampler, "order", lambda self, epoch: drawn.append(epoch) or order(self, epoch))
    next(Sampler(LENGTHS, 500).batches_from(Cursor(1_000_000, 3)))
    assert drawn == [1_000_000]


def test_the_place_after_a_batch_counts_the_batches_done():
    sampler = Sampler([1] * 10, 4, window=5)
    assert len(sampler.order(0)) == 4
    places = [place for place, _ in islice(sampler.batches_from(Cursor(0, 2)), 3)]
    assert places == [(0, 3), (0, 4), (1, 1)]


def test_order_depends_on_seed_and_epoch_alone():
    order = Sampler(LENGTHS, 500, window=100, seed=3).order(2)
    torch.manual_seed(5)
    np.random.seed(5)
    again = Sampler(np.array(LENGTHS), 500, window=100, seed=3)
    again.order(0)
    assert again.order(2) == order
    assert again.order(3) != order and Sampler(LENGTHS, 500, window=100, seed=4).order(2) != order


def test_order_is_the_same_on_every_machine():
    order = Sampler(LENGTHS, 500, window=100, seed=3).order(2)
    assert hashlib.sha256(repr(order).encode()).hexdigest()[:16] == "31f5dc7321fc24c6"


def test_sorting_in_windows_saves_padding_and_batches_come_in_no_order_of_length():
    def padding(window):
        batches = Sampler(LENGTHS, 500, window=window).order(0)
        return 1 - sum(LENGTHS) / sum(len(batch) * max(LENGTHS[i] for i in batch) for batch in batches)

    assert padding(1000) < 0.05 < 0.25 < padding(20)
    longest = [max(LENGTHS[i] for i in batch) for batch in Sampler(LENGTHS, 500, window=1000).order(0)]
    assert abs(np.corrcoef(longest, range(len(longest)))[0, 1]) < 0.5


def test_a_million_samples_are_ordered_in_three_seconds():
    sampler = Sampler(np.random.RandomState(0).randint(1, 100, 1_000_000), 4096)
    begun = time.process_time()
    sampler.order(0)
    assert time.process_time() - begun < 3


def test_samples_that_fit_no_batch_are_refused():
    with pytest.raises(DataError, match=r"Sample 2 has 90 tokens, more than .* \(50\); so have 2 of 3 samples"):
        Sampler([50, 51, 90], 50)
    with pytest.raises(DataError, match="Sample 1 has no tokens"):
        Sampler([3, 0], 50)
    with pytest.raises(DataError, match="no samples"):
        Sampler([], 50)
    with pytest.raises(ConfigError, match="window is 0"):
        Sampler([3], 50, window=0)


def test_a_place_that_the_data_does_not_have_is_refused():
    sampler = Sampler([1] * 10, 5)
    assert next(sampler.batches_from(Cursor(0, 2)))[0] == Cursor(1, 1)
    with pytest.raises(DataError, match="Batch 3 of epoch 0 does not exist: this data makes 2 batches"):
        next(sampler.batches_from(Cursor(0, 3)))


def read(workers, n, cursor=Cursor(0, 0)):  # noqa: B008
    """Lists, no tensors: a worker that ends while its thread hands a tensor on may abort within PyTorch."""
    stream = load(range(1000), Sampler(LENGTHS, 500, seed=1), cursor, workers=workers, collate=list)
    return [*islice(stream, n)]


def test_loading_collates_the_samplers_batches():
    sampler = Sampler(LENGTHS, 500, seed=1)
    assert read(0, 100) == list(islice(sampler.batches_from(Cursor(0, 0)), 100))
    assert read(0, 5, Cursor(3, 1)) == list(islice(sampler.batches_from(Cursor(3, 1)), 5))


def test_loading_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    read(0, 3)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of one core
@pytest.mark.parametrize("workers", [1, 2])
def test_the_order_is_equal_over_workers(workers):
    assert read(workers, 120, Cursor(0, 5)) == read(0, 120, Cursor(0, 5))  # into the next epoch


TRAINING = """
import os, signal, threading
from itertools import islice
from qkv.data.sampler import Cursor, Sampler, load

if __name__ == "__main__":
    got = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: got.append(number))
    stream = load(range(100), Sampler([1] * 100, 10), Cursor(0, 0), workers=2, collate=list)
    threading.Timer(0.3, os.killpg, (0, signal.SIGINT)).start()  # the workers are still importing
    list(islice(stream, 2))  # one of each: now both are at work
    os.killpg(0, signal.SIGINT)
    os.killpg(0, signal.SIGTERM)
    place = list(islice(stream, 39))[-1][0]
    stream.close()
    print(sorted(got), list(place))
"""


@pytest.mark.slow
def test_signals_to_the_whole_group_leave_workers_at_work(tmp_path):
    (tmp_path / "training.py").write_text(TRAINING)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", tmp_path / "training.py"],
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    assert done.stdout.split("]")[0] == f"[{int(signal.SIGINT)}, {int(signal.SIGINT)}, {int(signal.SIGTERM)}"
    assert done.stdout.endswith("[4, 1]\n")  # 41 batches, ten in an epoch


@pytest.mark.parametrize("workers", [0, 1])
def test_a_sample_may_be_seen_otherwise_each_epoch(workers):
    sampler = Sampler([1] * 6, 2, seed=9)
    stream = load(
        [i * 10 for i in range(6)], sampler, Cursor(0, 1), workers=workers, vary="{} {} {} {}".format, collate=list
    )
    seen = list(islice(stream, 4))
    stream.close()
    assert [place for place, _ in seen] == [(0, 2), (0, 3), (1, 1), (1, 2)]
    for place, batch in seen:
        numbers = sampler.order(place.epoch)[place.batch - 1]
        assert batch == [f"{number * 10} 9 {place.epoch} {number}" for number in numbers]
