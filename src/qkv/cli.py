"""The command line: `qkv VERB ...`. It parses, calls the verb of the same name, and shows what comes back."""

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console
from rich.text import Text

from qkv import __version__
from qkv.base.errors import ConfigError, QkvError

STDIN = "/dev/stdin"  # what "-" becomes: for a word that begins with a hyphen is an option
PIPE_WIDTH = 10_000  # a row of a table is one line where programs read it

HELP = """The attention lineage on one small core: train, translate, evaluate, and see what attention did.

Results go to stdout, progress to stderr. Exit codes: 0 done, 1 error, 2 usage, 65 bad data, 75 stopped, resume me."""

app = App(name="qkv", help=HELP, version=__version__, help_format="plaintext")
data = App(name="data", help="Look at data before it is trained on.")
app.command(data)


@dataclass(frozen=True)
class Output:
    """How results are shown."""

    json: Annotated[bool, Parameter(negative="", help="Print the result as JSON.")] = False
    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="", help="Show no progress.")] = False
    debug: Annotated[bool, Parameter(negative="", help="Show the traceback of an error.")] = False


@dataclass(frozen=True)
class Training:
    """Options of a training; what is not given comes from --config, else from the defaults of qkv.train."""

    items: Annotated[str | None, Parameter(help="How many items of cldr: data to join, such as 1-3.")] = None
    n_examples: Annotated[int | None, Parameter(help="How many strings of cldr: data to make (20000).")] = None
    valid: Annotated[str | None, Parameter(help="A file to watch the training with.")] = None
    on_bad: Annotated[Literal["raise", "skip"] | None, Parameter(help="What to do with bad rows (raise).")] = None
    tokenizer: Annotated[Literal["words", "chars", "bpe"] | None, Parameter(help="How text is cut (words).")] = None
    vocab_size: Annotated[int | None, Parameter(help="Most tokens of the tokenizer (8000).")] = None
    dropout: Annotated[float | None, Parameter(help="In place of the model's own.")] = None
    steps: Annotated[int | None, Parameter(help="Steps of the optimiser (1000).")] = None
    budget: Annotated[int | None, Parameter(help="Tokens of one micro-batch (4096).")] = None
    accumulate: Annotated[int | None, Parameter(help="Micro-batches per step (1).")] = None
    lr: Annotated[float | None, Parameter(help="Highest learning rate (0.001).")] = None
    warmup: Annotated[int | None, Parameter(help="Steps until it is reached (100).")] = None
    schedule: Annotated[
        Literal["cosine", "inverse-sqrt", "constant", "paper"] | None, Parameter(help="After the warm-up (cosine).")
    ] = None
    smoothing: Annotated[float | None, Parameter(help="Label smoothing (0.1).")] = None
    weight_decay: Annotated[float | None, Parameter(help="On matrices alone (0).")] = None
    clip: Annotated[float | None, Parameter(help="Largest norm of the gradient (1).")] = None
    ema: Annotated[float | None, Parameter(help="Decay of averaged weights (0: none).")] = None
    patience: Annotated[int | None, Parameter(help="Validations without a better loss until the end (0: all).")] = None
    validate_every: Annotated[int | None, Parameter(help="Steps between validations (500).")] = None
    checkpoint_every: Annotated[int | None, Parameter(help="Steps between checkpoints (500).")] = None
    dtype: Annotated[Literal["fp32", "bf16"] | None, Parameter(help="Of the products (fp32).")] = None
    workers: Annotated[int | None, Parameter(help="Processes that prepare batches (0).")] = None
    seed: Annotated[int | None, Parameter(help="Of everything that is drawn (0).")] = None


