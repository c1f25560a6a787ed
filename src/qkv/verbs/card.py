"""The model card of a run: what it is, what it saw, how to use it and how to make it again."""

from dataclasses import dataclass
from typing import Any

from qkv.base import files
from qkv.model import Model
from qkv.training.loop import Training

CARD = """# {title}

A {family} net with {parameters:,} parameters, trained by qkv {what}.

| | |
|--|--|
| data | {data} |
| training | {step} steps of at most {budget:,} {counted}, seed {seed} |
| best validation {figure} | {best:.4f}{measure}, at step {best_step} |
| weights | of step {kept}{averaged} |

```
{commands}
qkv {verb} --config {folder}/run.json --out ANOTHER    # the same training again
```

Limits: it knows the kind of {kind} it was trained on and nothing else. All settings are in run.json, every figure of
the training in metrics.jsonl.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a card says that the training itself does not know.

    what: it was trained to do. data: in a few words. commands: that use it, after "qkv", each with {} for its folder.
    """

    title: str
    what: str
    data: str
    commands: tuple[str, ...]
    kind: str = "text"


def write_card(training: Training[Any], model: Model, told: Told) -> None:
    """Write README.md into a run's folder."""
    recipe, at, task, folder = training.recipe, training.at, training.task, training.folder
    text = CARD.format(
        title=told.title,
        family=model.family.name,
        parameters=sum(p.numel() for p in model.net.parameters()),
        what=told.what,
        data=told.data,
        step=at.step,
        budget=recipe.budget * recipe.accumulate,
        counted="pictures" if task.unit == "pictures" else "tokens",
        seed=recipe.seed,
        figure=task.watch.figure,
        best=at.best,
        measure=f" nats per {task.unit.removesuffix('s')}" if task.watch.figure == "loss" else "",
        best_step=at.best_step,
        kept=at.best_step if recipe.patience else at.step,
        averaged=f", averaged with decay {recipe.ema}" if recipe.ema else "",
        commands="\n".join(f"qkv {command.format(folder)}" for command in told.commands),
        verb=training.verb,
        folder=folder,
        kind=told.kind,
    )
    files.write_text(folder / "README.md", text)
