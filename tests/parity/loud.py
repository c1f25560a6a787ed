"""What every parity test shares: loud references, their own files, our net out of them, and the bounds.

With the usual initial weights (N(0, 0.02), norms at one) a wrong activation or epsilon hides below any tolerance. Here
all that is learned is drawn from N(0, 0.3), so that what is wrong is loud.
"""

import copy
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from qkv.base import seeds
from qkv.models.family import Family
from qkv.nn.embed import fill_buffers
from qkv.weights.files import read_safetensors, write_safetensors
from qkv.weights.rules import read_state, write_state

FORWARD = {torch.float32: 1e-5, torch.float64: 1e-10}
GRADIENT = {torch.float32: 1e-4, torch.float64: 1e-9}


def loud(net: Any, seed: int = 0) -> Any:
    """Draw everything learned, norms and saved buffers too, from N(0, 0.3); what the net computes itself stays."""
    learned = {name for name, x in net.named_parameters() if x.requires_grad}
    buffers = {name for name, x in net.named_buffers() if x.is_floating_point()}
    with torch.no_grad():
        for name, x in net.state_dict().items():
            if name in learned | buffers:
                x.copy_(torch.randn(x.shape, generator=seeds.generator("loud", seed, name)) * 0.3)
    return net.eval()


def saved(reference: Any, folder: Path) -> Path:
    """Let a reference write its own files, as a published model has them."""
    reference.save_pretrained(folder)
    return folder


def loaded(reference: Any, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Let the class of a reference load a folder; return the net, and what was missing, unexpected or mismatched."""
    how = reference.config._attn_implementation
    return type(reference).from_pretrained(folder, output_loading_info=True, attn_implementation=how)


def ours(folder: Path, family: Family, change: Callable[[Any], Any] = lambda cfg: cfg, format: str = "hf") -> Any:
    """Build our net from the files of a reference, its configuration changed first for a planted fault."""
    public, tensors = family.formats[format], read_safetensors(folder)
    cfg = public.fit(public.read_config(json.loads((folder / "config.json").read_text("utf-8"))), tensors.keys())
    with torch.device("meta"):
        net = family.net(change(cfg))
    state = read_state(public.rules(cfg), tensors, net.state_dict(), aliases=public.aliases(cfg), kind=public.names[0])
    net.load_state_dict(state, assign=True)
    fill_buffers(net)
    return net.eval()


def written(net: Any, family: Family, folder: Path, format: str = "hf") -> Path:
    """Write our net in the reference's format."""
    public = family.formats[format]
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(public.write_config(net.cfg)), "utf-8")
    write_safetensors(folder / "model.safetensors", write_state(public.rules(net.cfg), net.state_dict()))
    return folder


def close(a: Tensor, b: Tensor, scale: float, what: str = "") -> float:
    """Check that `a`, ours, is within scale * max(1, max |b|) of `b`, the reference's; return how far of that it is."""
    assert a.shape == b.shape and a.dtype == b.dtype, (what, a.shape, b.shape, a.dtype, b.dtype)
    a, b = a.detach(), b.detach()
    error = float((a - b).abs().max()) / max(1.0, float(b.abs().max()))
    assert error <= scale, f"{what}: off by {error:.2e}, allowed {scale:.0e}"
    return error


def gradients(net: Any, family: Family, format: str = "hf") -> dict[str, Tensor]:
    """Return our gradients under the reference's names: its table turns them like the weights."""
    state = {name: torch.zeros_like(x) for name, x in net.state_dict().items()}
    state |= {name: x.grad for name, x in net.named_parameters() if x.grad is not None}
    return write_state(family.formats[format].rules(net.cfg), state)


def written_gradients(reference: Any, save: Callable[[Any, Path], Path]) -> dict[str, Tensor]:
    """Let a reference write its gradients as if they were weights: its files may have other names than its memory."""
    twin = copy.deepcopy(reference)
    for mine, parameter in zip(twin.parameters(), reference.parameters(), strict=True):
        mine.data = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    with tempfile.TemporaryDirectory() as folder:
        return read_safetensors(save(twin, Path(folder)))


def streams(blocks: Sequence[nn.Module], run: Callable[[], Any]) -> tuple[Any, list[Tensor]]:
    """Return what `run` returns, and the stream before the first block and after each."""
    seen: list[Any] = []
    hooks = [blocks[0].register_forward_pre_hook(lambda _, x: seen.append(x[0]))]
    hooks += [block.register_forward_hook(lambda _, __, y: seen.append(y)) for block in blocks]
    out = run()
    for hook in hooks:
        hook.remove()
    return out, seen


def damaged(tensors: Mapping[str, Tensor]) -> list[tuple[str, dict[str, Tensor]]]:
    """Return the file with each tensor in turn dropped, renamed, transposed, and with one more beside it.

    A square matrix or a vector looks the same transposed to everyone: of these the shape is changed otherwise.
    """
    cases = []
    for name, x in tensors.items():
        rest = {key: value for key, value in tensors.items() if key != name}
        turned = x.mT if x.dim() == 2 and x.size(0) != x.size(1) else x[None]
        cases += [
            (f"drop {name}", rest),
            (f"rename {name}", rest | {f"{name}_": x}),
            (f"transpose {name}", rest | {name: turned}),
            (f"add to {name}", rest | {name: x, f"{name}.more": x}),
        ]
    return cases
