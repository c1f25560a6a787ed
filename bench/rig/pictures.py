"""Nets of pictures with random weights, as folders that timm writes and both sides load."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import torch

SIDE = 224


def import_timm() -> Any:
    """Import timm, whose torchvision, if made for GPUs, misses two operators beside a torch for CPUs alone."""
    try:
        return importlib.import_module("timm")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    torch._mended = library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[attr-defined]  # kept alive
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for name in [name for name in sys.modules if name.partition(".")[0] in ("torchvision", "timm")]:
        del sys.modules[name]
    return importlib.import_module("timm")


def write_timm(folder: Path, name: str) -> None:
    """Write a net of timm with random weights into a folder, as timm itself saves it."""
    timm = import_timm()
    torch.manual_seed(0)
    timm.models.save_for_hf(timm.create_model(name), folder, safe_serialization=True)


def count_flops(name: str) -> int:
    """Return the multiplications and additions of one picture of 224 x 224."""
    from torch.utils.flop_counter import FlopCounterMode

    timm = import_timm()
    timm.layers.set_fused_attn(False)  # every product is seen
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        timm.create_model(name).eval()(torch.empty(1, 3, SIDE, SIDE))
    return counter.get_total_flops()


def load_qkv(folder: Path, family_name: str) -> Any:
    """Load the net of such a folder into ours."""
    from qkv.models import get_family
    from qkv.nn.embed import fill_buffers
    from qkv.weights.files import read_safetensors
    from qkv.weights.rules import read_state

    family = get_family(family_name)
    public, theirs = family.formats["timm"], read_safetensors(folder)
    cfg = public.fit(public.read_config(json.loads((folder / "config.json").read_text())), theirs.keys())
    with torch.device("meta"):
        net = family.net(cfg)
    state = read_state(public.rules(cfg), theirs, net.state_dict(), aliases=public.aliases(cfg), where=str(folder))
    net.load_state_dict(state, assign=True)
    fill_buffers(net)
    return net.eval()


def draw_pictures(n: int) -> torch.Tensor:
    """Return n pictures of noise, the same each time."""
    return torch.randn(n, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(n))
