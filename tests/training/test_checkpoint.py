import json
import os
import resource
import shutil
import signal
from pathlib import Path

import pytest
import torch

from qkv.base import files
from qkv.base.errors import ConfigError, QkvError, UnsupportedError, WeightsError
from qkv.training.checkpoint import TrainingState, load_newest, pack_optimiser, save, unpack_optimiser
from training.crash.states import equal, make_state, same_bits

OPTIMISERS = {
    "fused AdamW": lambda p: torch.optim.AdamW(p, lr=0.1 / 3, betas=(0.9, 0.98), eps=1e-9, fused=True),
    "Adam": lambda p: torch.optim.Adam(p, lr=1e-3, amsgrad=True),
    "a tensor as rate": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.1), foreach=False),
    "SGD": lambda p: torch.optim.SGD(p, lr=5e-324, momentum=0.9),
    "Adafactor": lambda p: torch.optim.Adafactor(p),
    "LBFGS": lambda p: torch.optim.LBFGS(p, lr=0.1, history_size=2),
}


def steps(run: Path) -> list[str]:
    return sorted(os.listdir(run / "checkpoints"))


def flip(path: Path, place: int = 1000) -> None:
    raw = bytearray(path.read_bytes())
    raw[place % len(raw)] ^= 1
    path.write_bytes(raw)


def train(net: torch.nn.Module, optimiser: torch.optim.Optimizer, n: int) -> None:
    for i in range(n):
        inputs = torch.linspace(-1, 1 + i, 12).reshape(4, 3)

        def loss(inputs: torch.Tensor = inputs) -> float:
            optimiser.zero_grad()
            value = net(inputs).square().mean()
            value.backward()
            return value.item()

        optimiser.step(loss)


def test_a_state_comes_back_bit_for_bit(tmp_path):
    state = make_state(7)
    odd = torch.tensor([float("nan"), -0.0, 5e-324, float("inf")], dtype=torch.float64)
    state.tensors["task"] = {
        "odd": odd,
        "bits": odd.bfloat16(),
        "flags": torch.tensor([True, False]),
        "empty": torch.empty(0, 3),
        "number": torch.tensor(5),
        "part": torch.arange(10)[2:5],
        "turned": torch.arange(6).reshape(2, 3).T,
    }
    state.tensors["nothing"] = {}
    state.facts["floats"] = [0.1 + 0.2, 1e-310, -0.0, 2**70]
    folder = save(tmp_path, state)
    assert folder == tmp_path / "checkpoints" / "step-00000007"
    loaded, notes = load_newest(tmp_path)
    assert loaded is not None
    assert equal(loaded, state)
    assert notes == []


def test_tied_weights_are_written_once_and_come_back_under_both_names(tmp_path):
    folder = save(tmp_path, make_state(1, width=64))
    assert (folder / "net.safetensors").stat().st_size < 2 * 16 * 64 * 4
    loaded, _ = load_newest(tmp_path)
    assert loaded is not None
    assert list(loaded.tensors["net"]) == ["0.weight", "1.weight"]


def test_what_is_loaded_does_not_hang_on_the_file(tmp_path):
    save(tmp_path, make_state(1))
    loaded, _ = load_newest(tmp_path)
    assert loaded is not None
    before = loaded.tensors["ema"]["mean"].clone()
    path = tmp_path / "checkpoints" / "step-00000001" / "ema.safetensors"
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert same_bits(loaded.tensors["ema"]["mean"], before)


def test_the_manifest_says_what_made_it_and_whether_it_was_stopped(tmp_path):
    extra = files.verify(save(tmp_path, make_state(3), stopped=True))
    assert (extra["step"], extra["stopped"]) == (3, True)
    made_with = extra["made_with"]
    assert isinstance(made_with, dict)
    assert made_with["torch"] == torch.__version__
    assert made_with["threads"] == torch.get_num_threads()
    assert made_with["world_size"] == 1


def test_no_checkpoint_yet_is_no_error(tmp_path):
    assert load_newest(tmp_path) == (None, [])


def test_other_surroundings_are_said(tmp_path, monkeypatch):
    save(tmp_path, make_state(1))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    state, notes = load_newest(tmp_path)
    assert state is not None
    assert len(notes) == 1
    assert "-> 77" in notes[0]
    assert "not bit for bit" in notes[0]


