"""Killed, out of space, or refused by the disk at every single file operation: nothing that was whole is lost."""

from pathlib import Path

import pytest

from qkv.base import files
from qkv.training import checkpoint
from training.crash import naive
from training.crash.faulty import FAULTS, MORE_FAULTS, Case, Fault, disk, losses
from training.crash.states import equal, make_state

ONE, TWO, TWO_AGAIN, THREE, FOUR = (make_state(step) for step in (1, 2, 2, 3, 4))
TWO_AGAIN.facts["stopped"] = True


def saving(writer, before, now) -> Case:
    """Save `now` into a run that holds `before`: the last of them, or `now`, must be there, and saving go on."""

    def prepare(run: Path) -> None:
        with disk():
            for state in before:
                checkpoint.save(run, state)

    def judge(run: Path, done: bool) -> None:
        found, notes = writer.load_newest(run)
        assert not notes
        if found is None:
            assert not done
            assert not before
        else:
            assert equal(found, now) or (not done and equal(found, before[-1]))
        writer.save(run, FOUR)
        again, _ = writer.load_newest(run)
        assert again is not None
        assert equal(again, FOUR)
        if writer is checkpoint:
            folders = sorted((run / "checkpoints").iterdir())
            assert len(folders) == (2 if found else 1), folders
            for folder in folders:
                files.verify(folder)

    return Case(prepare, lambda run: writer.save(run, now), judge)


def publishing() -> Case:
    """Replace one published folder by another: one of them is whole at every instant, under its name after a sweep."""

    def publish(folder: Path, text: str) -> None:
        with files.publish(folder / "model", extra={"text": text}, replace=True) as draft:
            files.write_text(draft / "one.txt", text)
            files.write_text(draft / "deep" / "two.txt", text)

    def judge(folder: Path, done: bool) -> None:
        files.sweep(folder)
        text = files.verify(folder / "model")["text"]
        assert text == "new" or (not done and text == "old")
        assert (folder / "model" / "deep" / "two.txt").read_text() == text
        assert [path.name for path in folder.iterdir()] == ["model"]

    return Case(lambda folder: publish(folder, "old"), lambda folder: publish(folder, "new"), judge)


def writing() -> Case:
    """Replace one file by another, and add a line to a log."""

    def prepare(folder: Path) -> None:
        files.write_text(folder / "file", "old")
        files.append_line(folder / "log", "first")

    def write(folder: Path) -> None:
        files.write_text(folder / "file", "new")
        files.append_line(folder / "log", "second")

    def judge(folder: Path, done: bool) -> None:
        files.sweep(folder)
        text, log = (folder / "file").read_text(), (folder / "log").read_text()
        assert text == "new" or (not done and text == "old")
        assert log == "first\nsecond\n" or (
            not done and log.startswith("first\n") and "first\nsecond\n".startswith(log)
        )
        assert {path.name for path in folder.iterdir()} == {"file", "log"}

    return Case(prepare, write, judge)


def removing() -> Case:
    """Remove a folder: it is whole, or it is gone."""

    def prepare(folder: Path) -> None:
        with files.publish(folder / "model") as draft:
            files.write_text(draft / "one.txt", "one")
            files.write_text(draft / "two.txt", "two")

    def judge(folder: Path, done: bool) -> None:
        files.sweep(folder)
        if (folder / "model").exists():
            assert not done
            files.verify(folder / "model")

    return Case(prepare, lambda folder: files.remove(folder / "model"), judge)


CASES = {
    "save the first": (saving(checkpoint, [], ONE), 30),
    "save and prune": (saving(checkpoint, [ONE, TWO], THREE), 40),
    "save a step again": (saving(checkpoint, [ONE, TWO], TWO_AGAIN), 40),
    "publish": (publishing(), 30),
    "write": (writing(), 10),
    "remove": (removing(), 6),
}


def survive(name: str, faults: dict[str, Fault], root: Path) -> None:
    case, fewest = CASES[name]
    trials, lost = losses(case, root, faults)
    print(f"{name}: {trials} trials, {len(lost)} lost")
    assert not lost, "\n".join(lost)
    assert trials >= len(faults) * fewest  # or the disk was written past the harness


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_lost_at_any_operation(name, tmp_path):
    survive(name, FAULTS, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CASES)
def test_nothing_is_lost_by_rarer_faults(name, tmp_path):
    survive(name, MORE_FAULTS, tmp_path)


def test_the_naive_writer_loses_in_the_same_harness(tmp_path):
    trials, lost = losses(saving(naive, [ONE, TWO], THREE), tmp_path)
    print(f"naive: {trials} trials, {len(lost)} lost")
    for fault in FAULTS:
        assert any(line.startswith(fault) for line in lost), fault