Flags = Annotated[Output, Parameter(name="*")]
Source = Annotated[str | None, Parameter(name="--from", help="Locale of cldr: sources (en).")]
Target = Annotated[str | None, Parameter(name="--to", help="Locale of cldr: targets (fr).")]
Beams = Annotated[int, Parameter(help="Beams of the search; 1 is greedy.")]
Penalty = Annotated[float, Parameter(help="A score is log-probability / length ** this.")]
Dtype = Annotated[Literal["fp32", "bf16"], Parameter(help="bf16 packs the net for fast inference.")]
NO_OUTPUT = Output()
NO_OPTIONS = Training()


@app.command
def demo(
    *,
    source: Annotated[str, Parameter(name="--from", help="Locale of the sources.")] = "en",
    target: Annotated[str, Parameter(name="--to", help="Locale of the targets.")] = "fr",
    items: Annotated[str, Parameter(help="How many dates a string joins.")] = "1-3",
    out: Annotated[Path | None, Parameter(help="Folder of the results (runs/demo-FROM-TO).")] = None,
    seed: Annotated[int, Parameter(help="Of everything that is drawn.")] = 0,
    scale: Annotated[float, Parameter(help="Times the steps of each training.")] = 1.0,
    output: Flags = NO_OUTPUT,
) -> None:
    """Train three translators on dates in under four minutes, and see their alignments."""
    from qkv.screen.progress import Reporter
    from qkv.screen.tables import show_demo
    from qkv.verbs.demo import demo

    with Reporter(Console(stderr=True), quiet=output.quiet) as report:
        done = demo(source=source, target=target, items=items, out=out, seed=seed, scale=scale, on_event=report)
    _show(done, show_demo, output)


@app.command
def train(
    model: Annotated[str | None, Parameter(help="A size, such as transformer-tiny (see qkv models).")] = None,
    data: Annotated[str | None, Parameter(help="A parallel file, or cldr:dates, cldr:numbers, cldr:names.")] = None,
    *,
    out: Annotated[Path | None, Parameter(help="The run's folder (runs/MODEL-DATA).")] = None,
    resume: Annotated[Path | None, Parameter(help="A run's folder, to go on with.")] = None,
    config: Annotated[Path | None, Parameter(help="A recipe in TOML, or a run.json to repeat.")] = None,
    source: Source = None,
    target: Target = None,
    options: Annotated[Training, Parameter(name="*")] = NO_OPTIONS,
    output: Flags = NO_OUTPUT,
) -> None:
    """Train a translator from nothing, or go on with a run."""
    from qkv.screen.progress import Reporter
    from qkv.verbs.train import train

    given = {"source": source, "target": target, **dataclasses.asdict(options)}
    with Reporter(Console(stderr=True), quiet=output.quiet) as report:
        done = train(model, data, out=out, resume=resume, config=config, on_event=report, **given)
    summary = {"folder": str(done.folder), "seconds": round(done.seconds, 1)}
    _show(summary, lambda _: Text(f'Trained. Next: qkv translate {done.folder} "..."'), output)


@app.command
def translate(
    model: Annotated[str, Parameter(help="A run's folder, or one with Marian files.")],
    texts: Annotated[list[str] | None, Parameter(help='Texts; "-" or none reads stdin, a text per line.')] = None,
    /,
    *,
    beams: Beams = 4,
    length_penalty: Penalty = 1.0,
    max_tokens: Annotated[int | None, Parameter(help="Of one translation (twice the source's and 20).")] = None,
    alignment: Annotated[bool, Parameter(negative="", help="Draw what the decoder looked at.")] = False,
    dtype: Dtype = "fp32",
    output: Flags = NO_OUTPUT,
) -> None:
    """Translate texts; results come in their order, one per line."""
    from qkv.screen.tables import show_translations
    from qkv.verbs.translate import translate

    done = translate(
        model,
        _read_texts(texts),
        beams=beams,
        length_penalty=length_penalty,
        max_tokens=max_tokens,
        alignment=alignment,
        dtype=dtype,
    )
    _show(done, show_translations, output, wrap=False)


