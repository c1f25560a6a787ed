import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkv.base import files
from qkv.base.errors import ConfigError, DataError, QkvError, WeightsError


def publish(folder: Path, **texts: str) -> None:
    with files.publish(folder, extra={"n": len(texts)}) as draft:
        for name, text in texts.items():
            (draft / name).write_text(text)


def test_importing_it_imports_no_torch():
    code = "import sys, qkv.base.files; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_files_are_written_with_their_folders(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    files.write_bytes(path, b"\x00\r\n")
    assert path.read_bytes() == b"\x00\r\n"
    files.write_text(path, "é\n\r")
    assert path.read_bytes() == "é\n\r".encode()
    files.write_json(path, {"é": [1.5, None]})
    assert json.loads(path.read_bytes()) == {"é": [1.5, None]}
    assert "é" in path.read_text(encoding="utf-8")
    assert os.listdir(path.parent) == ["file"]


def test_json_that_is_no_json_is_refused_before_anything_is_written(tmp_path):
    files.write_json(tmp_path / "file", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "file", float("nan"))
    assert (tmp_path / "file").read_text() == "1\n"


def test_a_written_file_has_the_mode_that_the_user_set(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "file", "")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_published_file_has_the_mode_that_the_user_set(tmp_path):
    before = os.umask(0o027)
    try:
        with files.publish(tmp_path / "model") as draft:
            (draft / "private").touch(mode=0o600)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()} == {0o640}


def test_lines_are_appended(tmp_path):
    files.append_line(tmp_path / "log", "one")
    files.append_line(tmp_path / "log", "zwei ß")
    assert (tmp_path / "log").read_bytes() == "one\nzwei ß\n".encode()
    with pytest.raises(DataError, match="line break"):
        files.append_line(tmp_path / "log", "two\nlines")


def test_a_line_written_by_half_is_cut_off(tmp_path, monkeypatch):
    files.append_line(tmp_path / "log", "one")
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:2]))
    with pytest.raises(QkvError, match=r"log took only a part.*full"):
        files.append_line(tmp_path / "log", "two")
    assert (tmp_path / "log").read_text() == "one\n"


def test_short_writes_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, bytes(data)[:3]))
    files.write_text(tmp_path / "file", "0123456789")
    assert (tmp_path / "file").read_text() == "0123456789"


def test_what_the_disk_refuses_is_said_with_the_place(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(QkvError, match=r"file.inner could not be written: Not a directory"):
        files.write_text(tmp_path / "file" / "inner", "")


def test_a_published_folder_verifies(tmp_path):
    with files.publish(tmp_path / "parent" / "model", extra={"steps": 3}) as draft:
        assert not (tmp_path / "parent" / "model").exists()
        (draft / "deep").mkdir()
        (draft / "deep" / "one").write_text("1")
        (draft / "two").write_text("2")
    assert files.verify(tmp_path / "parent" / "model") == {"steps": 3}
    assert os.listdir(tmp_path / "parent") == ["model"]


def test_a_body_that_raises_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), files.publish(tmp_path / "model") as draft:
        (draft / "one").write_text("1")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_an_existing_folder_is_refused_or_replaced(tmp_path):
    publish(tmp_path / "model", one="old")
    with pytest.raises(ConfigError, match="exists already"), files.publish(tmp_path / "model"):
        pytest.fail("the block was entered")
    with pytest.raises(ValueError, match="no"), files.publish(tmp_path / "model", replace=True):
        raise ValueError("no")
    assert (tmp_path / "model" / "one").read_text() == "old"
    with files.publish(tmp_path / "model", replace=True) as draft:
        (draft / "two").write_text("new")
    files.verify(tmp_path / "model")
    assert os.listdir(tmp_path) == ["model"]
    assert not (tmp_path / "model" / "one").exists()


def test_a_replacement_that_the_disk_refuses_leaves_the_old_one_in_place(tmp_path, monkeypatch):
    def rename(source: Path, target: Path) -> None:
        if ".tmp-" in source.name:
            raise OSError(5, "Input/output error")
        os.replace(source, target)

    publish(tmp_path / "model", one="old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", rename)
        with pytest.raises(QkvError, match="Input/output error"), files.publish(tmp_path / "model", replace=True):
            pass
    files.verify(tmp_path / "model")
    assert os.listdir(tmp_path) == ["model"]


