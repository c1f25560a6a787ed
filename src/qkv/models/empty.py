"""Nets without memory: to be counted, compared, or filled from a file once it is sure that they fit."""

import os
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from qkv.base.errors import ConfigError
from qkv.models.family import Family


class _Undrawn(TorchFunctionMode):
    """Leave out the drawing of first weights, which takes most of the time where there is nothing to draw into."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def build_empty(family: Family, cfg: Any) -> Any:
    """Return the net of a configuration on the meta device: names, shapes and types, but no numbers."""
    with torch.device("meta"), _Undrawn():
        return family.net(cfg)


def check_memory(net: nn.Module, n_bytes: int, where: str) -> None:
    """Raise ConfigError if the tensors of a net, of `n_bytes` a number, are more than this machine's memory holds.

    Whoever writes a configuration may ask for any size; nothing is allocated before this is known.
    """
    held = memory_size()
    n, wanted = (sum(x.numel() for x in tensors) for tensors in (net.parameters(), (*net.parameters(), *net.buffers())))
    if held is not None and wanted * n_bytes > held:
        raise ConfigError(
            f"{where} asks for {n:,} parameters, {wanted * n_bytes:,} bytes; the memory of this machine has {held:,}. "
            "If the model is smaller, its configuration is damaged."
        )


def memory_size() -> int | None:
    """Return the bytes of this machine's memory; None where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
