"""Rows with labels are read as they stand: no quoting, nothing guessed, every refusal with its line."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from qkv.base.errors import ConfigError, DataError
from qkv.data.labelled import Labelled, open_labelled, read_labelled, sort_labels, tell_labels


def write(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def refusal(path: Path | str, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        read_labelled(path, **options)
    return str(error.value)


ROWS = [Labelled('a "quote', "pos"), Labelled("NA", "neg"), Labelled("null", "pos"), Labelled("it's", "neg")]
TEXT = "text\tlabel\n" + "".join(f"{row.text}\t{row.label}\n" for row in ROWS)


def test_quotes_merge_no_rows_and_na_and_null_are_texts(tmp_path):
    for data in (TEXT, "\ufeff" + TEXT, TEXT.replace("\n", "\r\n")):
        rows, reading = read_labelled(write(tmp_path / "a.tsv", data))
        assert rows == ROWS
        assert (reading.rows, reading.warnings) == (4, [])
    assert read_labelled(write(tmp_path / "a.tsv.gz", gzip.compress(TEXT.encode())))[0] == ROWS
    assert len(read_labelled(write(tmp_path / "b.tsv", "text\tlabel\na\u2028b\u0085\tx\nc\ty\n"))[0]) == 2


@pytest.mark.parametrize(
    ("first", "row", "columns"),
    [
        ("label\tid\ttext", "pos\t7\tfine", None),
        ("id\tsentence\tscore", "7\tfine\tpos", "sentence,score"),
        (None, "gj04\tpos\t*\tfine", "4,2"),
    ],
)
def test_columns_by_header_name_or_number(first, row, columns, tmp_path):
    path = write(tmp_path / "a.tsv", "\n".join(line for line in (first, row, row) if line))
    assert read_labelled(path, columns=columns)[0] == [Labelled("fine", "pos")] * 2


def test_pairs(tmp_path):
    path = write(tmp_path / "a.tsv", "label\ttext_a\ttext_b\n1\tone\ttwo\n")
    assert read_labelled(path)[0] == [Labelled("one", "1", "two")]
    assert read_labelled(path, columns="text_b,text_a,label")[0] == [Labelled("two", "1", "one")]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("fine", "1 column instead of 2: 'fine'"),
        ("fine\tpos\tmore", "3 columns instead of 2: 'fine\\tpos\\tmore'"),
        ("fine\t", "no label: 'fine'"),
        ("fine\t ", "no label: 'fine'"),
        ("\tpos", "the text is empty"),
        (" \tpos", "the text is empty (white space: ' ')"),
        ("", "1 column instead of 2: ''"),
        (b"\xe9t\xe9\tpos", "byte 1 (0xe9) is not UTF-8, after ''"),
    ],
)
def test_every_bad_row_gets_its_message(row, told, tmp_path):
    raw = row if isinstance(row, bytes) else row.encode()
    path = write(tmp_path / "a.tsv", b"text\tlabel\nok\tneg\n" + raw + b"\nok too\tpos\n")
    assert refusal(path) == (
        f"{path}: 1 of 3 rows cannot be used; mend them, or leave them out with --on-bad skip:\n  line 3: {told}"
    )
    rows, reading = read_labelled(path, on_bad="skip")
    assert [one.text for one in rows] == ["ok", "ok too"]
    assert reading.warnings == [f"1 row left out; the first is line 3: {told}"]


def test_files_without_the_columns_are_refused(tmp_path):
    assert "names no column label: 'index\\tsentence'" in refusal(write(tmp_path / "test.tsv", "index\tsentence\n0\ta"))
    assert "--columns 4,2" in refusal(write(tmp_path / "test.tsv", "a\tb\n0\ta"))
    assert "names no column text, nor text_a and text_b" in refusal(write(tmp_path / "t.tsv", "a\tlabel\n0\ta"))
    path = write(tmp_path / "a.tsv", TEXT)
    assert refusal(path, columns="txet,label") == (
        f'{path} has no column "txet": it has text, label. Did you mean "text"?'
    )
    assert refusal(path, columns="1,3") == f"{path} has 2 columns; --columns 1,3 asks for others."
    assert 'more than one column "text"' in refusal(write(tmp_path / "b.tsv", "text\ttext\tlabel\na\tb\tc"))
    assert "names the columns, and no rows" in refusal(write(tmp_path / "c.tsv", "text\tlabel\n"))
    assert refusal(write(tmp_path / "d.tsv", b"te\xffxt\tlabel\n")) == (
        f"{tmp_path}/d.tsv, line 1: byte 3 (0xff) is not UTF-8, after 'te'."
    )
    for columns in ("1", "1,1", "a,b,c,d"):
        with pytest.raises(ConfigError, match="give two or three that differ"):
            read_labelled(path, columns=columns)


def test_oddities_are_told(tmp_path):
    data = "text\tlabel\na\tx\nb\ty\na\ty\nc\tx\n"
    _, reading = read_labelled(write(tmp_path / "a.tsv", data), columns="1,2")
    assert reading.warnings == [
        "label 'label' stands in line 1 alone: does that line name the columns?",
        "1 text with another label than further up (line 4)",
    ]
    many = "text\tlabel\n" + "".join(f"x\t{i}\n" for i in range(30))
    assert (
        "30 labels in 30 rows: is this the label's column?" in read_labelled(write(tmp_path / "b.tsv", many))[1].notes
    )
    case = "text\tlabel\na\tPos\nb\tpos\n"
    assert read_labelled(write(tmp_path / "c.tsv", case))[1].notes == (
        "labels that differ only in case or white space: 'pos'",
    )


def test_labels_are_sorted_and_what_they_become_is_told():
    assert sort_labels(["b", "a", "b"]) == ("a", "b")
    assert sort_labels(["10", "9", "1"]) == ("1", "9", "10")
    assert sort_labels(["-1", "1"]) == ("-1", "1")
    assert sort_labels(["10", "9", "x"]) == ("10", "9", "x")
    assert tell_labels(("1", "2")) == "labels are {1, 2}; mapped to 0, 1 and saved"
    assert tell_labels(("neg", "pos")) == "labels are {neg, pos}; mapped to 0, 1 and saved"
    assert tell_labels(("0", "1", "2")) == ""
    assert tell_labels([str(i) for i in range(1, 31)]).startswith(
        "labels are {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, …}"
    )


def many(n: int, n_labels: int = 2) -> str:
    return "text\tlabel\n" + "".join(f"text {i}\t{i % n_labels + 1}\n" for i in range(n))


def test_every_tenth_row_is_held_out_by_its_text(tmp_path):
    splits = open_labelled(str(write(tmp_path / "a.tsv", many(400))))
    assert splits.labels == ("1", "2")
    assert 20 < len(splits.validation) < 70 and len(splits.train) + len(splits.validation) == 400
    again = open_labelled(str(write(tmp_path / "b.tsv", many(410))))
    assert {row.text for row in splits.validation} <= {row.text for row in again.validation}


def test_splits_that_cannot_be_made_are_refused(tmp_path):
    with pytest.raises(DataError, match="has one label, 1: there is nothing to tell apart"):
        open_labelled(str(write(tmp_path / "a.tsv", many(50, 1))))
    few = str(write(tmp_path / "b.tsv", many(2)))
    with pytest.raises(DataError, match="2 rows: too few to hold some out"):
        open_labelled(few)
    splits = open_labelled(few, valid=few)
    assert splits.validation == splits.train
    strange = write(tmp_path / "c.tsv", "text\tlabel\na\t1\nb\t3\n")
    with pytest.raises(DataError, match="line 3: label '3' is none of 1, 2"):
        open_labelled(few, valid=str(strange))
