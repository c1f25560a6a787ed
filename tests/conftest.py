"""What holds for every test: shapes are checked, seeds fixed, nothing leaves the machine or the test's own folder.

`QKV_TYPECHECK=0` turns the shape checks off, for tests that compile nets (the checker raises false errors there);
`QKV_TEST_SEED=7` draws other random numbers.
"""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from jaxtyping import install_import_hook

if os.environ.get("QKV_TYPECHECK", "1") != "0":
    install_import_hook("qkv", "beartype.beartype")  # before the first import of qkv, or it checks nothing

SEED = int(os.environ.get("QKV_TEST_SEED", "0"))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the first import of torch; also the same sums on every machine
os.environ.update({"HF_HUB_OFFLINE": "1", "MPLBACKEND": "agg"})
hypothesis.settings.register_profile("house", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("house")


def _mend_torchvision() -> list[Any]:
    """Let torchvision import beside a torch for CPUs alone: its build for GPUs misses two operators there.

    timm and transformers import it. Nothing calls the two; what is returned keeps them defined.
    """
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError:
        return []
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        library = sys.modules["torch"].library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        importlib.import_module("torchvision")
        return [library]
    return []


MENDED = _mend_torchvision()


def _stay_home(event: str, arguments: tuple) -> None:
    """Refuse connections to other machines, whoever opens them."""
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else "localhost"  # a string is a socket file
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host not in ("localhost", "127.0.0.1", "::1", "", None):
        raise ConnectionError(f"a test tried to reach {host}: tests run without a network")


sys.addaudithook(_stay_home)


@pytest.fixture(autouse=True, scope="session")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the caches of qkv away from the user's own."""
    home = tmp_path_factory.mktemp("qkv_home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QKV_HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of models that a module lists under MAKE, with the functions that write them."""
    places = {name: tmp_path_factory.mktemp("made") / name for name in request.module.MAKE}
    for name, make in request.module.MAKE.items():
        make(places[name])
    return places


@pytest.fixture(autouse=True)
def _seed(request: pytest.FixtureRequest) -> None:
    """Seed torch from the test's own name: its numbers do not depend on which tests ran before."""
    if "torch" in sys.modules:
        from qkv.base import seeds

        sys.modules["torch"].manual_seed(seeds.mix(SEED, request.node.nodeid))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"seed {SEED} (QKV_TEST_SEED)")
