"""Which kind of name is this? A classifier of CLDR's English names: language, territory, currency or unit.

    OMP_NUM_THREADS=1 python recipes/name_kinds.py [RUN]

RUN is the folder of a pretrained encoder (recipes/bert_pydoc.toml); without it the same net learns from nothing alone.
Names that two kinds share are left out. A fifth of the names, by a hash, is the test; nothing is chosen by it.
Cost: under a minute of one core for each line. Score: the table in name_kinds.md beside this file.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from babel import Locale

from qkv.base import files
from qkv.base.seeds import mix
from qkv.data.cldr_names import list_names
from qkv.metrics.classification import accuracy, macro_f1, majority
from qkv.verbs.demo import one_thread
from qkv.verbs.finetune import finetune
from qkv.verbs.read import predict
from qkv.verbs.train import train

Rows = list[tuple[str, str]]
COLUMNS = "| start | seed | CPU seconds | validation % | test % | macro F1 % | majority % |"
N_PIECES = 400  # more would be whole names, of which those of the test are none
PACE: dict[str, Any] = {"steps": 400, "budget": 1024, "lr": 1e-3, "warmup": 40, "weight_decay": 0.05}


def name_rows() -> tuple[Rows, Rows]:
    """Return names with their kinds: to learn from, and to test on."""
    rows = sorted({(name, kind) for (kind, _), name in list_names(Locale.parse("en")).items()})
    times = Counter(name for name, _ in rows)
    rows = [row for row in rows if times[row[0]] == 1]
    held = [row for row in rows if mix("test", row[0]) % 5 == 0]
    return [row for row in rows if row not in held], held


def write_rows(path: Path, rows: Rows) -> None:
    """Write rows as a TSV with labels."""
    files.write_text(path, "text\tlabel\n" + "".join(f"{name}\t{kind}\n" for name, kind in rows))


def score(verb: Callable[..., Any], data: Path, test: Rows, seed: int) -> str:
    """Learn from the rows of a file; return the figures of one line."""
    with tempfile.TemporaryDirectory() as folder, one_thread():
        begun = time.process_time()
        done = verb(data=str(data), out=Path(folder, "run"), seed=seed, **PACE)
        seconds = time.process_time() - begun
        said = [one.labels[0].label for one in predict(done.model, [name for name, _ in test], top=1)]
    true = [kind for _, kind in test]
    figures = (done.figures["accuracy"], accuracy(said, true), macro_f1(said, true), majority(true))
    return f"| {seed} | {seconds:.0f} | {' | '.join(f'{100 * x:.2f}' for x in figures)} |"


def main() -> None:
    """Run all and write the table after each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("run", nargs="?")
    options.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    given = options.parse_args()
    learned, held = name_rows()
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "kinds.tsv")
        write_rows(data, learned)
        starts = [("nothing", partial(train, "bert-tiny", vocab_size=N_PIECES))]
        starts += [("bert_pydoc.toml", partial(finetune, given.run))] if given.run else []
        for name, verb in starts:
            for seed in given.seeds:
                lines.append(f"| {name} {score(verb, data, held, seed)}")
                print(lines[-1], flush=True)
                day = f"torch {torch.__version__}, one thread; {time.strftime('%Y-%m-%d')}"
                head = (
                    f"`recipes/name_kinds.py`, {day}. {len(learned):,} names to learn from, {len(held)} to test on.\n"
                )
                table = "\n".join([COLUMNS, "|--" * 7 + "|", *lines])
                files.write_text(Path(__file__).with_suffix(".md"), f"{head}\n{table}\n")


if __name__ == "__main__":
    main()
