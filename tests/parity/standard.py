"""What every family and head must pass against its reference: numbers, files, faults. A family's test lists cases."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from parity.loud import FORWARD, GRADIENT, close, damaged, gradients, loaded, loud, ours, saved, streams, written
from qkv.base.errors import WeightsError
from qkv.models.family import Family
from qkv.weights.files import read_safetensors
from qkv.weights.rules import read_state


@dataclass(frozen=True, kw_only=True)
class Case:
    """One net of a reference, and how to run it beside ours.

    make: builds the reference, as it comes. mine, theirs: run a net in its own way, and return its outputs; theirs also
    the states before the first block and after each. blocks: ours, in order. real: which places of the states count.
    format: whose files. save, load: how the reference writes a folder, and comes back from it with what it missed.
    gradients: those of the reference, under the names of its file.
    """

    family: Family
    make: Callable[[], Any]
    mine: Callable[[Any], tuple[Tensor, ...]]
    theirs: Callable[[Any], tuple[tuple[Tensor, ...], list[Tensor]]]
    blocks: Callable[[Any], list[nn.Module]] = lambda net: list(net.stack.blocks)
    real: Callable[[Tensor], Tensor] = lambda state: state
    last_is_normed: bool = False
    format: str = "hf"
    save: Callable[[Any, Path], Path] = saved
    load: Callable[[Any, Path], tuple[Any, dict[str, Any]]] = loaded
    gradients: Callable[[Any], dict[str, Tensor]] = lambda reference: {
        name: p.grad for name, p in reference.named_parameters() if p.grad is not None
    }

    def reference(self, dtype: torch.dtype = torch.float32) -> Any:
        """Build the loud reference."""
        torch.manual_seed(0)
        return loud(self.make()).to(dtype)


def check_numbers(case: Case, folder: Path, dtype: torch.dtype = torch.float32) -> float:
    """Compare every state, outputs and gradients; return the largest error of states and outputs."""
    reference = case.reference(dtype)
    return compare(case, ours(case.save(reference, folder), case.family, format=case.format), reference, dtype)


def compare(case: Case, net: Any, reference: Any, dtype: torch.dtype = torch.float32) -> float:
    """Compare a net of ours with a reference."""
    scale = FORWARD[dtype]
    wanted, states = case.theirs(reference)
    found, seen = streams(case.blocks(net), lambda: case.mine(net))
    if case.last_is_normed:  # the reference's last state is behind the last norm; ours is seen before it
        seen = [*seen[:-1], net.stack.norm(seen[-1])]
    assert len(seen) == len(states), (len(seen), len(states))
    errors = [
        close(case.real(a), case.real(b), scale, f"state {i}")
        for i, (a, b) in enumerate(zip(seen, states, strict=True))
    ]
    errors += [close(a, b, scale, f"output {i}") for i, (a, b) in enumerate(zip(found, wanted, strict=True))]
    for out in (found, wanted):
        # a sum alone would hide much: each number gets a weight of its own
        sum((x * torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)).sum() for x in out).backward()  # type: ignore[union-attr]
    theirs, mine = case.gradients(reference), gradients(net, case.family, case.format)
    shared = theirs.keys() & mine.keys()
    assert len(shared) >= len(mine) - 1 - sum(not grad.any() for grad in mine.values()), mine.keys() ^ theirs.keys()
    for name in shared:
        close(mine[name], theirs[name], GRADIENT[dtype], f"gradient of {name}")
    return max(errors)


def check_files(case: Case, tmp_path: Path) -> None:
    """Show that our file is theirs, byte for byte, and loads there with nothing missing, unexpected or mismatched."""
    reference = case.reference()
    folder = case.save(reference, tmp_path / "reference")
    mine = written(ours(folder, case.family, format=case.format), case.family, tmp_path / "qkv", case.format)
    a, b = read_safetensors(mine), read_safetensors(folder)
    assert a.keys() == b.keys(), a.keys() ^ b.keys()
    assert all(torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in b)
    read = Path.read_bytes if case.format == "hf" else without_remarks
    assert read(mine / "model.safetensors") == read(folder / "model.safetensors")
    back, info = case.load(reference, mine)
    assert not any(info.values()), info
    state, wanted = back.state_dict(), reference.state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(state[key], wanted[key]) for key in wanted)
    assert all(torch.equal(x, y) for x, y in zip(case.theirs(back.eval())[0], case.theirs(reference)[0], strict=True))


def without_remarks(file: Path) -> tuple[dict[str, Any], bytes]:
    """Return the header and the numbers of a file: timm writes no remark that the tensors are PyTorch's."""
    content = file.read_bytes()
    n = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + n])
    return {name: entry for name, entry in header.items() if name != "__metadata__"}, content[8 + n :]


def check_damage(case: Case, folder: Path) -> None:
    """Show that each tensor dropped, renamed, transposed, or with one more beside it, is refused by name."""
    net = ours(case.save(case.reference(), folder), case.family, format=case.format)
    public, like, refused = case.family.formats[case.format], net.state_dict(), []
    cases = damaged(read_safetensors(folder))
    for what, file in cases:
        try:
            read_state(public.rules(net.cfg), file, like, aliases=public.aliases(net.cfg))
        except WeightsError as error:
            refused.append((what, str(error)))
    assert len(refused) == len(cases), [what for what, _ in cases if what not in dict(refused)]


def check_fault(case: Case, folder: Path, change: Callable[[Any], Any], dtype: torch.dtype = torch.float32) -> None:
    """Show that a fault planted into our configuration is found."""
    reference = case.reference(dtype)
    net = ours(case.save(reference, folder), case.family, change, case.format)
    with pytest.raises(AssertionError, match="off by"):
        compare(case, net, reference, dtype)
