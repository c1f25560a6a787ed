"""Documents are read as they stand; what is no text is refused with its place."""

import gzip
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from qkv.base.errors import DataError
from qkv.data.rows import Dropped
from qkv.data.text import open_documents, read_documents, split_documents


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def read(path: Path, **options: Any) -> list[str]:
    return read_documents(path, **options)[0]


def refusal(path: Path | str, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        read_documents(path, **options)
    return str(error.value)


@pytest.mark.parametrize(
    ("data", "documents"),
    [
        ("a\nb\n\nc\n", ["a\nb", "c"]),
        ("\n\n a\n \t\n\n\nb", [" a", "b"]),
        ("\ufeffa\r\nb\r\n\r\nc", ["a\nb", "c"]),
        ("a\u2028b\u0085c\x0cd\n", ["a\u2028b\u0085c\x0cd"]),
        ('"\n\n"', ['"', '"']),
        ("NA\n\nnull", ["NA", "null"]),
    ],
)
def test_blank_lines_part_documents_and_line_feeds_lines(data, documents, tmp_path, monkeypatch):
    assert read(write(tmp_path / "a.txt", data)) == documents
    assert read(write(tmp_path / "a.txt.gz", gzip.compress(data.encode()))) == documents
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data.encode())))
    found, reading = read_documents("-")
    assert (found, reading.name, reading.rows) == (documents, "stdin", len(documents))


def test_jsonl_keeps_line_breaks_inside_a_document(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "a\\n\\nb"}\n{"id": 1, "text": "null", "url": "x"}\n')
    documents, reading = read_documents(path)
    assert documents == ["a\n\nb", "null"]
    assert reading.warnings == ["keys beside text are not read: id, url"]


def test_a_folder_holds_one_document_in_each_file(tmp_path):
    write(tmp_path / "corpus" / "b.txt", "two\n\nparts\n")
    write(tmp_path / "corpus" / "a.txt.gz", gzip.compress(b"one"))
    write(tmp_path / "corpus" / "c.md", "no")
    documents, reading = read_documents(tmp_path / "corpus")
    assert documents == ["one", "two\n\nparts"]
    assert reading.warnings == ["1 file not .txt and not read, first c.md"]
    write(tmp_path / "corpus" / "c.txt", b"a\n\xe9")
    assert refusal(tmp_path / "corpus") == (
        f"{tmp_path}/corpus: 1 of 3 rows cannot be used; mend them, or leave them out with --on-bad skip:\n"
        "  file 3: c.txt, line 2, byte 1 (0xe9) is not UTF-8, after ''"
    )
    assert len(read(tmp_path / "corpus", on_bad="skip")) == 2
    write(tmp_path / "empty" / "x.csv", "a")
    assert refusal(tmp_path / "empty") == f"{tmp_path}/empty holds no .txt files."


def test_bytes_that_are_not_utf8_are_named_with_line_and_byte(tmp_path):
    path = write(tmp_path / "a.txt", b"one\n\ntwo\nth\xffree\n\nfour")
    assert refusal(path).endswith("  line 3: line 4, byte 3 (0xff) is not UTF-8, after 'th'")
    documents, reading = read_documents(path, on_bad="skip")
    assert documents == ["one", "four"]
    assert (reading.rows, reading.dropped) == (3, (Dropped(3, "line 4, byte 3 (0xff) is not UTF-8, after 'th'"),))
    assert reading.warnings[0].startswith("1 row left out; the first is line 3: line 4, byte 3")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "no JSON (Expecting property name enclosed in double quotes at character 2): '{'"),
        ("[1]", "no object with a text: '[1]'"),
        ('{"txt": "a"}', 'no "text" in an object with txt'),
        ("{}", 'no "text" in an object with nothing'),
        ('{"text": 3}', "text is no string: '3'"),
        ('{"text": null}', "text is no string: 'null'"),
        ('{"text": " "}', "text is empty (white space: ' ')"),
        ('{"text": "\\ud800"}', "text holds half a character: '\\ud800'"),
        ('{"text": "a", "text": "b"}', "a key stands twice in one object: text, text"),
        ("", "no JSON (Expecting value at character 1): ''"),
    ],
)
def test_every_bad_line_of_jsonl_gets_its_message(line, told, tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "fine"}\n' + line + "\n")
    assert refusal(path) == (
        f"{path}: 1 of 2 rows cannot be used; mend them, or leave them out with --on-bad skip:\n  line 2: {told}"
    )
    assert read(path, on_bad="skip") == ["fine"]


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.txt", "", "is empty."),
        ("a.txt", " \n\n", "holds no text, only blank lines."),
        ("a.txt", "a\0b", "is binary, not text: byte 2 is zero."),
        ("a.txt", b"\xff\xfea\0", "is UTF-16: save it as UTF-8."),
        ("a.txt", "version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer, not the data"),
        ("a.txt", "<!DOCTYPE html><p>", "is an HTML page: the download was an error page."),
        ("a.tsv", "a\tb", "is no plain text: give .txt, or .jsonl"),
        ("a.json", "[]", "is no plain text: give .txt, or .jsonl"),
    ],
)
def test_what_is_no_text_is_refused_by_what_it_is(name, data, told, tmp_path):
    path = write(tmp_path / name, data)
    assert refusal(path).startswith(f"{path} {told}")


def test_a_file_that_is_not_there(tmp_path):
    write(tmp_path / "corpus.txt", "a")
    assert refusal(tmp_path / "corpsu.txt") == f'There is no file {tmp_path}/corpsu.txt. Did you mean "corpus.txt"?'


def test_a_document_keeps_its_side_whatever_stands_beside_it():
    documents = [f"document {i}" for i in range(400)]
    train, held = split_documents(documents)
    assert 20 < len(held) < 70 and sorted(train + held) == sorted(documents)
    again, held_again = split_documents([*documents[::-2], *documents[:10], "new"])
    assert set(held_again) <= {*held, "new"} and set(again) <= {*train, "new"}
    assert split_documents(documents)[1] == held


def test_few_documents_are_parted_and_one_is_not(tmp_path):
    train, held = split_documents(["a", "b", "b"])
    assert len(set(held)) == 1 and sorted(train + held) == ["a", "b", "b"]
    with pytest.raises(DataError, match=r"one\.txt is one document.*--valid"):
        open_documents(str(write(tmp_path / "one.txt", "a\nb")))
    splits = open_documents(str(tmp_path / "one.txt"), valid=str(write(tmp_path / "two.txt", "c\n\nd")))
    assert (splits.train, splits.validation) == (["a\nb"], ["c", "d"])
    assert splits.reading is not None and splits.reading.rows == 1
