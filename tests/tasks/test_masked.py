"""What is hidden, how often and behind what; and that it depends on nothing but seed, epoch and example."""

from collections import Counter
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from qkv.base import seeds
from qkv.base.errors import ConfigError, DataError, UnsupportedError
from qkv.tasks.masked import Masked, Passage
from qkv.training.loop import Stepped
from tasks.small_texts import END, MASK, PAD, START, Pieces, Sizes, learn, tiny_bert
from training.comparing import break_after, log_of, same_net, state_of, steps_of
from training.crash.states import equal

WIDE = Sizes(max_len=202)
DOCUMENTS = ["elephants remember everything that people have forgotten " * 4, "a cat", "one two three four " * 3]


def make(cfg: Any = WIDE, **options: Any) -> Masked:
    return Masked(Pieces(), cfg, **options)


def passage(n_words: int, pieces: int = 1) -> Passage:
    """Return a passage of equal words, each of some pieces, all ids 5."""
    groups = torch.arange(n_words).repeat_interleave(pieces)
    edge = torch.tensor([-1])
    ids = torch.cat([torch.tensor([START]), torch.full((n_words * pieces,), 5), torch.tensor([END])])
    return Passage(ids, torch.cat([edge, groups, edge]))


def chi_square(counts: list[int], expected: list[float]) -> float:
    return sum((n - e) ** 2 / e for n, e in zip(counts, expected, strict=True))


@pytest.mark.parametrize("whole_words", [False, True])
def test_fifteen_of_a_hundred_are_hidden_eight_one_and_one_of_ten(whole_words):
    task, text = make(whole_words=whole_words), passage(200)
    shown, places, others = Counter(), Counter(), Counter()
    n = 400
    for epoch in range(n):
        seen = task.vary(text, 0, epoch, 0)
        assert seen.chosen.sum() == 30
        assert torch.equal(seen.ids[~seen.chosen], text.ids[~seen.chosen])
        assert torch.equal(seen.truth, text.ids)
        places.update(seen.chosen.nonzero()[:, 0].tolist())
        for i in seen.ids[seen.chosen].tolist():
            shown["mask" if i == MASK else "same" if i == 5 else "other"] += 1
            others.update({i} - {MASK, 5})
    total = 30 * n
    # one random token in 56 happens to be the token itself
    expected = [0.8 * total, (0.1 + 0.1 / 56) * total, 0.1 * total * 55 / 56]
    assert chi_square([shown["mask"], shown["same"], shown["other"]], expected) < 13.8  # 2 degrees, p = 0.001
    assert chi_square([places[i] for i in range(1, 201)], [n * 0.15] * 200) < 267  # 199 degrees, p = 0.001
    assert places[0] == places[201] == 0
    assert min(others) >= 4
    rest = [others[i] for i in range(4, 60) if i != 5]
    assert chi_square(rest, [sum(rest) / 55] * 55) < 91  # 54 degrees, p = 0.001


def test_a_biased_draw_would_be_found():
    """The same chi-square refuses 78 in place of 80 of a hundred."""
    total = 12_000
    assert chi_square([int(0.78 * total), int(0.22 * total)], [0.8 * total, 0.2 * total]) > 13.8


@given(st.lists(st.integers(1, 7), min_size=1, max_size=30), st.integers(0, 99))
def test_whole_words_stay_whole_and_within_the_share(sizes, seed):
    words = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    words = torch.cat([torch.tensor([-1]), words, torch.tensor([-1])])
    seen = make().vary(Passage(torch.full_like(words, 5), words), seed, 0, 0)
    for word in range(len(sizes)):
        assert len(set(seen.chosen[words == word].tolist())) == 1
    assert not seen.chosen[words < 0].any()
    n_chosen, wanted = int(seen.chosen.sum()), max(1, round(0.15 * sum(sizes)))
    assert 1 <= n_chosen <= max(wanted, *sizes)
    if set(sizes) == {1}:
        assert n_chosen == wanted


def test_single_pieces_may_part_a_word():
    (text,) = make(whole_words=False).encode(["abcdefghi " * 9])
    (whole,) = make().encode(["abcdefghi " * 9])
    seen = make(whole_words=False).vary(text, 0, 0, 0)
    assert torch.equal(text.ids, whole.ids)
    assert any(len(set(seen.chosen[whole.groups == word].tolist())) == 2 for word in range(9))


def test_what_is_hidden_depends_on_the_name_alone():
    task, text = make(), passage(50)
    torch.manual_seed(1)
    first = task.vary(text, 0, 3, 7)
    torch.manual_seed(2)
    task.vary(text, 0, 3, 8)
    again = make().vary(text, 0, 3, 7)
    assert torch.equal(first.ids, again.ids) and torch.equal(first.chosen, again.chosen)
    for other in ((1, 3, 7), (0, 4, 7), (0, 3, 8)):
        assert not torch.equal(task.vary(text, *other).chosen, first.chosen), other
    assert text.ids.tolist() == passage(50).ids.tolist(), "the passage itself stays as it is"


