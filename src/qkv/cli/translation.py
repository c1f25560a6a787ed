"""Commands of translators: demo, train, translate, evaluate."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.text import Text

from qkv.cli.app import NO_OUTPUT, Dtype, Flags, app, read_texts, show
from qkv.cli.learning import show_done
from qkv.cli.recipes import NO_LABELS, NO_PACE, Labels, Pace


@dataclass(frozen=True)
class Training:
    """What is trained on; what is not given comes from --config, else from the defaults of qkv.train."""

    items: Annotated[str | None, Parameter(help="How many items of cldr: data to join, such as 1-3.")] = None
    n_examples: Annotated[int | None, Parameter(help="How many strings of cldr: data to make (20000).")] = None
    valid: Annotated[str | None, Parameter(help="A file to watch the training with.")] = None
    on_bad: Annotated[Literal["raise", "skip"] | None, Parameter(help="What to do with bad rows (raise).")] = None
    tokenizer: Annotated[Literal["words", "chars", "bpe"] | None, Parameter(help="How text is cut (words).")] = None
    vocab_size: Annotated[int | None, Parameter(help="Most tokens of the tokenizer (8000).")] = None
    dropout: Annotated[float | None, Parameter(help="In place of the model's own.")] = None


Source = Annotated[str | None, Parameter(name="--from", help="Locale of cldr: sources (en).")]
Target = Annotated[str | None, Parameter(name="--to", help="Locale of cldr: targets (fr).")]
Beams = Annotated[int, Parameter(help="Beams of the search; 1 is greedy.")]
Penalty = Annotated[float, Parameter(help="A score is log-probability / length ** this.")]
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
    show(done, show_demo, output)


@app.command
def train(
    model: Annotated[str | None, Parameter(help="A size, such as transformer-tiny (see qkv models).")] = None,
    data: Annotated[
        str | None, Parameter(help="Pairs: a file, or cldr:dates ...; labels: a TSV, a folder, digits.")
    ] = None,
    *,
    out: Annotated[Path | None, Parameter(help="The run's folder (runs/MODEL-DATA).")] = None,
    resume: Annotated[Path | None, Parameter(help="A run's folder, to go on with.")] = None,
    config: Annotated[Path | None, Parameter(help="A recipe in TOML, or a run.json to repeat.")] = None,
    source: Source = None,
    target: Target = None,
    options: Annotated[Training, Parameter(name="*")] = NO_OPTIONS,
    pace: Annotated[Pace, Parameter(name="*")] = NO_PACE,
    labels: Annotated[Labels, Parameter(name="*")] = NO_LABELS,
    output: Flags = NO_OUTPUT,
) -> None:
    """Train a size from nothing, translators on pairs and all others on labels, or go on with a run."""
    from qkv.screen.progress import Reporter
    from qkv.verbs.running import Learned
    from qkv.verbs.train import train

    given = {"source": source, "target": target}
    for group in (options, pace, labels):
        given |= dataclasses.asdict(group)
    with Reporter(Console(stderr=True), quiet=output.quiet) as report:
        done = train(model, data, out=out, resume=resume, config=config, on_event=report, **given)
    if isinstance(done, Learned):
        return show_done(done, output)
    summary = {"folder": str(done.folder), "seconds": round(done.seconds, 1)}
    show(summary, lambda _: Text(f'Trained. Next: qkv translate {done.folder} "..."'), output)


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
        read_texts(texts),
        beams=beams,
        length_penalty=length_penalty,
        max_tokens=max_tokens,
        alignment=alignment,
        dtype=dtype,
    )
    show(done, show_translations, output, wrap=False)


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
    show(report, show_report, output)
