"""Lines are read as they stand; a file that is no text is refused by what it is."""

import gzip
import os

import pytest

from qkv.base.errors import DataError
from qkv.data import lines
from qkv.data.lines import decode_line, read_lines, show


def write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def refusal(path):
    with pytest.raises(DataError) as error:
        read_lines(path)
    return str(error.value)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a\nb", [b"a", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"a\n\n", [b"a", b""]),
        (b"\n", [b""]),
        (b"\xef\xbb\xbfa\r\r\n\xef\xbb\xbf", [b"a\r", b"\xef\xbb\xbf"]),
        ("a\u2028b\u0085c\x0cd\n".encode(), ["a\u2028b\u0085c\x0cd".encode()]),
    ],
)
def test_lines_end_at_line_feeds_alone(tmp_path, data, expected):
    assert read_lines(write(tmp_path / "a.txt", data)) == expected
    assert read_lines(write(tmp_path / "a.txt.gz", gzip.compress(data, mtime=0))) == expected


def test_a_byte_that_is_not_utf8_is_named_with_its_place():
    assert decode_line("été".encode()) == "été"
    with pytest.raises(DataError, match=r"byte 3 \(0xe9\) is not UTF-8, after 'é'"):
        decode_line(b"\xc3\xa9\xe9t")


def test_text_is_shown_on_one_line_and_cut():
    assert show("a\n\x1b[31m\u202e") == r"'a\n\x1b[31m\u202e'"
    assert show("x" * 61) == f"'{'x' * 59}…'"


def test_folders_missing_empty_and_binary_files(tmp_path):
    write(tmp_path / "names.tsv", "a\tb\n")
    assert refusal(tmp_path) == f"{tmp_path} is a folder; give a file."
    assert refusal(tmp_path / "nmaes.tsv") == f'There is no file {tmp_path}/nmaes.tsv. Did you mean "names.tsv"?'
    assert refusal(tmp_path / "none" / "x.tsv") == f"There is no file {tmp_path}/none/x.tsv."
    assert refusal(write(tmp_path / "e.tsv", "")) == f"{tmp_path}/e.tsv is empty."
    assert refusal(write(tmp_path / "e.tsv", b"\xef\xbb\xbf")) == f"{tmp_path}/e.tsv is empty."
    assert refusal(write(tmp_path / "b.tsv", b"a\tb\nc\0")) == f"{tmp_path}/b.tsv is binary, not text: byte 6 is zero."


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("a\tb\n".encode("utf-16"), "UTF-16: save it as UTF-8"),
        (b"PK\x03\x04xx", "a zip archive or a spreadsheet"),
        (gzip.compress(b"a\tb\n", mtime=0), "compressed by gzip: give it a name that ends in .gz"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer, not the data: run git lfs pull"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
    ],
)
def test_files_that_are_something_else_are_recognised(tmp_path, data, reason):
    assert f"a.tsv is {reason}" in refusal(write(tmp_path / "a.tsv", data))


def test_damaged_archives(tmp_path, monkeypatch):
    whole = gzip.compress(b"a\tb\n" * 1000, mtime=0)
    for data in (b"a\tb\n", whole[:-20], whole[:20] + b"\xff\xff" + whole[22:]):
        assert "a.tsv.gz is damaged or not made by gzip" in refusal(write(tmp_path / "a.tsv.gz", data))
    monkeypatch.setattr(lines, "_FREE_SIZE", 1000)
    assert "grows to more than" in refusal(write(tmp_path / "a.tsv.gz", gzip.compress(b"\t" * 10**6, mtime=0)))


def test_files_that_may_not_be_read(tmp_path, monkeypatch):
    path = write(tmp_path / "a.tsv", "a\tb\n")

    def refuse(_):
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    assert refusal(path) == f"{path} cannot be read: Permission denied."
