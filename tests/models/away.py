"""A pretended GPU: tensors that say they do not lie on a CPU, and are computed on one.

Code then takes every path that is not for CPUs, and an operation on tensors of two devices raises, as on a GPU. What a
real one adds are its kernels, which bench/gpu/same_numbers.py compares. To import this registers the device with torch
for the whole process: tests run it in one of its own.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_setup_privateuseone_for_python_backend("elsewhere")
AWAY = torch.device("elsewhere", 0)
aten = torch.ops.aten
MOVES = {aten._to_copy.default, aten.copy_.default}
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}  # indices may lie on a CPU
WAITS = {aten._local_scalar_dense.default, aten.nonzero.default, aten.equal.default}


class Away(Tensor):
    """A tensor that lies elsewhere; `here` holds its numbers."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> "Away":
        """Return a stand-in for `here`, which says that it lies elsewhere."""
        form = {"strides": here.stride(), "storage_offset": here.storage_offset(), "dtype": here.dtype}
        away = Tensor._make_wrapper_subclass(cls, here.shape, **form, device=AWAY)  # type: ignore[attr-defined]
        away.here = here.detach()
        return away

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(
        cls, op: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Compute what is asked of a tensor elsewhere."""
        return _compute(op, args, kwargs or {})


class Elsewhere(TorchDispatchMode):
    """Within it tensors can be made there and moved there; `waits` names each operation that a GPU is waited for in."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(
        self, op: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Compute an operation, elsewhere if it has to do with it."""
        kwargs = kwargs or {}
        found = _compute(op, args, kwargs)
        near = {isinstance(x, Away) for x in (*tree_iter((args, kwargs)), found) if isinstance(x, Tensor)}
        if (op in WAITS and True in near) or (op in MOVES and len(near) == 2):
            self.waits.append(str(op))
        return found


def _compute(op: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Compute on the CPU what is asked of tensors elsewhere; refuse what a GPU refuses."""
    tensors = [x for x in tree_iter((args, kwargs)) if isinstance(x, Tensor)]
    to = kwargs.get("device")
    goes = any(isinstance(x, Away) for x in tensors) if to is None else torch.device(to).type == AWAY.type
    if op in MOVES:
        goes = goes if to is not None else isinstance(args[0], Away)
    else:
        near = tree_iter(args[0]) if op in INDEXED else tensors
        kinds = {type(x) is Away for x in near if isinstance(x, Tensor) and (x.dim() or type(x) is Away)}
        if len(kinds) == 2:
            raise RuntimeError(f"{op}: expected all tensors to be on the same device, but found two, {AWAY} and cpu.")
    given = {k: torch.device("cpu") if k == "device" and v is not None else v for k, v in kwargs.items()}
    found = op(*tree_map_only(Away, get_here, args), **tree_map_only(Away, get_here, given))
    if op._schema.is_mutable:
        return args[0]
    return tree_map_only(Tensor, Away, found) if goes else found


def get_here(x: Away) -> Tensor:
    """Return the numbers of a tensor elsewhere."""
    return x.here


def send(batch: Any) -> Any:
    """Return a batch, its tensors elsewhere."""
    return tree_map_only(Tensor, Away, batch)


def send_net(net: nn.Module) -> None:
    """Move a net's parameters and buffers elsewhere, in place; a parameter used twice stays one."""
    sent: dict[int, nn.Parameter] = {}
    for module in net.modules():
        for name, p in module._parameters.items():
            if p is not None:
                module._parameters[name] = sent.setdefault(id(p), nn.Parameter(Away(p.data), p.requires_grad))
        for name, x in module._buffers.items():
            module._buffers[name] = None if x is None else Away(x)
