"""The first screen of a training on texts, in numbers that can be counted by hand."""

import io
import json

import pytest
from rich.console import Console

from qkv.base.errors import DataError
from qkv.data.labelled import Labelled, read_labelled
from qkv.data.report import Lengths
from qkv.data.text import read_documents
from qkv.data.text_report import Shared, Shown, check_texts, padding_share

DOCUMENTS = [" ".join(["w"] * n) for n in range(1, 101)]


def shown(report) -> str:
    console = Console(file=io.StringIO(), width=120, color_system=None)
    console.print(report)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_documents_are_counted():
    report = check_texts("made", [*DOCUMENTS, "w w"], splits={"validation": ["w", "v"]})
    assert (report.unit, report.rows, report.used, report.repeated) == ("words", 101, 101, 1)
    assert (report.total, report.characters) == (5052, 10003)
    assert report.lengths == Lengths(50, 90, 99, 100)
    assert report.overlaps == (Shared("validation", 2, 1),)
    assert report.examples[0] == Shown(("w",)) and len(report.examples[1].pieces) == 41
    assert report.examples[1].pieces[-1] == "…"
    assert (report.labels, report.majority, report.padding) == ({}, None, None)
    assert report.warnings == ("1 of 2 texts in validation stand in this data too: figures there will flatter",)


def test_tokens_are_counted_by_their_spans_and_padding_by_batches():
    letters = check_texts("made", ["abc", "de"], cut=lambda text: [(i, i + 1) for i in range(len(text))], limit=2)
    assert (letters.unit, letters.total, letters.too_long) == ("tokens", 5, 1)
    assert letters.examples == (Shown(("a", "b", "c")), Shown(("d", "e")))
    assert letters.warnings == ("1 text of more than 2 tokens, the most this model takes",)
    assert padding_share([4, 4, 2], 12) == pytest.approx(2 / 12)
    assert padding_share([4, 4, 2], 8) == pytest.approx(2 / 12)
    assert padding_share([3, 3], 1) == 0
    assert check_texts("made", ["a"], samples=[4, 2], budget=8).padding == 0.25


def test_labels_are_counted_beside_what_always_saying_one_reaches(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("text\tlabel\n[red]a\t10\nb c\t9\nb c\t9\nd\t9\n")
    rows, reading = read_labelled(path)
    report = check_texts("a.tsv", rows, reading, splits={"test": [Labelled("d", "10"), Labelled("e", "9")]})
    assert report.labels == {"9": 3, "10": 1} and list(report.labels) == ["9", "10"]
    assert (report.majority, report.repeated) == (0.75, 1)
    assert report.examples[0] == Shown(("[red]a",), "10")
    assert report.warnings == (
        "labels are {9, 10}; mapped to 0, 1 and saved",
        "1 of 2 texts in test stand in this data too: figures there will flatter",
    )
    text = " ".join(shown(report).split())
    for figure in ("a.tsv", "[red]a", "75.0%", "always the most frequent: 75.0% right", "! labels are {9, 10}"):
        assert figure in text
    assert json.loads(json.dumps(report.to_dict()))["labels"] == {"9": 3, "10": 1}


def test_pairs_are_one_text(tmp_path):
    report = check_texts("made", [Labelled("a b", "x", "c"), Labelled("a b", "y", "d"), Labelled("a b", "x")])
    assert (report.repeated, report.total, report.lengths.longest) == (0, 8, 3)
    assert report.examples[0] == Shown(("a", "b", "c"), "x")


def test_what_reading_found_is_told(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{}\n')
    documents, reading = read_documents(path, on_bad="skip")
    report = check_texts("a.jsonl", documents, reading)
    assert (report.rows, report.used, report.dropped) == (2, 1, 1)
    assert "1 row left out" in shown(report) and "padding" in shown(report)


def test_no_texts_are_no_data():
    with pytest.raises(DataError, match="made holds no texts"):
        check_texts("made", [])
