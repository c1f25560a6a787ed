"""Every token of every document is predicted once, from what comes before it."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from qkv.base.errors import ConfigError, DataError, UnsupportedError
from qkv.tasks.causal import Causal
from qkv.training.loop import Stepped
from tasks.small_texts import END, Pieces, Reader, Sizes, learn

WORDS = st.text("abcd ", min_size=1, max_size=40).filter(str.strip)
DOCUMENTS = ["the cat sat on the mat " * 3, "a", "the dog sat on the rug " * 5]


@given(st.lists(WORDS, min_size=1, max_size=6), st.integers(1, 9))
def test_windows_predict_every_token_exactly_once(documents, length):
    task = Causal(Pieces(), Sizes(), window=length)
    windows = task.encode(documents)
    stream = [i for document in documents for i in (*Pieces().encode(document, special=False).ids, END)]
    assert [i for window in windows for i in window[1:].tolist()] == stream
    assert [i for window in windows for i in window[:-1].tolist()] == [END, *stream[:-1]]
    assert {task.length(window) for window in list(windows)[:-1]} <= {length}
    assert 1 <= task.length(windows[len(windows) - 1]) <= length
    assert windows.n_bytes == sum(len(document.encode()) for document in documents)


def test_a_batch_is_padded_and_its_labels_are_the_next_tokens():
    task = Causal(Pieces(), Sizes())
    batch = task.batch([torch.tensor([5, 6, 7, 8]), torch.tensor([9, 10])])
    assert batch.ids[0].tolist() == [5, 6, 7]
    assert batch.ids[1].tolist() == [9, 10, END], "what is read beyond the kept places changes nothing"
    assert batch.keep.tolist() == [[True, True, True], [True, False, False]]
    assert batch.labels.tolist() == [6, 7, 8, 10]


def test_the_loss_is_the_cross_entropy_of_real_tokens_and_padding_changes_nothing():
    task, net = Causal(Pieces(), Sizes()), Reader(Sizes())
    rows = [torch.tensor([5, 6, 7, 8]), torch.tensor([9, 10])]
    loss = task.loss(net, task.batch(rows))
    alone = [F.cross_entropy(net(row[None, :-1])[0], row[1:], reduction="sum") for row in rows]
    torch.testing.assert_close(loss.total, sum(alone), rtol=1e-6, atol=0)
    assert loss.n_units == 4


def test_figures_are_per_token_and_per_byte():
    task, net = Causal(Pieces(), Sizes(), window=5), Reader(Sizes()).eval()
    windows = task.encode(["é" * 30, "abc def"])
    figures = task.figures(net, windows)
    losses = [task.loss(net, task.batch([window])) for window in windows]
    nats, count = sum(loss.plain.item() for loss in losses), sum(loss.n_units for loss in losses)
    assert count == 10 + 2 + 2
    assert figures["loss"] == pytest.approx(nats / count, rel=1e-6)
    assert figures["perplexity"] == pytest.approx(math.exp(nats / count), rel=1e-5)
    assert figures["bits_per_byte"] == pytest.approx(nats / math.log(2) / 67, rel=1e-6)


def test_a_net_that_knows_nothing_has_the_perplexity_of_the_vocabulary():
    task, net = Causal(Pieces(), Sizes()), Reader(Sizes())
    for parameter in net.out.parameters():
        torch.nn.init.zeros_(parameter)
    assert task.figures(net, task.encode(DOCUMENTS))["perplexity"] == pytest.approx(60)


def test_it_learns(tmp_path):
    task = Causal(Pieces(), Sizes())
    windows = task.encode(DOCUMENTS)
    training = learn(Reader(Sizes()), task, windows, tmp_path)
    before = task.figures(training.net, windows)["loss"]
    events = list(training.run())
    losses = [event.loss for event in events if isinstance(event, Stepped)]
    assert losses[-1] < 0.8 * losses[0]
    assert training.at.best == task.figures(training.net, windows)["loss"] < 0.8 * before


def test_what_cannot_be_learned_from_is_refused():
    with pytest.raises(ConfigError, match="A window of 17 tokens is longer than the model, which has 16"):
        Causal(Pieces(), Sizes(), window=17)
    with pytest.raises(DataError, match="no text"):
        Causal(Pieces(), Sizes()).encode([])
    endless = Pieces()
    endless.end_id = None  # type: ignore[assignment]
    with pytest.raises(UnsupportedError, match="no end token"):
        Causal(endless, Sizes())
