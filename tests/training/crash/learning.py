"""Real trainings on raw text and on pictures, to be killed."""

from pathlib import Path

import torch

import qkv
import qkv.verbs.pretrain  # before the fork, so that a start takes no time
import qkv.verbs.train

SHORT = {"steps": 60, "warmup": 5, "validate_every": 10, "checkpoint_every": 4, "log_every": 1}


def pretrain_texts(run: Path, corpus: str) -> None:
    """Train on raw text, from the first step or from the newest checkpoint."""
    torch.set_num_threads(1)
    if (run / "run.json").exists():
        qkv.pretrain(resume=run)
    else:
        qkv.pretrain("bert-tiny", corpus, out=run, window=24, vocab_size=200, budget=256, ema=0.9, **SHORT)


def train_pictures(run: Path) -> None:
    """Train on the digits, augmented, from the first step or from the newest checkpoint."""
    torch.set_num_threads(1)
    if (run / "run.json").exists():
        qkv.train(resume=run)
    else:
        qkv.train("vit-digits", "digits", out=run, budget=8, degrees=10.0, flip=True, patience=9, **SHORT)
