"""What the benches share: contenders that take turns, facts about the machine, results on paper."""

import importlib
import sys
from typing import Any

import torch


def _mend_torchvision() -> Any:
    """Let torchvision, if made for GPUs, import beside a torch for CPUs alone, where it misses two operators.

    transformers and timm import it; nothing calls the two. What is returned keeps them defined.
    """
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError:
        return None
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        return library
    return None


MENDED = _mend_torchvision()
