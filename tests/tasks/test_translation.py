import pytest
import torch
import torch.nn.functional as F

from models.tiny import SMALL, make
from qkv.base.errors import ShapeError
from qkv.data.pairs import Pair
from qkv.tasks.codec import Codec
from qkv.tasks.translation import Example, Translation
from qkv.text.tokenizer import train_tokenizer

WORDS = train_tokenizer("words", ["a b c d e f g"])
TINY = SMALL["transformer-tiny"]
PAD, START, END = 0, 2, 3


def ids(text: str) -> list[int]:
    return WORDS.encode(text).ids


@pytest.fixture
def task() -> Translation:
    return Translation(WORDS, WORDS, TINY.cfg, smoothing=0.1)


def test_a_pair_becomes_ids_with_start_and_end(task):
    assert isinstance(WORDS, Codec)
    assert task.encode(Pair("a b", "c d e")) == Example([*ids("a b"), END], [START, *ids("c d e"), END])
    assert task.encode_source("a") == [*ids("a"), END]
    assert task.length(task.encode(Pair("a b c d", "e"))) == 5
    assert task.length(task.encode(Pair("a", "b c d e"))) == 6


def test_the_decoder_reads_what_came_before_the_label(task):
    batch = task.batch([task.encode(Pair("a b c", "d")), task.encode(Pair("a", "b c"))])
    a, b, c, d = (ids(word)[0] for word in "abcd")
    assert batch.source.tolist() == [[a, b, c, END], [a, END, PAD, PAD]]
    assert batch.source_mask.tolist() == [[True] * 4, [True, True, False, False]]
    assert batch.target.tolist() == [[START, d, END], [START, b, c]]
    assert batch.labels.tolist() == [[d, END, PAD], [b, c, END]]
    assert batch.label_mask.tolist() == [[True, True, False], [True, True, True]]
    source, mask = task.sources([task.encode_source("a b c"), task.encode_source("a")])
    assert torch.equal(source, batch.source) and torch.equal(mask, batch.source_mask)


def test_the_loss_is_the_cross_entropy_of_each_real_label(task):
    net = make(TINY)
    batch = task.batch([task.encode(Pair("a b c", "d")), task.encode(Pair("a", "b c"))])
    logits = net(batch.source, batch.target, batch.source_mask)
    loss = task.loss(net, batch)
    options = {"ignore_index": PAD, "reduction": "sum"}
    smoothed = F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), label_smoothing=0.1, **options)
    torch.testing.assert_close(loss.total, smoothed, rtol=1e-6, atol=0)
    torch.testing.assert_close(loss.plain, F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), **options))
    assert loss.n_units == 5


def test_losses_of_single_pairs_add_up_to_the_batchs(task):
    net = make(TINY)
    pairs = [Pair("a b c", "d"), Pair("a", "b c"), Pair("f g", "a b c d e")]
    whole = task.loss(net, task.batch([task.encode(pair) for pair in pairs]))
    alone = [task.loss(net, task.batch([task.encode(pair)])) for pair in pairs]
    assert whole.n_units == sum(loss.n_units for loss in alone) == 11
    assert whole.total.item() == pytest.approx(sum(loss.total.item() for loss in alone), rel=3e-6)


def test_a_string_comes_back_without_special_tokens(task):
    assert task.decode([*ids("a b"), END]) == "a b"
    assert task.decode([START, *ids("a b"), END, PAD]) == "a b"


def test_a_side_longer_than_the_positions_is_refused(task):
    n = TINY.cfg.max_len
    fits = " ".join("abcdefg"[i % 7] for i in range(n - 2))
    task.encode(Pair(fits + " a", fits))
    with pytest.raises(ShapeError, match=f"Input has {n + 1} tokens; this model has {n} positions"):
        task.encode(Pair(fits + " a b", "a"))
    with pytest.raises(ShapeError, match=f"Input has {n + 1} tokens; this model has {n} positions"):
        task.encode(Pair("a", fits + " a"))
