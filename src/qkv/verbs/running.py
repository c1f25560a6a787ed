"""What all verbs share that train: a run's folder begins, goes on where it was left, and is run to its end."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from qkv.base import files
from qkv.base.config import to_dict
from qkv.base.errors import ConfigError
from qkv.base.version import __version__
from qkv.data.picture_report import PictureReport
from qkv.data.report import CheckReport
from qkv.data.text_report import TextReport
from qkv.model import Model
from qkv.tasks.objective import Objective
from qkv.training.checkpoint import surroundings
from qkv.training.loop import Event, Noticed, Stepped, Training
from qkv.training.recipe import Recipe
from qkv.verbs.card import Told, write_card
from qkv.verbs.settings import LearnSettings, PretrainSettings, Settings, merge, read_run

DataReport = CheckReport | TextReport | PictureReport
OnEvent = Callable[[Event | DataReport], None]


@dataclass(frozen=True, slots=True)
class Learned:
    """A finished training: its model, its folder, figures on what it was watched with, and the seconds it took here.

    test: figures on data that nothing was chosen by, where there is some. sample: what the model now does. next: the
    command that shows more of it.
    """

    model: Model
    folder: Path
    figures: dict[str, float]
    test: dict[str, float]
    sample: Sequence[Any]
    seconds: float
    next: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Job:
    """All that settings stand for; it is made of them anew, and equal, whenever its run goes on.

    sha256: of what must not have changed by then. notes: what the user should know. sample: shows what the model does.
    """

    model: Model
    task: Objective
    examples: Sequence[Any]
    watched: Sequence[Any]
    test: Sequence[Any] = ()
    report: DataReport
    sha256: str
    notes: Sequence[str] = ()
    sample: Callable[[], Sequence[Any]] = tuple
    told: Told


def start(verb: str, job: Job, settings: PretrainSettings | LearnSettings, folder: Path, on_event: OnEvent) -> Learned:
    """Train from the first step in a new folder."""
    on_event(job.report)
    for note in job.notes:
        on_event(Noticed(note))
    training = _prepare(verb, job, settings.recipe, folder)
    begin(folder, verb, settings, job.sha256)
    return _finish(training, job, on_event)


def go_on(verb: str, make: Callable[[Settings], Job], kind: type[Settings], folder: Path, on_event: OnEvent) -> Learned:
    """Train on from the newest sound checkpoint of a run, or from its first step."""
    run = reopen(folder, verb)
    settings = merge(run["settings"], where=str(folder / "run.json"), kind=kind)
    job = make(settings)
    if job.sha256 != run.get("data_sha256"):
        refuse_other_data(settings.data, folder)
    training = _prepare(verb, job, settings.recipe, folder)
    catch_up(training, on_event)
    return _finish(training, job, on_event)


def begin(folder: Path, verb: str, settings: Any, sha256: str) -> None:
    """Make a run's folder, and write there what repeats the run."""
    files.make_folder(folder)
    run = {"qkv": __version__, "verb": verb, "settings": to_dict(settings), "data_sha256": sha256}
    files.write_json(folder / "run.json", run | {"made_with": surroundings()})


def reopen(folder: Path, verb: str) -> dict[str, Any]:
    """Return what a run's folder says of the run; ConfigError where another verb began it."""
    run = read_run(folder)
    began = run.get("verb", "train")
    if began != verb:
        raise ConfigError(f"{folder} is a run of qkv {began}: go on with qkv {began} --resume {folder}")
    return run


def refuse_other_data(data: str, folder: Path) -> NoReturn:
    """Raise ConfigError: a run goes on with its own data alone."""
    raise ConfigError(f"{data} is not the data that {folder} was trained on; put it back, or start anew.")


def refuse_beside_resume(*given: Any) -> None:
    """Raise ConfigError if anything was given beside --resume."""
    if any(value is not None for value in given):
        raise ConfigError("--resume takes the run's own settings; give nothing beside it.")


def catch_up(training: Training[Any], on_event: OnEvent) -> None:
    """Bring a training to where its run was left, and say so."""
    for note in training.resume():
        on_event(Noticed(note))
    on_event(Noticed(f"Going on after step {training.at.step} of {training.recipe.steps}."))


def run_through(training: Training[Any], on_event: OnEvent) -> float:
    """Run a training to its end; return the seconds of its steps."""
    seconds = 0.0
    with closing(training.run()) as events:
        for event in events:
            seconds += event.seconds if isinstance(event, Stepped) else 0.0
            on_event(event)
    return seconds


def hash_texts(parts: Iterable[Iterable[str]], *tensors: Tensor) -> str:
    """Return the SHA-256 of lists of texts, and of tensors."""
    digest = hashlib.sha256()
    for part in parts:
        for text in part:
            digest.update(f"{text}\n".encode())
        digest.update(b"\0")
    for tensor in tensors:
        digest.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _prepare(verb: str, job: Job, recipe: Recipe, folder: Path) -> Training[Any]:
    return Training(
        job.model.net,
        job.task,
        job.examples,
        recipe,
        folder,
        lambda net: job.task.figures(net, job.watched),
        verb=verb,
    )


def _finish(training: Training[Any], job: Job, on_event: OnEvent) -> Learned:
    seconds = run_through(training, on_event)
    with torch.inference_mode():
        figures = job.task.figures(training.net, job.watched)
        test = job.task.figures(training.net, job.test) if job.test else {}
    job.model.save(training.folder)
    write_card(training, job.model, job.told)
    after = job.told.commands[0].format(training.folder)
    return Learned(job.model, training.folder, figures, test, job.sample(), seconds, after)
