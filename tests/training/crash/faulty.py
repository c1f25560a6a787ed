"""A disk that fails: the process dies, or the operation is refused, at the n-th file operation of a write."""

import errno
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import safetensors
from safetensors import SafetensorError

from qkv.base import files
from qkv.base.errors import QkvError

OPERATIONS = {"open", "write", "fsync", "close", "rename", "replace", "mkdir", "rmdir", "unlink"}
OPERATIONS |= {"ftruncate", "fstat", "chmod", "walk", "listdir"}
KILLED = 137
Fault = Callable[[str, Callable[..., Any], tuple, dict], Any]


class Disk:
    """The os module; it notes what is asked of it with paths, and commits a fault at one operation.

    Flushing is only noted: a process that dies takes nothing with it that it has written.
    """

    def __init__(self, at: int = -1, fault: Fault | None = None) -> None:
        self.at, self.fault = at, fault
        self.log: list[tuple[str, ...]] = []
        self._open: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return self.watched(name, getattr(os, name)) if name in OPERATIONS else getattr(os, name)

    def watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any, **kwargs: Any) -> Any:
            self.log.append((name, *(self._path(one) for one in args if isinstance(one, int | str | Path))))
            if len(self.log) - 1 == self.at and self.fault:
                return self.fault(name, real, args, kwargs)
            if name == "fsync":
                return None
            result = real(*args, **kwargs)
            if name == "open":
                self._open[result] = str(args[0])
            return result

        return operation

    def _path(self, one: int | str | Path) -> str:
        return self._open.get(one, str(one)) if isinstance(one, int) else str(one)


@contextmanager
def disk(at: int = -1, fault: Fault | None = None) -> Iterator[Disk]:
    """Put a faulty disk below everything that qkv writes; a library's own write counts as one operation."""
    fake = Disk(at, fault)
    with mock.patch.object(files, "disk", fake):
        library = fake.watched("serialize_file", safetensors.serialize_file)
        with mock.patch("safetensors.torch.serialize_file", library):
            yield fake


def die(name: str, real: Callable[..., Any], args: tuple, kwargs: dict) -> None:
    """Die before the operation."""
    os._exit(KILLED)


def die_half_way(name: str, real: Callable[..., Any], args: tuple, kwargs: dict) -> None:
    """Die with half of the bytes written; after the operation, where it has no half."""
    _half(name, real, args, kwargs)
    os._exit(KILLED)


def refuse(number: int, *, done: bool) -> Fault:
    """Answer with an error; `done`: though it was carried out (bytes by half), as a bad disk may."""

    def fault(name: str, real: Callable[..., Any], args: tuple, kwargs: dict) -> None:
        if done or name == "close":
            _half(name, real, args, kwargs)
        if name == "serialize_file":
            raise SafetensorError(f"Error while serializing: I/O error: {os.strerror(number)}")
        raise OSError(number, os.strerror(number), *(one for one in args[:1] if isinstance(one, str | Path)))

    return fault


def _half(name: str, real: Callable[..., Any], args: tuple, kwargs: dict) -> None:
    if name == "write":
        real(args[0], bytes(args[1])[: len(args[1]) // 2])
        return
    result = real(*args, **kwargs)
    if name == "open":
        os.close(result)
    if name == "serialize_file":
        os.truncate(args[1], os.stat(args[1]).st_size // 2)


FAULTS: dict[str, Fault] = {
    "killed": die_half_way,
    "out of space": refuse(errno.ENOSPC, done=True),
    "refused": refuse(errno.EIO, done=False),
}
MORE_FAULTS: dict[str, Fault] = {"killed before": die, "done, but refused": refuse(errno.EIO, done=True)}


class Case(NamedTuple):
    """A write under test: what is there before it, the write, and a judge that raises if anything was lost.

    The judge gets the folder and whether the writer said that it was done.
    """

    prepare: Callable[[Path], object]
    write: Callable[[Path], object]
    judge: Callable[[Path, bool], object]


def count_operations(case: Case, folder: Path) -> int:
    """Return how many file operations an undisturbed write takes; the judge must be content with it."""
    folder.mkdir()
    case.prepare(folder)
    with disk() as seen:
        case.write(folder)
        n = len(seen.log)
        case.judge(folder, True)
    return n


def losses(case: Case, root: Path, faults: dict[str, Fault] = FAULTS) -> tuple[int, list[str]]:
    """Commit each fault at each operation; return the number of trials and what was lost in which."""
    n = count_operations(case, root / "count")
    (root / "before").mkdir()
    case.prepare(root / "before")
    lost = []
    for what, fault in faults.items():
        for at in range(n):
            folder = root / "trial"
            shutil.copytree(root / "before", folder)
            attempt = partial(_attempt, case, folder, at, fault)
            done = _in_child(attempt) if what.startswith("killed") else attempt()
            try:
                with disk():
                    case.judge(folder, done)
            except (QkvError, AssertionError, OSError, ValueError, SafetensorError) as error:
                lost.append(f"{what} at operation {at}: {error!r:.200}")
            shutil.rmtree(folder)
    return n * len(faults), lost


def _attempt(case: Case, folder: Path, at: int, fault: Fault) -> bool:
    try:
        with disk(at, fault):
            case.write(folder)
    except (QkvError, OSError, SafetensorError):
        return False
    return True


def _in_child(work: Callable[[], bool]) -> bool:
    """Do the work in a process that may die; return whether it ended well and said yes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the child forks from threads, and only writes files
        pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 1, KILLED), f"the writer's process ended with {code}"
    return code == 0
