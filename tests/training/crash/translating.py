"""A real training of a small translator, to be killed."""

from pathlib import Path
from typing import Any

import torch

import qkv
import qkv.verbs.train  # before the fork, so that a start takes no time


def translate_dates(run: Path, options: dict[str, Any]) -> None:
    """Train on built-in dates, from the first step or from the newest checkpoint."""
    torch.set_num_threads(1)
    if (run / "run.json").exists():
        qkv.train(resume=run)
    else:
        qkv.train(data="cldr:dates", items="1-2", n_examples=400, checkpoint_every=4, log_every=1, out=run, **options)
