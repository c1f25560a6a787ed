"""A model in the library that wrote its folder: what it says, and the states of its every layer."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from qkv.base.errors import UnsupportedError

Run = Callable[[Mapping[str, Tensor]], tuple[list[Tensor], Tensor]]


class Reference(NamedTuple):
    """A library, its weight format here, and a pass of its net: the stream before the layers and after each, and what
    the net says."""

    library: str
    format: str
    run: Run


def open_reference(folder: Path, config: Mapping[str, Any]) -> Reference:
    """Return the model of a folder as timm or transformers reads it; UnsupportedError where that cannot be."""
    if "architecture" in config:
        return Reference("timm", "timm", _open_timm(folder))
    return Reference("transformers", "hf", _open_transformers(folder, config))


def watch(blocks: Sequence[nn.Module], run: Callable[[], Any]) -> tuple[list[Tensor], Any]:
    """Return the stream before the first block and after each, places in one row, and what `run` returns."""
    seen: list[Tensor] = []

    def note(x: Any) -> None:
        state = x[0] if isinstance(x, tuple) else x
        seen.append(state.flatten(1, 2) if state.dim() == 4 else state)

    hooks = [blocks[0].register_forward_pre_hook(lambda _, x: note(x))]
    hooks += [block.register_forward_hook(lambda _, __, y: note(y)) for block in blocks]
    try:
        said = run()
    finally:
        for hook in hooks:
            hook.remove()
    return seen, said


def _open_timm(folder: Path) -> Run:
    try:
        import timm
    except ModuleNotFoundError:
        raise UnsupportedError(
            "verify compares with timm, which wrote this folder and is not installed: pip install timm"
        ) from None
    net: Any = timm.create_model(f"local-dir:{folder}", pretrained=True).float().eval()
    blocks = list(net.blocks) if hasattr(net, "blocks") else [block for stage in net.layers for block in stage.blocks]

    def run(given: Mapping[str, Tensor]) -> tuple[list[Tensor], Tensor]:
        states, said = watch(blocks, lambda: (net if net.num_classes else net.forward_features)(*given.values()))
        return states, said.flatten(1, 2) if said.dim() == 4 else said

    return run


def _open_transformers(folder: Path, config: Mapping[str, Any]) -> Run:
    try:
        import transformers
    except ModuleNotFoundError:
        raise UnsupportedError(
            "verify compares with transformers, which is not installed: pip install transformers"
        ) from None
    try:
        kind = getattr(transformers, (config.get("architectures") or [""])[0], None)
    except ImportError as error:
        raise UnsupportedError(
            "transformers is installed, but does not import its models: qkv doctor says why."
        ) from error
    if kind is None:
        raise UnsupportedError(
            f"{folder}: transformers {transformers.__version__} has no {config.get('architectures')}."
        )
    net = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()

    def run(given: Mapping[str, Tensor]) -> tuple[list[Tensor], Tensor]:
        stages = getattr(getattr(net.base_model, "encoder", None), "layers", [])
        blocks = [block for stage in stages for block in getattr(stage, "blocks", [])]
        if blocks:  # nets in stages tell the states of those alone
            states, out = watch(blocks, lambda: net(**given))
        else:
            out = net(**given, output_hidden_states=True)
            states = list(out.hidden_states)
        told = (out.get(key) for key in ("logits", "prediction_logits", "last_hidden_state"))
        return states, next(said for said in told if said is not None)

    return run
