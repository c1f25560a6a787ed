"""The model card of a run: what it is, what it saw, how to use it and how to make it again."""

from pathlib import Path

from qkv.base import files
from qkv.model import Model
from qkv.training.loop import Progress
from qkv.verbs.settings import TrainSettings

CARD = """# {model} trained on {data}

A {family} net with {parameters:,} parameters, trained by qkv to translate {source} into {target}.

| | |
|--|--|
| data | {data}, items {items}, {tokenizer} tokens, vocabulary {vocab_size:,} |
| training | {step} steps of at most {tokens:,} tokens, seed {seed} |
| best validation loss | {best:.4f} nats per token, at step {best_step} |

```
qkv translate {folder} "..."
qkv evaluate {folder} test.tsv
qkv train --config {folder}/run.json --out ANOTHER    # the same training again
```

Limits: it knows the kind of text it was trained on and nothing else. All settings are in run.json, every figure of
the training in metrics.jsonl.
"""


def write_card(folder: Path, model: Model, settings: TrainSettings, at: Progress) -> None:
    """Write README.md into a run's folder."""
    recipe = settings.recipe
    text = CARD.format(
        model=settings.model,
        data=settings.data,
        family=model.family.name,
        parameters=sum(p.numel() for p in model.net.parameters()),
        source=settings.source,
        target=settings.target,
        items=settings.items,
        tokenizer=settings.tokenizer,
        vocab_size=model.net.cfg.vocab_size,
        step=at.step,
        tokens=recipe.budget * recipe.accumulate,
        seed=recipe.seed,
        best=at.best,
        best_step=at.best_step,
        folder=folder,
    )
    files.write_text(folder / "README.md", text)
