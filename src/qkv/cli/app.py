"""What all commands share: the app, the options of every output, and how errors and results are shown."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console
from rich.text import Text

from qkv import __version__
from qkv.base.errors import ConfigError, QkvError

STDIN = "/dev/stdin"  # what "-" becomes: for a word that begins with a hyphen is an option
PIPE_WIDTH = 10_000  # a row of a table is one line where programs read it

HELP = """The attention lineage on one small core: train, fine-tune, generate, evaluate, and see what attention did.

Results go to stdout, progress to stderr. Exit codes: 0 done, 1 error, 2 usage, 65 bad data, 75 stopped, resume me."""

app = App(name="qkv", help=HELP, version=__version__, help_format="plaintext")


@dataclass(frozen=True)
class Output:
    """How results are shown."""

    json: Annotated[bool, Parameter(negative="", help="Print the result as JSON.")] = False
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="", help="Show no progress.")] = False
    debug: Annotated[bool, Parameter(negative="", help="Show the traceback of an error.")] = False


Flags = Annotated[Output, Parameter(name="*")]
Dtype = Annotated[Literal["fp32", "bf16"], Parameter(help="bf16 packs the net for fast inference.")]
NO_OUTPUT = Output()


def read_texts(texts: list[str] | None) -> list[str]:
    """Return the texts given, or the lines of stdin: UTF-8, cut at line feeds alone."""
    from qkv.data.lines import decode_lines

    if texts and STDIN not in texts:
        return texts
    if texts and len(texts) > 1:
        raise ConfigError("- stands for all texts, read from stdin: give it alone.")
    if sys.stdin.isatty():
        print("Type texts, one per line; Ctrl-D ends.", file=sys.stderr)
    return decode_lines(sys.stdin.buffer.read(), "stdin")


def show(result: Any, render: Callable[[Any], Any], output: Output, *, wrap: bool = True) -> None:
    """Print a result: as JSON, else as tables. Lines are folded for a terminal alone, and there only with `wrap`."""
    from qkv.screen.plain import plain

    if output.json:
        print(json.dumps(plain(result), ensure_ascii=False, indent=2))
        return
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    console.print(render(result), soft_wrap=not (wrap and sys.stdout.isatty()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; an error of the user's gets one message and its exit code, never a traceback."""
    arguments = [STDIN if one == "-" else one for one in (sys.argv[1:] if arguments is None else arguments)]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what goes into a file or pipe is UTF-8, as all that qkv reads
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="backslashreplace")
    errors = Console(stderr=True, soft_wrap=True)
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        command = " ".join(one for one in arguments[:1] if one in app)
        errors.print(Text(f"{error}\nSee: qkv {command} --help".replace("  ", " ")), style="red")
        sys.exit(ConfigError.exit_code)
    except QkvError as error:
        if "--debug" in arguments:
            raise
        errors.print(Text(str(error)), style="red")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
