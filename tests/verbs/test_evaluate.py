"""A score is of the pairs that were asked for, by the words of the model's own card, and says what it left out."""

from typing import Any

import pytest

from qkv.base.errors import ConfigError, DataError, ShapeError
from qkv.data.cldr import load_cldr
from qkv.data.pairs import Pair
from qkv.data.parallel import write_pairs
from qkv.evaluation.translation import score_translations
from qkv.verbs import evaluate as module
from qkv.verbs.evaluate import evaluate
from verbs.small_runs import PAIRS, make_model, save_model, write_words


def test_a_file_is_scored_as_a_whole(tmp_path):
    path, model = write_words(tmp_path / "words.tsv", 30), make_model()
    report = evaluate(model, str(path), beams=2)
    assert report == score_translations(model.net, model.task, PAIRS[:30], beams=2)[0]
    assert (report.n_pairs, report.left_out, report.alignment) == (30, 0, {})
    assert evaluate(save_model(tmp_path / "model"), str(path), beams=2) == report


def test_a_perfect_model_scores_full_marks(tmp_path):
    """The targets are what the model says: the figures must know."""
    model = make_model()
    texts = [pair.source for pair in PAIRS[:20]]
    said = model.translate(texts, beams=1)
    pairs = [Pair(text, one.text) for text, one in zip(texts, said, strict=True) if one.text.strip()]
    write_pairs(tmp_path / "said.tsv", pairs)
    report = evaluate(model, str(tmp_path / "said.tsv"), beams=1)
    assert (report.exact, report.chrf) == (100.0, 100.0)
    assert all(quarter.exact == 100.0 for quarter in report.quarters)


def test_rows_that_are_left_out_are_counted(tmp_path):
    path = write_words(tmp_path / "words.tsv", 10)
    path.write_text(path.read_text() + "no tab\n\tx\n")
    with pytest.raises(DataError, match="2 of 12 rows cannot be used"):
        evaluate(make_model(), str(path))
    report = evaluate(make_model(), str(path), on_bad="skip")
    assert (report.n_pairs, report.left_out) == (10, 2)


def test_two_files_may_be_named(tmp_path):
    for name, side in (("a.en", "source"), ("a.fr", "target")):
        (tmp_path / name).write_text("".join(getattr(pair, side) + "\n" for pair in PAIRS[:8]))
    assert evaluate(make_model(), f"{tmp_path}/a.en,{tmp_path}/a.fr", beams=1).n_pairs == 8


def test_built_in_data_is_that_of_the_card_unless_given(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "cldr_pairs", lambda data, **given: asked.append((data, given)) or PAIRS[:3])
    model = make_model()
    evaluate(model, "cldr:dates", beams=1)
    model.card = {"source": "en", "target": "hu", "items": "1-3"}
    evaluate(model, "cldr:dates", beams=1, n_examples=7)
    evaluate(model, "cldr:numbers", beams=1, source="de", items="2-2")
    assert asked == [
        ("cldr:dates", {"source": "en", "target": "fr", "items": "1-1", "split": "test", "n": 500}),
        ("cldr:dates", {"source": "en", "target": "hu", "items": "1-3", "split": "test", "n": 7}),
        ("cldr:numbers", {"source": "de", "target": "hu", "items": "2-2", "split": "test", "n": 500}),
    ]


def test_only_the_test_split_is_scored():
    unseen = {pair.source for pair in load_cldr("names", "en", "fr", split="test")}
    model: Any = make_model(max_len=64)
    seen: list[str] = []
    model.source, model.target = SourceSpy(model.source, seen), model.source
    report = evaluate(model, "cldr:names", n_examples=20, beams=1)
    assert report.n_pairs == 20
    assert set(seen) <= unseen
    assert len(set(seen)) == 20


class SourceSpy:
    """A tokenizer that remembers what it was given."""

    def __init__(self, tokenizer, seen):
        self.tokenizer, self.seen, self.vocab_size = tokenizer, seen, tokenizer.vocab_size

    def encode(self, text):
        self.seen.append(text)
        return self.tokenizer.encode(text)

    def decode(self, ids):
        return self.tokenizer.decode(ids)

    def pieces(self, text):
        return self.tokenizer.pieces(text)


def test_what_cannot_be_scored(tmp_path):
    empty = tmp_path / "empty.tsv"
    empty.write_text("")
    with pytest.raises(DataError, match="is empty"):
        evaluate(make_model(), str(empty))
    write_pairs(tmp_path / "long.tsv", [PAIRS[0], Pair("red" + " red" * 30, "rouge")])
    with pytest.raises(ShapeError, match="Text 2 of 2: Input has 32 tokens; this model has 24 positions"):
        evaluate(make_model(), str(tmp_path / "long.tsv"))
    with pytest.raises(ConfigError, match="takes no --items"):
        evaluate(make_model(), str(tmp_path / "long.tsv"), items="1-3")
