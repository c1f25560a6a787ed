"""The model card of a run: what it is, what it saw, how to use it and how to make it again."""

from pathlib import Path

from qkv.base import files
from qkv.model import Translator
from qkv.training.loop import Progress
from qkv.verbs.settings import TrainSettings

CARD = """# {model} trained on {data}

A {family} net with {parameters:,} parameters, trained by qkv to translate {what}.

| | |
|--|--|
| data | {data}, {tokenizer} tokens, vocabulary {vocab_size:,} |
| training | {step} steps of at most {tokens:,} tokens, seed {seed} |
| best validation loss | {best:.4f} nats per token, at step {best_step} |
| weights | of step {kept}{averaged} |

```
qkv translate {folder} "..."
qkv evaluate {folder} {test}
qkv train --config {folder}/run.json --out ANOTHER    # the same training again
```

Limits: it knows the kind of text it was trained on and nothing else. All settings are in run.json, every figure of
the training in metrics.jsonl.
"""


def write_card(folder: Path, model: Translator, settings: TrainSettings, at: Progress) -> None:
    """Write README.md into a run's folder."""
    recipe = settings.recipe
    built_in = settings.data.startswith("cldr:")
    lists = f"lists of {settings.items} items of {settings.data} from {settings.source} to {settings.target}"
    text = CARD.format(
        model=settings.model,
        data=settings.data,
        family=model.family.name,
        parameters=sum(p.numel() for p in model.net.parameters()),
        what=lists if built_in else f"as the pairs of {settings.data} do",
        tokenizer=settings.tokenizer,
        vocab_size=model.net.cfg.vocab_size,
        step=at.step,
        tokens=recipe.budget * recipe.accumulate,
        seed=recipe.seed,
        best=at.best,
        best_step=at.best_step,
        kept=at.best_step if recipe.patience else at.step,
        averaged=f", averaged with decay {recipe.ema}" if recipe.ema else "",
        folder=folder,
        test=settings.data if built_in else "test.tsv",
    )
    files.write_text(folder / "README.md", text)