def test_the_newest_two_stay(tmp_path):
    for step in (1, 5, 30, 100_000_000):
        save(tmp_path, make_state(step))
    assert steps(tmp_path) == ["step-00000030", "step-100000000"]
    with pytest.raises(ConfigError, match="keep is 1"):
        save(tmp_path, make_state(1), keep=1)


def test_more_stay_if_asked(tmp_path):
    for step in range(1, 6):
        save(tmp_path, make_state(step), keep=3)
    assert steps(tmp_path) == ["step-00000003", "step-00000004", "step-00000005"]


def test_pruning_counts_only_sound_checkpoints(tmp_path):
    save(tmp_path, make_state(1))
    flip(save(tmp_path, make_state(2)) / "net.safetensors")
    save(tmp_path, make_state(3))
    assert steps(tmp_path) == ["step-00000001", "step-00000002", "step-00000003"]
    save(tmp_path, make_state(4))
    assert steps(tmp_path) == ["step-00000003", "step-00000004"]


def test_a_checkpoint_just_written_stays_though_later_steps_are_there(tmp_path):
    for step in (8, 9, 3):
        save(tmp_path, make_state(step))
    assert steps(tmp_path) == ["step-00000003", "step-00000008", "step-00000009"]


def test_damaged_ones_are_told_and_the_one_before_is_used(tmp_path):
    for step in (1, 2, 3):
        folder = save(tmp_path, make_state(step), keep=3)
        if step > 1:
            flip(folder / "optimiser.safetensors")
    state, notes = load_newest(tmp_path)
    assert state is not None
    assert equal(state, make_state(1))
    assert ["step-00000003" in notes[0], "step-00000002" in notes[1]] == [True, True]
    assert all("optimiser.safetensors is damaged" in note for note in notes)


def test_only_damaged_ones_are_an_error(tmp_path):
    flip(save(tmp_path, make_state(1)) / "state.json")
    with pytest.raises(WeightsError, match=r"No checkpoint in .* is sound.*state\.json is damaged"):
        load_newest(tmp_path)


def test_a_renamed_checkpoint_is_not_taken_for_another_step(tmp_path):
    save(tmp_path, make_state(1)).rename(tmp_path / "checkpoints" / "step-00000009")
    with pytest.raises(WeightsError, match="step 1: not format 1, step 9"):
        load_newest(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"twins": {}, "facts": {}}', '{"twins": {"net": {"a": "b"}}}'])
def test_a_whole_folder_that_is_no_checkpoint_is_passed_over(tmp_path, content):
    save(tmp_path, make_state(1))
    with files.publish(tmp_path / "checkpoints" / "step-00000002", extra={"format": 1, "step": 2}) as draft:
        files.write_text(draft / "state.json", content)
        shutil.copy(tmp_path / "checkpoints" / "step-00000001" / "net.safetensors", draft)
    state, notes = load_newest(tmp_path)
    assert state is not None
    assert state.step == 1
    assert "step-00000002 is whole, but no checkpoint" in notes[0]


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_goes_on_with_the_same_bits(tmp_path, name):
    torch.manual_seed(1)
    nets = [torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)]
    first, second = (OPTIMISERS[name](net.parameters()) for net in nets)
    train(nets[0], first, 3)
    tensors, packed = pack_optimiser(first)
    save(tmp_path, TrainingState(3, {"net": nets[0].state_dict(), "optimiser": tensors}, {"optimiser": packed}))
    state, _ = load_newest(tmp_path)
    assert state is not None
    nets[1].load_state_dict(state.tensors["net"])
    unpack_optimiser(second, state.tensors["optimiser"], state.facts["optimiser"])
    for net, optimiser in zip(nets, (first, second), strict=True):
        train(net, optimiser, 3)
    assert same_bits(nets[0].weight, nets[1].weight)
    again, packed_again = pack_optimiser(second)
    tensors, packed = pack_optimiser(first)
    assert packed_again == packed
    assert all(same_bits(again[key], tensors[key]) for key in tensors)


