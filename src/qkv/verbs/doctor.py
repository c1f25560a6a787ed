"""What this machine gives qkv: versions, speed, extras, room to write; and what to do where something is wrong."""

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

GIB = 2**30
MIN_FREE_GIB = 2
NOT_FOR_USERS = {"all", "test", "lint", "bench"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing looked at. `ok` is False only where qkv will fail; `advice` says what to do, or what one could do."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def doctor() -> list[Finding]:
    """Look at everything qkv relies on; takes a few seconds and changes nothing."""
    return [_python(), _torch(), _speed(), *_extras(), _torchvision(), _home(), _disk(), _terminal()]


def _python() -> Finding:
    ok = sys.version_info >= (3, 11)
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding(name="Python", ok=ok, found=found, advice="" if ok else "qkv needs Python 3.11 or newer.")


def _torch() -> Finding:
    import torch

    ok = tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2]) >= (2, 11)
    bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU only"
    advice = "" if bf16 else "No bf16 instructions here: keep --dtype fp32, bf16 would be slower."
    return Finding(
        name="torch",
        ok=ok,
        found=f"{torch.__version__}, {torch.get_num_threads()} threads, bf16 {'yes' if bf16 else 'no'}, {device}",
        advice=advice if ok else "qkv needs torch 2.11 or newer: pip install --upgrade torch",
    )


def _speed() -> Finding:
    """Time one matrix product and one attention, the best of five each: enough to see a throttled machine."""
    import torch
    import torch.nn.functional as F

    size, heads, length, width = 1024, 8, 512, 64
    x = torch.rand(size, size)
    q = torch.rand(1, heads, length, width)
    product = 2 * size**3 / _best_of_five(lambda: x @ x) / 1e9
    attention = _best_of_five(lambda: F.scaled_dot_product_attention(q, q, q)) * 1e3
    found = f"{product:.0f} GFLOP/s in fp32 products; attention of {heads} x {length} x {width} in {attention:.1f} ms"
    return Finding(name="speed", ok=True, found=found)


def _best_of_five(work: Callable[[], object]) -> float:
    """Return the shortest of five times in seconds, after one unmeasured run."""
    work()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _extras() -> list[Finding]:
    """Say for each extra of qkv which of its packages are missing; none is needed by the core."""
    wanted: dict[str, list[str]] = {}
    for line in metadata.requires("qkv") or ():
        package, extra = re.match(r"[\w.-]+", line), re.search(r"extra == ['\"](\w+)['\"]", line)
        if package and extra and extra[1] not in NOT_FOR_USERS:
            wanted.setdefault(extra[1], []).append(package[0])
    return [_extra(name, packages) for name, packages in wanted.items()]


def _extra(name: str, packages: list[str]) -> Finding:
    versions = {package: _version(package) for package in packages}
    missing = [package for package, version in versions.items() if version is None]
    found = f"without {', '.join(missing)}" if missing else ", ".join(f"{p} {v}" for p, v in versions.items())
    advice = f"If you want it: pip install 'qkv[{name}]'" if missing else ""
    return Finding(name=f"extra {name}", ok=True, found=found, advice=advice)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _torchvision() -> Finding:
    """Import torchvision in a process of its own: one built for another torch breaks every package that imports it."""
    version = _version("torchvision")
    if version is None:
        return Finding(name="torchvision", ok=True, found="not installed, and not needed")
    done = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, text=True)
    if done.returncode == 0:
        return Finding(name="torchvision", ok=True, found=version)
    last = (done.stderr.strip().splitlines() or ["it does not import"])[-1]
    cure = (
        f"It was built for another torch than your {_version('torch')}. Install both from one place "
        "(CPU only: pip install --force-reinstall torch torchvision --index-url https://download.pytorch.org/whl/cpu), "
        "or take it away: pip uninstall torchvision. qkv runs without it; transformers and timm may not run with it."
    )
    return Finding(name="torchvision", ok=False, found=f"{version} does not import: {last}", advice=cure)


def _home() -> Finding:
    path = _home_folder()
    above = next(folder for folder in (path, *path.parents) if folder.exists())
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        return Finding(name="QKV_HOME", ok=True, found=str(path))
    advice = "Set QKV_HOME to a folder that you can write to."
    return Finding(name="QKV_HOME", ok=False, found=f"{path} cannot be written: look at {above}", advice=advice)


def _home_folder() -> Path:
    """Where qkv keeps what it downloads: $QKV_HOME, or qkv in the platform's cache folder."""
    if chosen := os.environ.get("QKV_HOME"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/qkv"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData/Local")) / "qkv"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qkv"


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / GIB
    ok = free >= MIN_FREE_GIB
    advice = "" if ok else f"Checkpoints want room: free {MIN_FREE_GIB} GiB, or give --out on another disk."
    return Finding(name="disk", ok=ok, found=f"{free:.1f} GiB free under {Path.cwd()}", advice=advice)


def _terminal() -> Finding:
    encoding = getattr(sys.stdout, "encoding", None) or "unknown"
    try:
        "█é→".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        advice = "Heat maps need Unicode: set PYTHONIOENCODING=utf-8 (Windows: also chcp 65001)."
        return Finding(name="terminal", ok=False, found=f"{encoding} cannot show █", advice=advice)
    columns = shutil.get_terminal_size().columns
    return Finding(name="terminal", ok=True, found=f"{encoding}, {columns} columns")