@app.command
def evaluate(
    model: Annotated[str, Parameter(help="A run's folder, or one with Marian files.")],
    data: Annotated[str, Parameter(help="A parallel file, or cldr:dates and the like (their test split).")],
    /,
    *,
    source: Source = None,
    target: Target = None,
    items: Annotated[str | None, Parameter(help="How many items of cldr: data to join.")] = None,
    n_examples: Annotated[int, Parameter(help="How many strings of cldr: data to make.")] = 500,
    beams: Beams = 4,
    length_penalty: Penalty = 1.0,
    on_bad: Annotated[Literal["raise", "skip"], Parameter(help="What to do with bad rows.")] = "raise",
    dtype: Dtype = "fp32",
    output: Flags = NO_OUTPUT,
) -> None:
    """Score a translator: exact match, chrF, BLEU, by length, and alignment error where gold is known."""
    from qkv.screen.tables import show_report
    from qkv.verbs.evaluate import evaluate

    report = evaluate(
        model,
        data,
        source=source,
        target=target,
        items=items,
        n_examples=n_examples,
        beams=beams,
        length_penalty=length_penalty,
        on_bad=on_bad,
        dtype=dtype,
    )
    _show(report, show_report, output)


@data.command
def check(
    path: Annotated[Path, Parameter(help="A parallel file: .tsv, .jsonl, .src beside .tgt, or those with .gz.")],
    /,
    *,
    against: Annotated[Path | None, Parameter(help="Another split, to look for overlap.")] = None,
    on_bad: Annotated[Literal["raise", "skip"], Parameter(help="What to do with bad rows.")] = "raise",
    output: Flags = NO_OUTPUT,
) -> None:
    """Check a parallel file as a training would, and report what is in it."""
    from qkv.data.report import screen
    from qkv.verbs.check_data import check_data

    _show(check_data(path, against=against, on_bad=on_bad), screen, output)


@app.command
def models(*, output: Flags = NO_OUTPUT) -> None:
    """List the models qkv knows, with their sizes."""
    from qkv.screen.tables import show_models
    from qkv.verbs.info import list_models

    _show(list_models(), show_models, output)


@app.command
def info(
    model: Annotated[str, Parameter(help="A size, or a folder with a model.")], /, *, output: Flags = NO_OUTPUT
) -> None:
    """Say what a model is: settings, parameters by part, attention maps."""
    from qkv.screen.tables import show_info
    from qkv.verbs.info import info

    _show(info(model), show_info, output)


@app.command
def doctor(*, output: Flags = NO_OUTPUT) -> None:
    """Look at this machine: versions, speed, extras, and what to do about them."""
    from qkv.screen.tables import show_doctor
    from qkv.verbs.doctor import doctor

    findings = doctor()
    _show(findings, show_doctor, output)
    if not all(finding.ok for finding in findings):
        sys.exit(1)


@app.command
def lineage(
    *,
    status: Annotated[
        str | None, Parameter(help="Only rows of this status: runs, loads, declared, told, planned.")
    ] = None,
    output: Flags = NO_OUTPUT,
) -> None:
    """List what five lectures on attention describe, and what shows each item here."""
    from qkv.screen.tables import show_lineage
    from qkv.verbs.lineage import lineage

    _show(lineage(status), show_lineage, output)


def _read_texts(texts: list[str] | None) -> list[str]:
    """Return the texts given, or the lines of stdin: UTF-8, cut at line feeds alone."""
    from qkv.data.lines import decode_lines

    if texts and STDIN not in texts:
        return texts
    if texts and len(texts) > 1:
        raise ConfigError("- stands for all texts, read from stdin: give it alone.")
    if sys.stdin.isatty():
        print("Type texts, one per line; Ctrl-D ends.", file=sys.stderr)
    return decode_lines(sys.stdin.buffer.read(), "stdin")


def _show(result: Any, render: Callable[[Any], Any], output: Output, *, wrap: bool = True) -> None:
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