def test_a_loaded_state_is_not_the_optimisers_own(tmp_path):
    net = torch.nn.Linear(3, 2)
    optimiser = OPTIMISERS["SGD"](net.parameters())
    train(net, optimiser, 1)
    tensors, packed = pack_optimiser(optimiser)
    kept = {name: one.clone() for name, one in tensors.items()}
    unpack_optimiser(optimiser, kept, packed)
    before = {name: one.clone() for name, one in kept.items()}
    train(net, optimiser, 1)
    assert all(same_bits(kept[name], before[name]) for name in kept)


def test_groups_and_odd_numbers_of_an_optimiser_are_kept():
    one, two = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))
    groups = [{"params": [one], "weight_decay": 1e-300}, {"params": [two], "weight_decay": 0.0, "limit": float("inf")}]
    optimiser = torch.optim.AdamW(groups, lr=0.1 + 0.2, betas=(0.9, 0.98))
    tensors, packed = pack_optimiser(optimiser)
    other = torch.optim.AdamW([{"params": [one]}, {"params": [two]}])
    unpack_optimiser(other, tensors, json.loads(json.dumps(packed, allow_nan=False)))
    assert [group["weight_decay"] for group in other.param_groups] == [1e-300, 0.0]
    assert other.param_groups[1]["limit"] == float("inf")
    assert other.param_groups[0]["lr"] == 0.1 + 0.2
    assert other.param_groups[0]["betas"] == (0.9, 0.98)


def test_the_optimiser_of_another_net_is_refused():
    def ready(width: int, dtype: torch.dtype = torch.float32) -> torch.optim.Optimizer:
        net = torch.nn.Linear(3, width, dtype=dtype)
        optimiser = torch.optim.AdamW(net.parameters())
        net(torch.ones(1, 3, dtype=dtype)).sum().backward()
        optimiser.step()
        return optimiser

    tensors, packed = pack_optimiser(ready(2))
    with pytest.raises(WeightsError, match="not of this net"):
        unpack_optimiser(torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))]), tensors, packed)
    with pytest.raises(WeightsError, match="exactly"):
        unpack_optimiser(ready(2, torch.bfloat16), tensors, packed)
    with pytest.raises(WeightsError, match="not of this net"):
        unpack_optimiser(ready(2), {}, packed)


def test_an_optimiser_with_an_object_inside_is_refused():
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))])
    optimiser.param_groups[0]["hook"] = print
    with pytest.raises(UnsupportedError, match=r"param_groups\.0\.hook"):
        pack_optimiser(optimiser)


@pytest.mark.parametrize("fact", [(1, 2), {1: 2}, float("nan"), float("inf"), {1, 2}, torch.ones(1)])
def test_facts_that_json_would_change_are_refused(tmp_path, fact):
    with pytest.raises(UnsupportedError, match="JSON would change"):
        save(tmp_path, TrainingState(1, {}, {"fact": fact}))
    assert steps(tmp_path) == []


def test_a_full_disk_while_the_library_writes_is_told_and_harms_nothing(tmp_path):
    save(tmp_path, make_state(1))
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
        with pytest.raises(QkvError, match=r"net\.safetensors could not be written.*whole still"):
            save(tmp_path, make_state(2, width=1024))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert steps(tmp_path) == ["step-00000001"]
    state, _ = load_newest(tmp_path)
    assert state is not None
    assert equal(state, make_state(1))


def test_nothing_is_pickled(tmp_path, monkeypatch):
    def refuse(*args: object, **kwargs: object) -> None:
        pytest.fail("pickle was used")

    for name in ("dumps", "dump", "loads", "load"):
        monkeypatch.setattr(f"pickle.{name}", refuse)
    monkeypatch.setattr(torch, "save", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    save(tmp_path, make_state(1))
    assert load_newest(tmp_path)[0] is not None
    assert {path.suffix for path in (tmp_path / "checkpoints" / "step-00000001").iterdir()} == {".json", ".safetensors"}


def test_saving_the_same_step_again_replaces_it(tmp_path):
    save(tmp_path, make_state(1))
    again = make_state(1)
    again.facts["more"] = True
    save(tmp_path, again)
    state, _ = load_newest(tmp_path)
    assert state is not None
    assert equal(state, again)
