"""The first screen of a training says what is in the data, in numbers that can be counted by hand."""

import io
import json

import pytest
from rich.console import Console

from qkv.base.errors import DataError
from qkv.data.pairs import Pair
from qkv.data.parallel import read_pairs
from qkv.data.report import Example, Lengths, Overlap, check_pairs, screen
from qkv.text.tokenizer import train_tokenizer
from qkv.verbs.check_data import check_data

PAIRS = [Pair(" ".join(["w"] * n), " ".join(["v"] * (2 * n))) for n in range(1, 101)]


def shown(report, width=120):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(screen(report))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_lengths_are_counted_in_words_without_tokenizers():
    report = check_pairs("made", PAIRS)
    assert (report.unit, report.rows, report.used, report.dropped, report.repeated) == ("words", 100, 100, 0, 0)
    assert report.source == Lengths(50, 90, 99, 100) and report.target == Lengths(100, 180, 198, 200)
    assert report.examples[0] == Example(("w",), ("v", "v"))
    assert len(report.examples[1].source) == 51 and len(report.examples[2].source) == 100
    assert report.warnings == ()


def test_examples_are_what_the_model_sees():
    tokenizers = (train_tokenizer("words", ["March 3"]), train_tokenizer("chars", ["3 mars"]))
    report = check_pairs("made", [Pair("March 34", "3 mai")], tokenizers=tokenizers)
    assert report.unit == "tokens"
    assert report.examples == (Example(("March", "3", "<unk>"), ("3", " ", "m", "a", "<unk>")),)
    assert report.warnings == (
        "33.3% of the source tokens are unknown to the tokenizer",
        "20.0% of the target tokens are unknown to the tokenizer",
    )


def test_sides_longer_than_the_model_takes_are_counted():
    report = check_pairs("made", PAIRS, limit=180)
    assert report.too_long == 10
    assert report.warnings == ("10 pairs have a side of more than 180 words, the most this model takes",)
    assert "the model takes 180; 10 pairs are longer" in " ".join(shown(report).split())


def test_overlap_with_another_split_is_told_by_pair_and_by_source():
    test = [Pair("a", "b"), Pair("a", "c"), Pair("d", "e")]
    report = check_pairs("train", [Pair("a", "b"), Pair("x", "y")], splits={"test": test, "validation": PAIRS})
    assert report.overlaps == (Overlap("test", 3, 1, 2), Overlap("validation", 100, 0, 0))
    assert report.warnings == ("2 of 3 sources in test stand in this data too: figures there will flatter",)


def test_the_verb_reports_both_files(tmp_path):
    (tmp_path / "train.tsv").write_text("a\tb\na\tb\nbad\nsame\tsame\n")
    (tmp_path / "test.tsv").write_text("a\tb\nc\td\n")
    with pytest.raises(DataError, match="line 3"):
        check_data(tmp_path / "train.tsv", against=tmp_path / "test.tsv")
    report = check_data(tmp_path / "train.tsv", against=tmp_path / "test.tsv", on_bad="skip")
    assert (report.rows, report.used, report.dropped, report.repeated) == (4, 3, 1, 1)
    assert report.overlaps == (Overlap("test.tsv", 2, 1, 1),)
    assert [warning.split(" ", 2)[2] for warning in report.warnings] == [
        "left out; the first is line 3: 1 column instead of 2 (source, TAB, target): 'bad'",
        "with source and target equal (line 4)",
        "the same as one further up (line 2)",
        "2 sources in test.tsv stand in this data too: figures there will flatter",
    ]
    data = json.loads(json.dumps(report.to_dict()))
    assert data["overlaps"] == [{"split": "test.tsv", "n_pairs": 2, "same_pair": 1, "same_source": 1}]
    assert data["source"] == {"p50": 1, "p90": 1, "p99": 1, "longest": 1}
    text = shown(report)
    for figure in ("train.tsv", "rows read", "test.tsv", "! 1 row left out", "50 %", "source, in words"):
        assert figure in text


def test_data_is_shown_as_text_with_invisible_characters_spelled_out(tmp_path):
    (tmp_path / "[red]x.tsv").write_text("[bold]a[/bold]\u202e \x1b[31m\tb\u00a0c\n[/]\tx\n")
    pairs, reading = read_pairs(tmp_path / "[red]x.tsv")
    tokenizers = (train_tokenizer("chars", [p.source for p in pairs]), train_tokenizer("words", ["b\u00a0c"]))
    for report in (check_pairs(reading.name, pairs, reading), check_pairs("x", pairs, reading, tokenizers=tokenizers)):
        text = shown(report)
        assert not set("\x1b\u202e") & set(text)
        assert r"\x1b" in text and r"\u202e" in text
    text = shown(check_pairs(reading.name, pairs, reading, splits={"[blink]": pairs}))
    assert "[red]x.tsv" in text and "[bold]a[/bold]" in text and "[/]" in text and "[blink]" in text


def test_tokens_are_parted_by_strokes_and_lone_spaces_shown():
    tokenizer = train_tokenizer("words", ["a  b"])
    assert "a | ␣ | b" in shown(check_pairs("made", [Pair("a  b", "a")], tokenizers=(tokenizer, tokenizer)))


def test_no_pairs_are_no_data():
    with pytest.raises(DataError, match="empty holds no pairs"):
        check_pairs("empty", [])