def test_verify_names_every_bad_file(tmp_path):
    publish(tmp_path / "model", one="1", two="2", three="3", four="4")
    (tmp_path / "model" / "one").write_text("x")
    (tmp_path / "model" / "two").write_text("22")
    (tmp_path / "model" / "three").unlink()
    (tmp_path / "model" / "five").write_text("5")
    with pytest.raises(WeightsError) as raised:
        files.verify(tmp_path / "model")
    for part in ("one is damaged", "two has 2 bytes, not 1", "three is missing", "five is not in the manifest"):
        assert part in str(raised.value)
    assert "four" not in str(raised.value)


def test_a_file_that_the_disk_cannot_read_is_named(tmp_path, monkeypatch):
    def refuse(path: Path, flush: bool) -> str:
        raise OSError(5, "Input/output error")

    publish(tmp_path / "model", one="1")
    monkeypatch.setattr(files, "_digest", refuse)
    with pytest.raises(WeightsError, match=r"one cannot be read \(Input/output error\)"):
        files.verify(tmp_path / "model")


def test_verify_refuses_what_was_never_published(tmp_path):
    with pytest.raises(WeightsError, match=r"no manifest\.json"):
        files.verify(tmp_path)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_of_the_manifest_is_found(tmp_path_factory, place, byte):
    folder = tmp_path_factory.mktemp("published") / "model"
    publish(folder, one="1")
    raw = bytearray((folder / "manifest.json").read_bytes())
    before = raw[place % len(raw)]
    raw[place % len(raw)] = byte
    (folder / "manifest.json").write_bytes(raw)
    if byte == before:
        files.verify(folder)
    else:
        with pytest.raises(WeightsError, match=r"manifest\.json is damaged"):
            files.verify(folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"[" * 100_000, b'{"manifest_sha256": 1}', b"\xff"])
def test_a_manifest_of_another_shape_is_refused(tmp_path, content):
    publish(tmp_path / "model")
    (tmp_path / "model" / "manifest.json").write_bytes(content)
    with pytest.raises(WeightsError, match="damaged"):
        files.verify(tmp_path / "model")


@pytest.mark.parametrize("content", [{}, {"files": {"one": {}}, "extra": {}}, {"files": {"one": 1}, "extra": {}}])
def test_a_manifest_that_only_hashes_well_is_refused(tmp_path, content):
    publish(tmp_path / "model", one="1")
    (tmp_path / "model" / "manifest.json").write_bytes(files._render_manifest(content))
    with pytest.raises(WeightsError, match="damaged"):
        files.verify(tmp_path / "model")


def test_a_removed_folder_is_gone(tmp_path):
    publish(tmp_path / "model", one="1")
    (tmp_path / "model" / "deep").mkdir()
    (tmp_path / "model" / "deep" / "link").symlink_to(tmp_path)
    files.remove(tmp_path / "model")
    assert os.listdir(tmp_path) == []


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_sweep_clears_what_dead_writers_left_and_nothing_else(tmp_path):
    dead, living = dead_pid(), os.getppid()
    rubbish = [f".tmp-qkv-{dead}-0123abcd-step-1", f".old-qkv-{dead}-0123abcd-kept", f".tmp-qkv-{dead}-0123abcd-file"]
    (tmp_path / rubbish[0] / "deep").mkdir(parents=True)
    (tmp_path / rubbish[1]).mkdir()
    (tmp_path / rubbish[2]).write_text("")
    kept = ["kept", ".tmp-mine", ".tmp-qkv-x-0123abcd-name", f".tmp-qkv-{living}-0123abcd-name", ".a-qkv-b"]
    for name in kept:
        (tmp_path / name).mkdir()
    files.sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(kept)


def test_sweep_puts_back_what_was_being_replaced(tmp_path):
    publish(tmp_path / "model", one="1")
    (tmp_path / "model").rename(tmp_path / f".old-qkv-{dead_pid()}-0123abcd-model")
    files.sweep(tmp_path)
    files.verify(tmp_path / "model")
    assert os.listdir(tmp_path) == ["model"]


def test_sweep_of_a_folder_that_is_not_there_does_nothing(tmp_path):
    files.sweep(tmp_path / "none")
    assert os.listdir(tmp_path) == []
