"""The loop can be broken anywhere and ends with the same bits; a step that is not finite changes nothing."""

import math
import os
import signal
from collections import Counter
from typing import Any

import pytest
import torch

from qkv.base.errors import ConfigError
from qkv.tasks.objective import Watch
from qkv.training.log import read_log
from qkv.training.loop import Began, Noticed, Saved, Stepped, Training, Validated
from qkv.training.optim import learning_rate
from qkv.training.recipe import Recipe
from qkv.training.signals import Stopped
from training.comparing import break_after, log_of, same_net, state_of, steps_of
from training.crash.states import equal, same_bits
from training.small_training import RECIPE, make_training

SIZES = ("bahdanau-tiny", "transformer-tiny")
ALL_IN_USE: dict[str, Any] = {"ema": 0.9, "patience": 4, "accumulate": 2}


@pytest.mark.parametrize("size", SIZES)
def test_a_run_broken_anywhere_equals_the_unbroken_one(size, tmp_path):
    whole = make_training(tmp_path / "whole", size, **ALL_IN_USE)
    events = list(whole.run())
    final = state_of(tmp_path / "whole")
    assert final.step == 12
    assert {"net", "optimiser", "ema", "best"} <= final.tensors.keys()
    for at in (1, 4, 7, 12):
        folder = tmp_path / f"broken at {at}"
        break_after(make_training(folder, size, **ALL_IN_USE), at)
        resumed = make_training(folder, size, **ALL_IN_USE)
        torch.manual_seed(at)  # what was drawn before must not matter
        assert resumed.resume() == []
        first = (at - 1) // 3 * 3
        assert resumed.at.step == first
        again = list(resumed.run())
        assert steps_of(again) == steps_of(events)[first:], at
        assert equal(state_of(folder), final), at
        assert same_net(resumed, whole), at
        assert log_of(folder) == log_of(tmp_path / "whole"), at


