"""Labels of texts and of pictures, by every kind of net that gives them."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from qkv.base import seeds
from qkv.base.errors import ConfigError, DataError, ShapeError
from qkv.data.labelled import Labelled
from qkv.tasks.classify import PictureClassify, TextClassify
from qkv.training.loop import Stepped, Validated
from tasks.small_texts import END, PAD, START, Looker, Pieces, Reader, Sizes, learn, tiny_bert
from training.comparing import break_after, log_of, same_net, steps_of

LABELS = ("bad", "good")
ROWS = [Labelled(f"{word} thing {i}", label) for i in range(6) for word, label in (("fine", "good"), ("awful", "bad"))]


def texts(**options: Any) -> TextClassify:
    return TextClassify(Pieces(), Sizes(), LABELS, **options)


def ids(text: str) -> list[int]:
    return Pieces().encode(text, special=False).ids


def test_texts_and_pairs_become_ids_with_segments_and_a_label():
    task = texts()
    alone = task.encode(Labelled("a b", "good"))
    assert alone == ([START, *ids("a b"), END], [0] * 4, 1)
    pair = task.encode(Labelled("a", "bad", "b c"))
    assert pair == ([START, *ids("a"), END, *ids("b c"), END], [0, 0, 0, 1, 1, 1], 0)
    batch = task.batch([alone, pair])
    assert batch.mask is not None
    assert batch.mask.tolist() == [[True] * 4 + [False] * 2, [True] * 6]
    assert batch.ids[0, 4:].tolist() == [PAD, PAD] and batch.labels.tolist() == [1, 0]
    assert task.batch([alone]).mask is None
    assert task.length(pair) == 6


def test_a_text_beyond_the_positions_is_refused_or_cut_and_a_strange_label_refused():
    long = Labelled("a " * 20, "good")
    with pytest.raises(ShapeError, match="Input has 22 tokens; this model has 16"):
        texts().encode(long)
    assert task_length(long) == 16
    with pytest.raises(DataError, match='Label "maybe" is none of those the model knows: bad, good'):
        texts().encode(Labelled("a", "maybe"))
    with pytest.raises(ConfigError, match="The data has 3 labels, the model 2"):
        TextClassify(Pieces(), Sizes(), ("a", "b", "c"))


def task_length(row: Labelled) -> int:
    return len(texts(truncate=True).encode(row).ids)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_the_loss_and_figures_are_those_of_each_text_alone(kind):
    net = (tiny_bert("classify") if kind == "encoder" else Reader(Sizes(), n_labels=2)).eval()
    task = texts(smoothing=0.1)
    examples = [task.encode(row) for row in [*ROWS, Labelled("a", "bad", "b"), Labelled("longer text here", "bad")]]
    logits = torch.cat([task.logits(net, task.batch([example])) for example in examples])
    labels = torch.tensor([example.label for example in examples])
    loss = task.loss(net, task.batch(examples))
    wanted = F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="sum")
    torch.testing.assert_close(loss.total, wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(loss.plain, F.cross_entropy(logits, labels, reduction="sum"), rtol=1e-5, atol=1e-6)
    assert loss.n_units == len(examples) == 14
    figures = task.figures(net, examples)
    assert figures["loss"] == pytest.approx(loss.plain.item() / 14, rel=1e-5)
    assert figures["accuracy"] == pytest.approx((logits.argmax(-1) == labels).float().mean().item())
    assert figures["majority"] == 8 / 14
    assert 0 <= figures["macro_f1"] <= 1


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_it_learns_to_label_texts_and_keeps_the_most_accurate(kind, tmp_path):
    net = tiny_bert("classify") if kind == "encoder" else Reader(Sizes(), n_labels=2)
    task = texts()
    training = learn(net, task, [task.encode(row) for row in ROWS], tmp_path, steps=40, patience=20)
    events = list(training.run())
    losses = [event.loss for event in events if isinstance(event, Stepped)]
    assert sum(losses[-4:]) < 0.5 * sum(losses[:4])
    looks = [event for event in events if isinstance(event, Validated)]
    assert training.at.best == max(look.figures["accuracy"] for look in looks) == 1.0
    best: list[float] = []
    for look in looks:
        assert look.best == all(look.figures["accuracy"] > value for value in best)
        best.append(look.figures["accuracy"])
    assert "n_texts" in log_of(tmp_path)[0]


def flip(picture: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    return picture.flip(-1) if torch.rand((), generator=draw) < 0.5 else picture


def make_pictures(folder, **recipe):
    seeds.plant(1, 0)
    draw = seeds.generator("test")
    bright = [(torch.rand(3, 4, 4, generator=draw) + label, label) for label in (0, 1) for _ in range(8)]
    task = PictureClassify(Sizes(), LABELS, smoothing=0.1, augment=flip)
    return learn(Looker(Sizes(), 48), task, bright, folder, **{"budget": 5, "lr": 0.02} | recipe)


def test_it_learns_to_label_pictures_and_goes_on_after_a_kill(tmp_path):
    whole = make_pictures(tmp_path / "whole", steps=20)
    events = list(whole.run())
    steps = [event for event in events if isinstance(event, Stepped)]
    assert {step.n_units for step in steps} <= {1, 5}
    assert steps[-1].loss < steps[0].loss
    assert whole.at.best > 0.8
    break_after(make_pictures(tmp_path / "broken", steps=20), 7)
    resumed = make_pictures(tmp_path / "broken", steps=20)
    resumed.resume()
    assert resumed.at.best == max(e.figures["accuracy"] for e in events if isinstance(e, Validated) and e.step <= 4)
    assert steps_of(list(resumed.run())) == steps_of(events)[4:]
    assert same_net(resumed, whole)


def test_pictures_are_augmented_anew_in_training_and_never_when_judged():
    task = PictureClassify(Sizes(), LABELS, augment=flip)
    example = (torch.arange(48.0).view(3, 4, 4), 1)
    seen = [task.vary(example, 0, epoch, 0).picture for epoch in range(20)]
    assert 0 < sum(torch.equal(one, example[0]) for one in seen) < 20
    assert torch.equal(task.vary(example, 0, 3, 0).picture, seen[3])
    net = Looker(Sizes(), 48).eval()
    plain = PictureClassify(Sizes(), LABELS)
    examples = [(torch.randn(3, 4, 4), i % 2) for i in range(9)]
    assert task.figures(net, examples) == plain.figures(net, examples)
