"""A ViT on the built-in digits: the frozen split by three seeds, then each of five folds as the test.

    OMP_NUM_THREADS=1 python recipes/digits_folds.py [--seeds 0 1 2] [--folds 0 1 2 3 4] [--steps 1000]

Cost: about a minute of one core for each line. Score: the table in digits_folds.md beside this file.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import mean

import torch

from qkv.base import files
from qkv.verbs.demo import one_thread
from qkv.verbs.running import Learned
from qkv.verbs.train import train

HERE = Path(__file__).parent
COLUMNS = "| test | seed | CPU seconds | validation % | test % | macro F1 % | majority % |"


def run(seed: int, fold: int | None, steps: int | None) -> tuple[Learned, float]:
    """Train once; return what came out, and the seconds of one core that it took."""
    with tempfile.TemporaryDirectory() as folder, one_thread():
        begun = time.process_time()
        done = train(config=HERE / "vit_digits.toml", out=Path(folder, "run"), seed=seed, fold=fold, steps=steps)
        taken = time.process_time() - begun
    if not isinstance(done, Learned):
        raise SystemExit("vit_digits.toml is no recipe for labels")
    return done, taken


def row(name: str, seed: int, done: Learned, seconds: float) -> str:
    """Return one line of the table."""
    figures = [done.figures["accuracy"], *(done.test[key] for key in ("accuracy", "macro_f1", "majority"))]
    return f"| {name} | {seed} | {seconds:.0f} | {' | '.join(f'{100 * x:.2f}' for x in figures)} |"


def main() -> None:
    """Run all and write the table after each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    options.add_argument("--folds", nargs="*", type=int, default=[0, 1, 2, 3, 4])
    options.add_argument("--steps", type=int)
    given = options.parse_args()
    lines: list[str] = []
    means = []
    for name, runs in (
        ("frozen split", [(seed, None) for seed in given.seeds]),
        ("fold", [(0, fold) for fold in given.folds]),
    ):
        scores = []
        for seed, fold in runs:
            done, seconds = run(seed, fold, given.steps)
            scores.append(done.test["accuracy"])
            lines.append(row(name if fold is None else f"{name} {fold}", seed, done, seconds))
            print(lines[-1], flush=True)
            told = [*means, f"Mean test accuracy, {name}: {100 * mean(scores):.2f} % of {len(scores)}."]
            head = f"`recipes/digits_folds.py`, torch {torch.__version__}, one thread; {time.strftime('%Y-%m-%d')}.\n\n"
            table = "\n".join([COLUMNS, "|--" * 7 + "|", *lines])
            files.write_text(Path(__file__).with_suffix(".md"), f"{head}{table}\n\n" + "\n".join(told) + "\n")
        means = told if runs else means


if __name__ == "__main__":
    main()
