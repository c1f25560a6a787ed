"""The demo over seeds and languages: what each translator reaches, every head's alignment error, and longer training.

    python recipes/demo_seeds.py [--seeds 0 1 2] [--to fr hu]

Cost: about three minutes of two cores for each seed and language. Score: the table in demo_seeds.md beside this file.
"""

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from qkv.base import files
from qkv.evaluation.translation import Report
from qkv.verbs.demo import CONTESTANTS, Contestant, compete, one_thread
from qkv.verbs.settings import TrainSettings
from qkv.verbs.train import learn_tokenizer, open_settings_data

LONGER = 3
COLUMNS = (
    "| to | seed | model | parameters | steps | seconds | exact % | longest quarter % | chrF | AER by (layer, head) |"
)


def row(to: str, seed: int, name: str, parameters: int, steps: int, seconds: float, report: Report) -> str:
    """Return one line of the table."""
    heads = ", ".join(f"{layer}.{head} {rate:.3f}" for (layer, head), rate in report.alignment.items()) or "-"
    return (
        f"| {to} | {seed} | {name} | {parameters:,} | {steps:,} | {seconds:.0f} | {report.exact:.1f} | "
        f"{report.quarters[-1].exact:.1f} | {report.chrf:.1f} | {heads} |"
    )


def run(to: str, seed: int) -> Iterator[tuple[Contestant, int]]:
    """Train the demo's contestants, and the fixed context once more with more steps; yield each with its steps."""
    settings = TrainSettings(model="rnn-tiny", data="cldr:dates", target=to, items="1-3", dropout=0.0)
    splits = open_settings_data(settings)
    tokenizer = learn_tokenizer(settings, splits)
    for name, scale in [*((name, 1) for name in CONTESTANTS), ("rnn-tiny", LONGER)]:
        recipe = replace(CONTESTANTS[name], seed=seed, steps=CONTESTANTS[name].steps * scale)
        with tempfile.TemporaryDirectory() as folder, one_thread():
            one = replace(settings, model=name, recipe=recipe)
            yield compete(one, splits, tokenizer, Path(folder), lambda event: None).contestant, recipe.steps


def main() -> None:
    """Run all and write the table after each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options.add_argument("--to", nargs="+", default=["fr", "hu"])
    given = options.parse_args()
    lines = [COLUMNS, "|--" * 10 + "|"]
    for to in given.to:
        for seed in given.seeds:
            for one, steps in run(to, seed):
                lines.append(row(to, seed, one.name, one.parameters, steps, one.seconds, one.report))
                print(lines[-1], flush=True)
            head = f"qkv demo, {torch.__version__}, one thread, 500 unseen strings, greedy.\n\n"
            files.write_text(Path(__file__).with_suffix(".md"), head + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