def test_two_runs_in_one_process_are_equal_and_seeds_differ(tmp_path):
    one, two, other = (
        steps_of(list(make_training(tmp_path / name, seed=seed).run())) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one == two
    assert one != other


def test_dropout_is_drawn(tmp_path):
    dropped, whole = (steps_of(list(make_training(tmp_path / str(p), dropout=p).run())) for p in (0.2, 0.0))
    assert dropped != whole


@pytest.mark.parametrize("size", SIZES)
def test_accumulated_micro_batches_are_one_batch(size, tmp_path):
    """One batch of an epoch, and all small batches of an epoch together: lengths differ, so tokens must count."""
    alike: dict[str, Any] = {"steps": 4, "dropout": 0.0, "clip": 0.5, "adam_eps": 1e-4, "checkpoint_every": 99}
    small = make_training(tmp_path / "small", size, budget=60, **alike)
    n_batches = len(small.sampler.order(0))
    assert n_batches > 4
    assert len({sum(len(small.examples[i].target) for i in batch) for batch in small.sampler.order(0)}) > 1
    small = make_training(tmp_path / "small", size, budget=60, accumulate=n_batches, **alike)
    large = make_training(tmp_path / "large", size, budget=4096, **alike)
    for a, b in zip(small.run(), large.run(), strict=True):
        if isinstance(a, Stepped) and isinstance(b, Stepped):
            assert a.n_units == b.n_units
            assert a.loss == pytest.approx(b.loss, rel=1e-6)
            assert a.norm == pytest.approx(b.norm, rel=1e-5)
    for name, tensor in small.net.state_dict().items():
        torch.testing.assert_close(tensor, large.net.state_dict()[name], rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_early_stopping_keeps_the_best_weights(ema, tmp_path):
    training = make_training(tmp_path, ema=ema, patience=2)
    figures, seen = iter([3.0, 2.0, 2.0, 2.5, 1.0]), []
    held: list[dict[str, torch.Tensor]] = []

    def validate(net):
        held.append({name: tensor.clone() for name, tensor in net.state_dict().items()})
        return {"loss": next(figures)}

    training.validate = validate
    seen = list(training.run())
    looks = [(e.step, e.best) for e in seen if isinstance(e, Validated)]
    assert looks == [(2, True), (4, True), (6, False), (8, False)]
    assert isinstance(seen[-1], Saved)
    assert seen[-1].step == training.at.step == 8
    assert (training.at.best, training.at.best_step) == (2.0, 4)
    for name, tensor in training.net.state_dict().items():
        assert same_bits(tensor, held[1][name]), name
    assert not training.net.training
    again = make_training(tmp_path, ema=ema, patience=2)
    again.resume()
    assert [type(event) for event in again.run()] == [Began]
    assert same_net(again, training)


def test_without_patience_the_last_weights_stay_and_ema_gives_averages(tmp_path):
    plain = make_training(tmp_path / "plain")
    list(plain.run())
    last = state_of(tmp_path / "plain").tensors
    assert all(same_bits(tensor, last["net"][name]) for name, tensor in plain.net.state_dict().items())
    averaged = make_training(tmp_path / "averaged", ema=0.9)
    list(averaged.run())
    last = state_of(tmp_path / "averaged").tensors
    for name, parameter in averaged.net.named_parameters():
        assert same_bits(parameter.detach(), last["ema"][name]), name
        assert not torch.equal(parameter, last["net"][name]), name


@pytest.mark.parametrize("schedule", ["cosine", "inverse-sqrt", "constant", "paper"])
def test_the_schedule_is_as_long_as_the_run(schedule, tmp_path):
    training = make_training(tmp_path, schedule=schedule)
    rates = [event.lr for event in training.run() if isinstance(event, Stepped)]
    assert rates == [learning_rate(training.recipe, step, 16) for step in range(1, 13)]
    peak = (16 * 3) ** -0.5 if schedule == "paper" else 1e-2
    assert rates[:3] == pytest.approx([peak / 3, peak * 2 / 3, peak])
    end = {"cosine": 0.01, "constant": 1.0}.get(schedule, math.sqrt(3 / 12))
    assert rates[-1] == pytest.approx(peak * end)
    assert training.optimiser.param_groups[0]["lr"] == training.optimiser.param_groups[1]["lr"] == rates[-1]


def test_a_schedule_that_does_not_fit_is_told(tmp_path):
    training = make_training(tmp_path / "short", steps=2)
    notes = [event.text for event in training.run() if isinstance(event, Noticed)]
    assert notes == ["warmup (3) is longer than the run (2 steps): lr is never reached."]
    with pytest.raises(ConfigError, match='schedule "paper" is made for nets with a d_model'):
        make_training(tmp_path / "other", "rnn-tiny", schedule="paper")


@pytest.mark.parametrize(
    ("field", "value"),
    [(name, 0) for name in ("steps", "budget", "accumulate", "warmup", "validate_every", "checkpoint_every")]
    + [(name, 1.0) for name in ("smoothing", "ema", "beta1", "beta2")]
    + [(name, -1.0) for name in ("clip", "weight_decay", "lr", "adam_eps")]
    + [(name, -1) for name in ("patience", "workers")]
    + [(name, value) for name in ("clip", "lr", "ema") for value in (math.nan, math.inf)]
    + [("keep", 1), ("log_every", 0)],
)
def test_a_recipe_out_of_range(field, value):
    with pytest.raises(ConfigError, match=f"^{field} is {value}"):
        Recipe(**{field: value})


def test_every_example_is_seen_once_per_epoch(tmp_path):
    seen = Counter()
    training = make_training(tmp_path, steps=30)
    collate = training.task.batch

    def count(examples):
        seen.update(map(str, examples))
        return collate(examples)

    training.task.batch = count
    n_batches = len(training.sampler.order(0))
    list(training.run())
    assert n_batches < 30
    assert len(seen) == 96
    assert set(seen.values()) <= {30 // n_batches, 30 // n_batches + 1}


def test_workers_change_nothing(tmp_path):
    runs = {w: make_training(tmp_path / str(w), workers=w, ema=0.9) for w in (0, 1, 2)}
    steps = {workers: steps_of(list(training.run())) for workers, training in runs.items()}
    assert steps[0] == steps[1] == steps[2]
    for workers in (1, 2):
        assert equal(state_of(tmp_path / str(workers)), state_of(tmp_path / "0"))


@pytest.mark.parametrize("size", SIZES)
def test_bf16_computes_products_alone(size, tmp_path):
    exact, rough = (make_training(tmp_path / dtype, size, dtype=dtype) for dtype in ("fp32", "bf16"))
    a, b = ([e for e in training.run() if isinstance(e, Stepped)] for training in (exact, rough))
    assert not any(step.skipped for step in b)
    assert 0 < abs(a[0].loss - b[0].loss) < 0.05
    assert b[-1].loss < b[0].loss
    assert {p.dtype for p in rough.net.parameters()} == {torch.float32}
    tensors = state_of(tmp_path / "bf16").tensors
    assert {t.dtype for group in tensors.values() for t in group.values()} == {torch.float32}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_and_saves(number, tmp_path):
    before = signal.getsignal(number)
    training, events = make_training(tmp_path), []
    with pytest.raises(Stopped, match=f"Stopped after step 5. Go on with: qkv train --resume {tmp_path}") as caught:
        for event in training.run():
            events.append(event)
            if isinstance(event, Stepped) and event.step == 5:
                os.kill(os.getpid(), number)
    assert caught.value.exit_code == 75
    assert signal.getsignal(number) is before
    assert isinstance(events[-1], Saved)
    assert state_of(tmp_path).step == 5
    resumed = make_training(tmp_path)
    resumed.resume()
    list(resumed.run())
    whole = make_training(tmp_path / "whole")
    list(whole.run())
    assert same_net(resumed, whole)
    assert log_of(tmp_path) == log_of(tmp_path / "whole")


def test_a_run_that_is_left_gives_signals_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    break_after(make_training(tmp_path), 2)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_recipe_of_these_tests_is_a_recipe():
    assert Recipe(**RECIPE).steps == 12


def test_the_watched_figure_may_be_one_that_is_better_higher(tmp_path):
    training = make_training(tmp_path, patience=2)
    training.task.unit, training.task.watch = "pictures", Watch("accuracy", "higher")
    higher = Training(training.net, training.task, training.examples, training.recipe, tmp_path, training.validate)
    figures = iter([0.2, 0.5, 0.5, math.nan, 0.9])
    higher.validate = lambda net: {"loss": 1.0, "accuracy": next(figures)}
    events = list(higher.run())
    looks = [(e.step, e.best) for e in events if isinstance(e, Validated)]
    assert looks == [(2, True), (4, True), (6, False), (8, False)]
    assert (higher.at.best, higher.at.best_step) == (0.5, 4)
    assert events[0] == Began(tmp_path.name, 0, 12, "pictures")
    assert {"n_pictures", "pictures_per_s"} <= read_log(tmp_path / "metrics.jsonl")[0].keys()
    again = Training(training.net, training.task, training.examples, training.recipe, tmp_path, training.validate)
    again.resume()
    assert (again.at.best, again.at.stale) == (0.5, 2)
