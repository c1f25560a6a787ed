"""Every write of qkv goes through here: a file or folder is there whole, or it is not there.

A file is written beside its place, flushed to the disk and renamed over it. A folder is written as a sibling, sealed
with a manifest (SHA-256 and size of every file), and renamed. Each file is flushed before the rename that shows it and
the parent folder after, the order that POSIX asks for (Pillai et al., "All file systems are not created equal",
OSDI 2014, https://www.usenix.org/conference/osdi14/technical-sessions/presentation/pillai).

The operating system is called `disk` here, and only through it: the crash tests put in its place one that kills the
process, or runs out of space, at the n-th operation.
"""

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from qkv.base.errors import ConfigError, DataError, QkvError, WeightsError

disk = os
MANIFEST = "manifest.json"
_BINARY = getattr(os, "O_BINARY", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
# ".tmp" is rubbish once its writer is dead; ".old" stands in for a folder that was being replaced.
_SIBLING = re.compile(r"\.(?P<kind>tmp|old)-qkv-(?P<pid>\d+)-[0-9a-f]{8}-(?P<name>.+)")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash at any instant, sees the old content or the new, never a mixture."""
    with _named(path):
        make_folder(path.parent)
        draft = _sibling(path, "tmp")
        try:
            _write(draft, _NEW, data)
            disk.replace(draft, path)
        except BaseException:
            with suppress(OSError):
                disk.unlink(draft)
            raise
        _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, line ends as given, as safely as `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """Write a value as readable JSON (NaN and infinity are not JSON: ValueError), as safely as `write_bytes`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def append_line(path: Path, line: str) -> None:
    """Add one line to a log and flush it to the disk; if the disk refuses half of it, the half is cut off again."""
    if "\n" in line:
        raise DataError(f"A line for {path} contains a line break: {line[:60]!r}; write it as several lines.")
    data = f"{line}\n".encode()
    with _named(path):
        new = not path.exists()
        handle = disk.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _BINARY, 0o666)
        try:
            size = disk.fstat(handle).st_size
            if disk.write(handle, data) < len(data):
                disk.ftruncate(handle, size)
                raise QkvError(f"{path} took only a part of a line, which was cut off again; is the disk full?")
            disk.fsync(handle)
        finally:
            disk.close(handle)
        if new:
            _sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and the missing ones above it, each entered durably in its parent."""
    if not folder.is_dir():
        make_folder(folder.parent)
        with suppress(FileExistsError):
            disk.mkdir(folder)
        _sync_folder(folder.parent)


@contextmanager
def publish(folder: Path, *, extra: Mapping[str, object] | None = None, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder to write into, by any library; when the block ends well it appears whole as `folder`.

    `extra` goes into the manifest as it is when the block ends. If the block raises, nothing remains. An existing
    `folder` is refused (ConfigError) unless `replace`: then it, or the new one, is complete at every instant; a crash
    between the two renames is undone by the next `sweep` of the parent.
    """
    if not replace and os.path.lexists(folder):
        raise ConfigError(f"{folder} exists already; choose another name, or remove it first.")
    with _named(folder):
        make_folder(folder.parent)
        draft = _sibling(folder, "tmp")
        disk.mkdir(draft)
        try:
            yield draft
            _seal(draft, extra or {})
            _swap_in(draft, folder)
        except BaseException:
            with suppress(OSError):
                _delete(draft)
            raise


def verify(folder: Path) -> dict[str, object]:
    """Check every byte of a published folder against its manifest; return the manifest's `extra`.

    Raises WeightsError that names each file that is damaged, missing, unreadable or not part of the folder.
    """
    manifest = _read_manifest(folder)
    present = {path.relative_to(folder).as_posix(): path for path in _files_under(folder)}
    present.pop(MANIFEST, None)
    listed = manifest["files"]
    faults = [f"{name} is missing" for name in listed if name not in present]
    faults += [f"{name} is not in the manifest" for name in present if name not in listed]
    faults += [
        fault for name in sorted(listed.keys() & present.keys()) if (fault := _fault(present[name], listed[name]))
    ]
    if faults:
        shown = "; ".join(faults[:4]) + (f"; and {len(faults) - 4} more" if len(faults) > 4 else "")
        raise WeightsError(f"{folder} is not as it was written: {shown}. Use an older copy, or write it again.")
    return manifest["extra"]


def remove(folder: Path) -> None:
    """Remove a folder; a crash on the way leaves it whole, or gone from its name (and `sweep` takes the rest)."""
    with _named(folder):
        rubbish = _sibling(folder, "tmp")
        disk.rename(folder, rubbish)
        _sync_folder(folder.parent)
        _delete(rubbish)


