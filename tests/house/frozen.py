"""The names that users and files rely on: command line options, and parameter names of every size.

They are kept as text beside this file, so that a change of them is seen in review. After a change that is wanted:

    .venv/bin/python tests/house/frozen.py
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

OPTIONS = Path(__file__).with_name("cli_options.txt")
PARAMETERS = Path(__file__).with_name("parameters.txt")
RENEW = ".venv/bin/python tests/house/frozen.py"


def list_options() -> str:
    """Spell every command of the command line with its arguments and options, one under the other."""
    from qkv.cli import app

    return "\n".join(_walk(app, "qkv")) + "\n"


def _walk(app, command: str) -> Iterator[str]:
    yield command
    for argument in app.assemble_argument_collection() if app.default_command else ():
        if argument.parse and argument.show:
            place = "" if argument.index is None else f"  (place {argument.index + 1})"
            yield f"  {' '.join(argument.names)}{place}"
    for name in sorted(name for name in app if not name.startswith("-")):
        yield from _walk(app[name], f"{command} {name}")


def list_parameters() -> str:
    """Spell every size's parameters with their shapes; layers of one shape share a line: "blocks.{0-5}.norm.weight"."""
    import torch

    from qkv.models import FAMILIES, get_family

    lines = []
    for family in map(get_family, FAMILIES):
        for size, cfg in family.sizes.items():
            with torch.device("meta"):
                net = family.net(cfg)
            lines += ["", f"{family.name} {size}", *_fold((n, tuple(p.shape)) for n, p in net.named_parameters())]
    return "\n".join(lines[1:]) + "\n"


def _fold(parameters: Iterator[tuple[str, tuple[int, ...]]]) -> list[str]:
    layers: dict[tuple[str, str], list[int]] = {}
    for name, shape in parameters:
        layer = re.search(r"(?<=\.)\d+(?=\.)", name)
        pattern = f"{name[: layer.start()]}{{}}{name[layer.end() :]}" if layer else name
        layers.setdefault((pattern, " x ".join(map(str, shape))), []).append(int(layer[0]) if layer else 0)
    return [f"  {pattern.format(_span(numbers))}  {shape}" for (pattern, shape), numbers in layers.items()]


def _span(numbers: list[int]) -> str:
    runs = numbers == list(range(numbers[0], numbers[0] + len(numbers))) and len(numbers) > 1
    return f"{{{numbers[0]}-{numbers[-1]}}}" if runs else ",".join(map(str, numbers))


if __name__ == "__main__":
    PARAMETERS.write_text(list_parameters())
    OPTIONS.write_text(list_options())
    sys.stdout.write(f"wrote {PARAMETERS.name} and {OPTIONS.name}\n")
