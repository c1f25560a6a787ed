import json
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qkv.screen.plain import plain


@dataclass(frozen=True, slots=True)
class Inner:
    path: Path
    links: frozenset[tuple[int, int]]


@dataclass
class Outer:
    inner: Inner
    matrix: np.ndarray
    by_head: dict[tuple[int, int], float]
    spans: tuple[int, ...] = ()


Place = namedtuple("Place", "epoch batch")


def test_results_become_json():
    value = Outer(
        Inner(Path("a/b"), frozenset({(1, 2)})),
        np.array([[0.5, 1.0]], np.float32),
        {(0, 1): 0.25, (1, 0): np.float64(1)},
    )
    assert json.loads(json.dumps(plain([value, Place(1, 2), None, True, "ü", np.int64(3)]))) == [
        {
            "inner": {"path": "a/b", "links": [[1, 2]]},
            "matrix": [[0.5, 1.0]],
            "by_head": {"0.1": 0.25, "1.0": 1.0},
            "spans": [],
        },
        {"epoch": 1, "batch": 2},
        None,
        True,
        "ü",
        3,
    ]
