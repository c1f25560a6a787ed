"""What training is promised by every objective."""

import math

import pytest

from qkv.tasks.causal import Causal
from qkv.tasks.classify import PictureClassify, TextClassify
from qkv.tasks.masked import Masked
from qkv.tasks.objective import Objective, Watch, batches
from qkv.tasks.translation import Translation
from tasks.small_texts import Pieces, Sizes

OBJECTIVES = {
    "causal": Causal(Pieces(), Sizes()),
    "masked": Masked(Pieces(), Sizes()),
    "texts": TextClassify(Pieces(), Sizes(), ("a", "b")),
    "pictures": PictureClassify(Sizes(), ("a", "b")),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_says_what_it_counts_and_what_is_watched(name):
    task = OBJECTIVES[name]
    assert isinstance(task, Objective)
    assert task.unit.endswith("s")
    assert task.watch.better == ("lower" if task.watch.figure == "loss" else "higher")


def test_translation_watches_its_loss():
    assert Objective in Translation.__mro__
    assert Translation.watch == Watch("loss", "lower")


def test_the_better_figure_is_lower_or_higher_and_never_nan():
    low, high = Watch("loss", "lower"), Watch("accuracy", "higher")
    assert low.prefers(1.0, 2.0) and not low.prefers(2.0, 2.0) and not low.prefers(math.nan, math.inf)
    assert high.prefers(2.0, 1.0) and not high.prefers(2.0, 2.0) and not high.prefers(math.nan, -math.inf)


def test_batches_hold_every_example_once_within_the_budget():
    task = Causal(Pieces(), Sizes(), window=5)
    windows = task.encode(["abc " * 33, "defghi jkl"])
    seen = list(batches(task, windows, 12))
    assert all(batch.ids.numel() <= 12 for batch in seen)
    assert sorted(i for batch in seen for i in batch.labels.tolist()) == sorted(windows.ids[1:].tolist())
    assert len(list(batches(task, windows, 1))) == len(windows)
