"""Commands that train on raw text and on labels: pretrain, finetune."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console

from qkv.cli.app import NO_OUTPUT, STDIN, Flags, Output, app, show
from qkv.cli.recipes import NO_LABELS, NO_PACE, Labels, Pace

if TYPE_CHECKING:  # a command that is not run imports no torch
    from qkv.verbs.running import Learned


@dataclass(frozen=True)
class Corpus:
    """Options of what is read; what is not given comes from --config, else from the verb's defaults."""

    valid: Annotated[str | None, Parameter(help="Text or rows to watch the training with.")] = None
    on_bad: Annotated[Literal["raise", "skip"] | None, Parameter(help="What to do with bad rows (raise).")] = None
    window: Annotated[int | None, Parameter(help="Tokens of raw text read at once (the model's most).")] = None
    share: Annotated[float | None, Parameter(help="Of the tokens, how many mlm hides (0.15).")] = None
    whole_words: Annotated[bool | None, Parameter(help="Whether mlm hides all pieces of a word (yes).")] = None
    dropout: Annotated[float | None, Parameter(help="In place of the model's own.")] = None


Out = Annotated[Path | None, Parameter(help="The run's folder (runs/MODEL-DATA).")]
Resume = Annotated[Path | None, Parameter(help="A run's folder, to go on with.")]
Config = Annotated[Path | None, Parameter(help="A recipe in TOML, or a run.json to repeat.")]
NO_CORPUS = Corpus()


@app.command
def pretrain(
    model: Annotated[str | None, Parameter(help="A size, such as gpt-tiny or bert-tiny.")] = None,
    data: Annotated[str | None, Parameter(help='pydoc, a .txt or .jsonl file, a folder of .txt, or "-".')] = None,
    *,
    objective: Annotated[Literal["causal", "mlm"] | None, Parameter(help="The net's own unless given.")] = None,
    out: Out = None,
    resume: Resume = None,
    config: Config = None,
    tokenizer: Annotated[Path | None, Parameter(help="Folder of a tokenizer; else one is learned.")] = None,
    vocab_size: Annotated[int | None, Parameter(help="Most tokens to learn (the size's, up to 8000).")] = None,
    dropout_attention: Annotated[float | None, Parameter(help="In place of the size's own (0).")] = None,
    corpus: Annotated[Corpus, Parameter(name="*")] = NO_CORPUS,
    pace: Annotated[Pace, Parameter(name="*")] = NO_PACE,
    output: Flags = NO_OUTPUT,
) -> None:
    """Train a net of texts from nothing on raw text, or go on with a run."""
    from qkv.verbs.pretrain import pretrain

    given = _join(corpus, pace, objective=objective, vocab_size=vocab_size, dropout_attention=dropout_attention)
    given["tokenizer"] = None if tokenizer is None else str(tokenizer)
    _learn(pretrain, model, data, output, out=out, resume=resume, config=config, **given)


@app.command
def finetune(
    model: Annotated[str | None, Parameter(help="A folder with a model, or a name on the hub.")] = None,
    data: Annotated[str | None, Parameter(help="A TSV with labels, a folder of pictures, digits; or raw text.")] = None,
    *,
    task: Annotated[
        Literal["classify", "causal", "mlm"] | None,
        Parameter(name=["--task", "--objective"], help="What is learned (classify)."),
    ] = None,
    out: Out = None,
    resume: Resume = None,
    config: Config = None,
    freeze: Annotated[str | None, Parameter(help='"body", or a pattern of parameters that stay as they are.')] = None,
    corpus: Annotated[Corpus, Parameter(name="*")] = NO_CORPUS,
    labels: Annotated[Labels, Parameter(name="*")] = NO_LABELS,
    pace: Annotated[Pace, Parameter(name="*")] = NO_PACE,
    output: Flags = NO_OUTPUT,
) -> None:
    """Train a model on labels of one's own, with a new head, or on with raw text; or go on with a run."""
    from qkv.verbs.finetune import finetune

    given = _join(corpus, labels, pace, objective=task, freeze=freeze)
    _learn(finetune, model, data, output, out=out, resume=resume, config=config, **given)


def _join(*groups: Any, **more: Any) -> dict[str, Any]:
    return {k: v for group in groups for k, v in dataclasses.asdict(group).items()} | more


def _learn(verb: Any, model: str | None, data: str | None, output: Output, **given: Any) -> None:
    from qkv.screen.progress import Reporter

    with Reporter(Console(stderr=True), quiet=output.quiet) as report:
        done = verb(model, "-" if data == STDIN else data, on_event=report, **given)
    show_done(done, output)


def show_done(done: "Learned", output: Output) -> None:
    """Show how a training ended."""
    from qkv.screen.learned import show_learned

    summary = {"folder": done.folder, "seconds": round(done.seconds, 1), "validation": done.figures, "test": done.test}
    show(summary | {"sample": done.sample}, lambda _: show_learned(done), output, wrap=False)
