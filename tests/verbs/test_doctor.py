import io
import shutil
import sys
import time
from types import SimpleNamespace

import pytest

from qkv.verbs import doctor as module
from qkv.verbs.doctor import Finding, doctor


def find(name: str) -> Finding:
    return next(finding for finding in doctor() if finding.name == name)


def test_a_sound_machine_passes(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    version = module._version
    # timm, which the tests compare with, brings a torchvision that may be made for another torch than theirs.
    monkeypatch.setattr(module, "_version", lambda package: None if package == "torchvision" else version(package))
    findings = doctor()
    assert [finding for finding in findings if not finding.ok] == []
    names = [finding.name for finding in findings]
    assert names[:3] == ["Python", "torch", "speed"]
    assert {"extra demo", "extra sentencepiece", "QKV_HOME", "disk", "terminal"} <= set(names)
    assert not {"extra test", "extra all"} & set(names)


def test_speed_is_measured(monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks) / 1000)  # each run takes a millisecond
    assert find("speed").found == "2147 GFLOP/s in fp32 products; attention of 8 x 512 x 64 in 1.0 ms"


def test_an_old_python_is_named(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    assert find("Python").advice == "qkv needs Python 3.11 or newer."


@pytest.mark.parametrize(("version", "ok"), [("2.10.1", False), ("2.11.0", True), ("3.0.0+cpu", True)])
def test_an_old_torch_is_named(version, ok, monkeypatch):
    import torch

    monkeypatch.setattr(torch, "__version__", version)
    assert find("torch").ok is ok
    assert find("torch").found.startswith(version)


def test_a_missing_extra_comes_with_its_pip_line(monkeypatch):
    known = module._version
    monkeypatch.setattr(module, "_version", lambda package: None if package == "sacrebleu" else known(package))
    demo = find("extra demo")
    assert demo.ok, "extras are a choice"
    assert demo.found == "without sacrebleu"
    assert demo.advice.endswith("pip install 'qkv[demo]'")


NO_NMS = "operator torchvision::nms does not exist"


@pytest.mark.parametrize(("fault", "ok"), [(f"raise RuntimeError({NO_NMS!r})", False), ("", True)])
def test_a_torchvision_for_another_torch_is_named_with_its_cure(fault, ok, tmp_path, monkeypatch):
    (tmp_path / "torchvision.py").write_text(fault)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(module, "_version", lambda package: "0.28.0")
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    finding = find("torchvision")
    assert finding.ok is ok
    assert (NO_NMS in finding.found) is not ok
    assert ("pip uninstall torchvision" in finding.advice) is not ok
    assert "torchvision" not in sys.modules


def test_a_home_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("QKV_HOME", str(tmp_path / "new" / "home"))
    assert find("QKV_HOME").ok
    assert not (tmp_path / "new").exists(), "the doctor changes nothing"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QKV_HOME", str(tmp_path / "file" / "home"))
    finding = find("QKV_HOME")
    assert not finding.ok
    assert str(tmp_path / "file") in finding.found
    assert "Set QKV_HOME" in finding.advice


@pytest.mark.parametrize(
    ("system", "variable", "expected"),
    [("linux", "XDG_CACHE_HOME", "qkv"), ("win32", "LOCALAPPDATA", "qkv"), ("darwin", "HOME", "Library/Caches/qkv")],
)
def test_the_home_lies_in_the_platforms_cache(system, variable, expected, tmp_path, monkeypatch):
    monkeypatch.delenv("QKV_HOME")
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr(sys, "platform", system)
    assert module._home_folder() == tmp_path / expected


def test_a_full_disk_is_named(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**30))
    finding = find("disk")
    assert not finding.ok
    assert finding.found.startswith("1.0 GiB free")
    assert "--out" in finding.advice


def test_a_terminal_without_unicode_is_named(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    finding = find("terminal")
    assert not finding.ok
    assert "PYTHONIOENCODING=utf-8" in finding.advice