def sweep(parent: Path) -> None:
    """Clear what writers that died left in a folder, and put back what one of them was about to replace.

    Siblings of other living processes are left alone. This process must not be publishing into `parent` meanwhile.
    """
    for path in sorted(parent.glob(".*-qkv-*")):
        found = _SIBLING.fullmatch(path.name)
        if not found or _alive(int(found["pid"])):
            continue
        with _named(path):
            place = path.with_name(found["name"])
            if found["kind"] == "old" and not os.path.lexists(place):
                disk.rename(path, place)
                _sync_folder(path.parent)
            else:
                _delete(path)


def _seal(draft: Path, extra: Mapping[str, object]) -> None:
    """Hash and flush everything in a draft, then write its manifest, last.

    Files get the mode of the user's umask, which the draft has: safetensors makes its own readable to the owner alone.
    """
    files, mode = {}, draft.stat().st_mode & 0o666
    for path in _files_under(draft):
        disk.chmod(path, mode)
        files[path.relative_to(draft).as_posix()] = {"bytes": path.stat().st_size, "sha256": _digest(path, flush=True)}
    _write(draft / MANIFEST, _NEW, _render_manifest({"files": files, "extra": dict(extra)}))
    for inner, _, _ in disk.walk(draft, topdown=False):
        _sync_folder(Path(inner))


def _swap_in(draft: Path, folder: Path) -> None:
    """Give a sealed draft its name; what had that name before goes only when the draft has it, durably."""
    aside = _sibling(folder, "old") if os.path.lexists(folder) else None
    if aside:
        disk.rename(folder, aside)
    try:
        disk.rename(draft, folder)
    except BaseException:
        if aside:
            disk.rename(aside, folder)
        raise
    _sync_folder(folder.parent)
    if aside:
        _delete(aside)


def _render_manifest(content: Mapping[str, object]) -> bytes:
    """Write out a manifest with its own hash, so that a flipped bit in it is found like one in any other file."""
    body = json.dumps(content, sort_keys=True, allow_nan=False)
    own = hashlib.sha256(body.encode()).hexdigest()
    return (json.dumps({"manifest_sha256": own} | json.loads(body), indent=1, sort_keys=True) + "\n").encode()


def _read_manifest(folder: Path) -> dict:
    path = folder / MANIFEST
    if not path.is_file():
        raise WeightsError(
            f"{folder} has no {MANIFEST}: it was not written by qkv, or not to the end. Use another one."
        )
    try:
        raw = path.read_bytes()
        manifest = json.loads(raw)
        manifest.pop("manifest_sha256")
        whole = _render_manifest(manifest) == raw and isinstance(manifest["extra"], dict)
        whole = whole and all(entry.keys() == {"bytes", "sha256"} for entry in manifest["files"].values())
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        whole = False
    if not whole:
        raise WeightsError(f"{path} is damaged. Use an older copy, or write the folder again.")
    return manifest


def _fault(path: Path, listed: Mapping[str, object]) -> str:
    """Say how a file differs from its entry in the manifest; an empty string if it does not."""
    try:
        size = path.stat().st_size
        if size != listed["bytes"]:
            return f"{path.name} has {size} bytes, not {listed['bytes']}"
        return "" if _digest(path, flush=False) == listed["sha256"] else f"{path.name} is damaged (its SHA-256 differs)"
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror})"


def _write(path: Path, flags: int, data: bytes) -> None:
    handle = disk.open(path, flags, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[disk.write(handle, rest) :]
        disk.fsync(handle)
    finally:
        disk.close(handle)


def _digest(path: Path, *, flush: bool) -> str:
    """Return a file's SHA-256; with `flush`, wait until the disk has it (Windows flushes only writable handles)."""
    mode = "r+b" if flush and os.name == "nt" else "rb"
    with open(path, mode, buffering=0, opener=disk.open) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if flush:
            disk.fsync(file.fileno())
    return digest


def _sync_folder(folder: Path) -> None:
    """Flush a folder's entries; Windows cannot open folders, and keeps its own journal of them."""
    if os.name == "nt":
        return
    handle = disk.open(folder, os.O_RDONLY)
    try:
        disk.fsync(handle)
    finally:
        disk.close(handle)


def _files_under(folder: Path) -> list[Path]:
    return sorted(Path(inner, name) for inner, _, names in disk.walk(folder) for name in names)


def _delete(path: Path) -> None:
    """Remove a file or a whole folder, if it is still there."""
    if path.is_dir() and not path.is_symlink():
        for entry in disk.listdir(path):
            _delete(path / entry)
        disk.rmdir(path)
    elif os.path.lexists(path):
        disk.unlink(path)


def _sibling(path: Path, kind: str) -> Path:
    return path.with_name(f".{kind}-qkv-{os.getpid()}-{secrets.token_hex(4)}-{path.name}")


def _alive(pid: int) -> bool:
    """Say whether another process may still be writing (Windows cannot be asked harmlessly; it guards open files)."""
    if pid == os.getpid() or os.name == "nt":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn the disk's refusal into a sentence that names the place."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise QkvError(f"{path} could not be written: {why}. What was whole before is whole still.") from error
