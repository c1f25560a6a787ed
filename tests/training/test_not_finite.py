"""What one value that is not finite costs, and what several in a row do."""

import math
from typing import Any

import pytest
import torch

from qkv.training.loop import DivergedError, Noticed, Stepped
from training.comparing import break_after, log_of, same_net, state_of, steps_of
from training.crash.states import equal
from training.small_training import make_training

SIZES = ("bahdanau-tiny", "transformer-tiny")


class Poison:
    """Puts a value that is not finite into some steps of a training; `left_out` instead leaves out their updates."""

    def __init__(self, training: Any, place: str, value: float, steps: set[int]) -> None:
        self.training, self.value, self.steps = training, value, steps
        getattr(self, place)()

    @property
    def now(self) -> bool:
        return self.training.net.training and self.training.at.step + 1 in self.steps

    def loss(self) -> None:
        healthy = self.training.task.loss

        def loss(net, batch):
            found = healthy(net, batch)
            return found._replace(total=found.total * self.value) if self.now else found

        self.training.task.loss = loss

    def gradient(self) -> None:
        parameter = list(self.training.net.parameters())[-1]
        parameter.register_hook(lambda grad: torch.full_like(grad, self.value) if self.now else grad)

    def input(self) -> None:
        def spoil(module, inputs, output):
            return torch.full_like(output, self.value) if self.now else output

        self.training.net.token.register_forward_hook(spoil)

    def left_out(self) -> None:
        step, update = self.training.optimiser.step, self.training.ema.update
        group = self.training.optimiser.param_groups[0]
        rates = [group["lr"]]

        def stay() -> None:
            if not self.now:
                rates.append(group["lr"])
                return step()
            for each in self.training.optimiser.param_groups:
                each["lr"] = rates[-1]

        self.training.optimiser.step = stay
        self.training.ema.update = lambda: None if self.now else update()


LAST = 6
POISONED: dict[str, Any] = {"steps": LAST, "ema": 0.9, "clip": 1.0, "validate_every": 3}
LONGER: dict[str, Any] = {**POISONED, "steps": 9}


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [1, 2, 4, LAST])
def test_one_value_that_is_not_finite_costs_one_step(step, size, value, tmp_path):
    control = make_training(tmp_path / "control", size, **POISONED)
    Poison(control, "left_out", value, {step})
    list(control.run())
    for place in ("loss", "gradient", "input"):
        folder = tmp_path / place
        poisoned = make_training(folder, size, **POISONED)
        Poison(poisoned, place, value, {step})
        events = list(poisoned.run())
        assert [e.step for e in events if isinstance(e, Stepped) and e.skipped] == [step], place
        (notice,) = [e for e in events if isinstance(e, Noticed)]
        assert notice.text.startswith(f"Step {step} was skipped"), place
        assert "Skipped running: epoch" in notice.text, place
        assert [line["step"] for line in log_of(folder) if line.get("skipped")] == [step], place
        state, wanted = state_of(folder), state_of(tmp_path / "control")
        for facts in (state.facts, wanted.facts):
            facts["progress"].pop("skipped")
        assert equal(state, wanted), place
        assert same_net(poisoned, control), place
        for group in state.tensors.values():
            assert all(tensor.isfinite().all() for tensor in group.values()), place


@pytest.mark.parametrize("place", ["loss", "gradient", "input"])
def test_repeated_ones_stop_with_their_batches_and_sound_checkpoints(place, tmp_path):
    training = make_training(tmp_path, **LONGER)
    Poison(training, place, math.nan, {4, 5, 6, 7})
    events = []
    with pytest.raises(DivergedError, match="3 steps running, last at step 6") as caught:
        for event in training.run():
            events.append(event)
    assert [e.step for e in events if isinstance(e, Stepped) and e.skipped] == [4, 5, 6]
    places = [f"epoch {c.epoch} batch {c.batch - 1}" for c in training.at.skipped]
    assert len(places) == 3
    assert ", ".join(places) in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    state = state_of(tmp_path)
    assert state.step == 3
    assert all(tensor.isfinite().all() for group in state.tensors.values() for tensor in group.values())
    healthy = make_training(tmp_path, **LONGER)
    healthy.resume()
    assert [step[0] for step in steps_of(list(healthy.run()))] == [4, 5, 6, 7, 8, 9]


def test_two_running_are_forgiven_and_counted_across_a_resume(tmp_path):
    forgiven = make_training(tmp_path / "forgiven", **POISONED)
    Poison(forgiven, "loss", math.inf, {2, 3, 5, 6})
    assert sum(step[-1] for step in steps_of(list(forgiven.run()))) == 4
    broken = make_training(tmp_path / "broken", **POISONED)
    Poison(broken, "loss", math.nan, {2, 3})
    break_after(broken, 4)
    resumed = make_training(tmp_path / "broken", **POISONED)
    resumed.resume()
    assert resumed.at.step == 3
    Poison(resumed, "loss", math.nan, {4})
    with pytest.raises(DivergedError, match="last at step 4"):
        list(resumed.run())
