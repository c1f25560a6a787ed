"""Check parallel text before anything is trained on it."""

from pathlib import Path
from typing import Literal

from qkv.data.parallel import read_pairs
from qkv.data.report import CheckReport, check_pairs


def check_data(
    path: str | Path, *, against: str | Path | None = None, on_bad: Literal["raise", "skip"] = "raise"
) -> CheckReport:
    """Read a file of parallel text as a training would, and report what is in it.

    against: another file (the test set), which should have no source in common with it. Rows that cannot be used raise
    DataError, unless `on_bad="skip"` leaves them out.
    """
    pairs, reading = read_pairs(path, on_bad=on_bad)
    splits = {}
    if against is not None:
        others, found = read_pairs(against, on_bad=on_bad)
        splits[found.name] = others
    return check_pairs(reading.name, pairs, reading, splits=splits)