def test_documents_become_passages_that_lose_nothing_and_cut_no_word():
    task = make(Sizes(max_len=9))
    passages = task.encode(DOCUMENTS)
    assert all(p.ids[0] == START and p.ids[-1] == END and len(p.ids) <= 9 for p in passages)
    assert all(p.groups[0] == p.groups[-1] == -1 for p in passages)
    inner = [i for p in passages for i in p.ids[1:-1].tolist()]
    assert inner == [i for text in DOCUMENTS for i in Pieces().encode(text, special=False).ids]
    words = [text.split() for text in DOCUMENTS]
    assert sum(int(p.groups.max()) + 1 for p in passages) == sum(map(len, words)), "a cut word would count twice"
    (whole,) = task.encode(["a" * 15])
    assert len(whole.ids) == 7
    assert [len(p.ids) for p in task.encode(["a" * 30])] == [9, 5], "a word longer than a passage is cut"


def test_a_batch_is_padded_and_predicts_what_was_there():
    task = make(share=0.5)
    one, two = passage(6), passage(3)
    seen = [task.vary(one, 0), task.vary(two, 0)]
    batch = task.batch(seen)
    assert batch.mask is not None
    assert batch.mask.sum(1).tolist() == [8, 5]
    assert batch.ids[1, 5:].tolist() == [PAD] * 3
    assert not batch.keep[~batch.mask].any()
    assert batch.keep.sum() == len(batch.labels) == 3 + 2
    assert batch.labels.tolist() == [5] * 5
    assert task.batch(seen[:1]).mask is None


def test_the_loss_and_its_figures_are_of_hidden_tokens_alone():
    task, net = make(Sizes(), share=0.3), tiny_bert("mlm").eval()
    passages = task.encode(DOCUMENTS)
    seen = [task.vary(p, "judged", i) for i, p in enumerate(passages)]
    nats, right, count = 0.0, 0, 0
    for one in seen:
        logits = net(one.ids[None])[0][one.chosen]
        nats += F.cross_entropy(logits, one.truth[one.chosen], reduction="sum").item()
        right += int((logits.argmax(-1) == one.truth[one.chosen]).sum())
        count += int(one.chosen.sum())
    loss = task.loss(net, task.batch(seen))
    assert loss.n_units == count
    assert loss.total.item() == pytest.approx(nats, rel=1e-5)
    figures = task.figures(net, passages)
    assert figures == {"loss": pytest.approx(nats / count, rel=1e-5), "accuracy": right / count}
    assert task.figures(net, passages) == figures


def train(folder, **recipe):
    seeds.plant(3, 0)
    task = make(Sizes(), share=0.3)
    return learn(tiny_bert("mlm", dropout=0.1), task, task.encode(DOCUMENTS), folder, **recipe)


def test_it_learns(tmp_path):
    training = train(tmp_path, steps=40, budget=128)
    losses = [event.loss for event in training.run() if isinstance(event, Stepped)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_order_and_masks_are_equal_after_a_kill(tmp_path):
    whole = train(tmp_path / "whole")
    events = list(whole.run())
    for at, workers in ((2, 0), (9, 1)):
        folder = tmp_path / f"broken at {at}"
        break_after(train(folder), at)
        resumed = train(folder, workers=workers)
        assert resumed.resume() == []
        again = list(resumed.run())
        assert steps_of(again) == steps_of(events)[resumed_from(at) :], at
        assert same_net(resumed, whole), at
        assert equal(state_of(folder), state_of(tmp_path / "whole")), at
    assert "n_masked_tokens" in log_of(tmp_path / "whole")[0]


def resumed_from(at: int) -> int:
    return (at - 1) // 4 * 4


def test_other_masks_every_epoch(tmp_path):
    training = train(tmp_path, steps=30)
    seen: dict[bytes, set[tuple[bool, ...]]] = {}
    collate = training.task.batch

    def note(examples):
        for one in examples:
            seen.setdefault(one.truth.numpy().tobytes(), set()).add(tuple(one.chosen.tolist()))
        return collate(examples)

    training.task.batch = note
    list(training.run())
    assert max(len(masks) for masks in seen.values()) > 3


def test_special_tokens_that_a_text_spells_out_are_never_hidden():
    class Spelled(Pieces):
        def encode(self, text, pair=None, **options):
            found = super().encode(text, pair, **options)
            found.ids = [MASK if i == found.ids[0] else i for i in found.ids]
            return found

    task = Masked(Spelled(), WIDE, share=0.9)
    (text,) = task.encode(["one two one two one two one two"])
    seen = task.vary(text, 0)
    assert not seen.chosen[text.ids == MASK].any() and seen.chosen.any()
    with pytest.raises(DataError, match="no text"):
        task.encode(["one one"])


def test_what_cannot_be_learned_from_is_refused():
    with pytest.raises(ConfigError, match="A window of 17 tokens does not fit: it must be 3 to 16"):
        make(Sizes(), window=17)
    with pytest.raises(ConfigError, match=r"share of hidden tokens is 1\.5"):
        make(share=1.5)
    with pytest.raises(DataError, match="no text"):
        make().encode([" "])
    maskless = Pieces()
    maskless.mask_id = None  # type: ignore[assignment]
    with pytest.raises(UnsupportedError, match="no mask, start, end or padding token"):
        Masked(maskless, WIDE)
