"""What is flushed when: every file before the rename that shows it, its folder after."""

from pathlib import Path

from qkv.base import files
from qkv.training import checkpoint
from training.crash import naive
from training.crash.faulty import Disk, disk
from training.crash.states import make_state

STATES = [make_state(step) for step in (1, 2, 3)]


def out_of_order(log: list[tuple[str, ...]], folder: Path) -> list[str]:
    """List what a power cut could tear, from the file operations of one save: each write needs its flush in time."""
    shown = [i for i, entry in enumerate(log) if entry[0] == "rename" and entry[2] == str(folder)]
    if len(shown) != 1:
        return ["the folder is not shown by one rename"]
    draft, faults = Path(log[shown[0]][1]), []
    flushed = [(i, Path(entry[1])) for i, entry in enumerate(log) if entry[0] == "fsync"]
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        inner = draft / path.relative_to(folder)
        written = [i for i, entry in enumerate(log) if entry[0] in ("write", "serialize_file") and str(inner) in entry]
        written += [i for i, entry in enumerate(log) if entry[0] == "replace" and entry[2] == str(inner)]
        if not written or not any(max(written) < i < shown[0] for i, flushed_path in flushed if flushed_path == inner):
            faults.append(f"{path.name} is not flushed before the rename")
        entered = [i for i, entry in enumerate(log) if entry[0] in ("open", "replace") and str(inner) in entry]
        if not any(max(entered) < i < shown[0] for i, flushed_path in flushed if flushed_path == inner.parent):
            faults.append(f"the entry of {path.name} is not flushed before the rename")
    after = [i for i, path in flushed if path == folder.parent and i > shown[0]]
    gone = [i for i, entry in enumerate(log) if i > shown[0] and entry[0] in ("rename", "unlink", "rmdir")]
    if not after:
        faults.append("the parent is not flushed after the rename")
    if gone and (not after or min(gone) < min(after)):
        faults.append("something is removed before the rename is flushed")
    return faults


def save_last(run: Path, writer) -> tuple[Disk, Path]:
    for state in STATES[:2]:
        writer.save(run, state)
    with disk() as seen:
        return seen, writer.save(run, STATES[2])


def test_each_file_is_flushed_before_the_rename_and_the_folder_after(tmp_path):
    seen, folder = save_last(tmp_path, checkpoint)
    assert len(list(folder.iterdir())) == 5
    assert out_of_order(seen.log, folder) == []
    manifest = [i for i, entry in enumerate(seen.log) if entry[0] == "write" and entry[1].endswith(files.MANIFEST)]
    others = [i for i, entry in enumerate(seen.log) if entry[0] == "fsync" and entry[1].endswith(".safetensors")]
    assert len(manifest) == 1
    assert len(others) == 3
    assert manifest[0] > max(others)


def test_replacing_a_folder_keeps_the_order_too(tmp_path):
    checkpoint.save(tmp_path, STATES[0])
    with disk() as seen:
        folder = checkpoint.save(tmp_path, STATES[0])
    assert out_of_order(seen.log, folder) == []


def test_every_missing_flush_is_noticed(tmp_path):
    seen, folder = save_last(tmp_path, checkpoint)
    shown = next(i for i, entry in enumerate(seen.log) if entry[0] == "rename" and entry[2] == str(folder))
    draft = seen.log[shown][1]
    needed = {entry for entry in seen.log if entry[0] == "fsync" and Path(entry[1]).parent == Path(draft)}
    needed = {entry for entry in needed if ".tmp-" not in Path(entry[1]).name}
    assert len(needed) == 5
    for entry in [*needed, ("fsync", draft), ("fsync", str(folder.parent))]:
        assert out_of_order([one for one in seen.log if one != entry], folder), entry
    swapped = [*seen.log[:shown], *seen.log[shown + 1 :], seen.log[shown]]
    assert out_of_order(swapped, folder)


def test_the_naive_writer_is_noticed(tmp_path):
    seen, folder = save_last(tmp_path, naive)
    assert out_of_order(seen.log, folder)
