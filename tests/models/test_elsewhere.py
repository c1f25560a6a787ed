"""No net needs a CPU: on a pretended GPU each says, learns and writes what it does on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.tiny import SMALL
from qkv.models import FAMILIES

FREQUENCIES = {"aten._to_copy.default": 1}  # Llama's few angles come from the CPU in each pass, in fp32

pytestmark = pytest.mark.slow  # 15 s


@pytest.fixture(scope="module")
def found():
    folder = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": str(folder.parent)}
    done = subprocess.run(
        [sys.executable, "-W", "error", folder / "elsewhere.py"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_every_net_is_itself_on_another_device(found):
    nets = found["nets"]
    assert nets.keys() == SMALL.keys()
    assert max(net["difference"] for net in nets.values()) <= 1e-5
    assert {SMALL[name].family.name for name, net in nets.items() if net["writes"]} >= {"gpt", "llama", "transformer"}
    assert {SMALL[name].family.name for name in nets} == set(FAMILIES)


def test_a_step_waits_for_no_device(found):
    """What waits in each step cannot be captured as a CUDA graph, and costs more than the step of a small net."""
    writers = {name: net for name, net in found["nets"].items() if net["writes"]}
    for name, net in writers.items():
        assert net["waits"] == (FREQUENCIES if SMALL[name].family.name == "llama" else {}), name


def test_a_table_left_behind_is_told(found):
    assert "all tensors to be on the same device" in found["planted"]
