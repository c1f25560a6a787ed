"""Parallel text is read as it stands, and what breaks its form gets a sentence that says where and what to do."""

import gzip
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qkv.base.errors import DataError, UnsupportedError
from qkv.data.pairs import Link, Pair
from qkv.data.parallel import read_pairs, write_pairs

GOOD = [Pair("Monday", "lundi"), Pair("a dog", "un chien")]
WORDS = ["sea", "the old house", "Tuesday", "my neighbour's very long garden fence", "light", "international airport"]


def write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def refusal(path, **options):
    with pytest.raises(DataError) as error:
        read_pairs(path, **options)
    return str(error.value)


# What is text stays text


def test_a_stray_quote_and_the_words_na_and_null_are_text(tmp_path):
    rows = ['"Monday\tlundi', "NA\tNA", "null\tnul", 'say "hi"\tdis "salut', "'\t''"]
    pairs, report = read_pairs(write(tmp_path / "a.tsv", "\n".join(rows) + "\n"))
    assert [f"{pair.source}\t{pair.target}" for pair in pairs] == rows
    assert (report.rows, report.dropped) == (5, ())


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\r"])
def test_only_line_feeds_end_lines(tmp_path, sign):
    source, target = f"one{sign}two", "un"
    for suffix, text in (("src", f"{source}\nb\n"), ("tgt", f"{target}\nc\n")):
        write(tmp_path / f"a.{suffix}", text)
    write(tmp_path / "a.tsv", f"{source}\t{target}\nb\tc\n")
    for path in ("a.src", "a.tsv"):
        assert read_pairs(tmp_path / path)[0] == [Pair(source, target), Pair("b", "c")]


def test_byte_order_mark_and_carriage_returns_are_stripped(tmp_path):
    path = write(tmp_path / "a.tsv", b"\xef\xbb\xbfMonday\tlundi\r\na dog\tun chien")
    assert read_pairs(path)[0] == GOOD


def test_spaces_and_composition_are_left_alone(tmp_path):
    pair = Pair(" a\u00a0", "e\u0301 é  ")
    assert read_pairs(write(tmp_path / "a.tsv", f"{pair.source}\t{pair.target}\n"))[0] == [pair]


# Forms


@pytest.mark.parametrize("zipped", [False, True])
def test_every_form_gives_the_same_pairs(tmp_path, zipped):
    texts = {
        "a.tsv": "Monday\tlundi\na dog\tun chien\n",
        "a.jsonl": '{"source": "Monday", "target": "lundi"}\n{"target": "un chien", "source": "a dog"}\n',
        "a.src": "Monday\na dog\n",
        "a.tgt": "lundi\nun chien\n",
        "train.en": "Monday\na dog\n",
        "train.fr": "lundi\nun chien\n",
    }
    end = ".gz" if zipped else ""
    for name, text in texts.items():
        write(tmp_path / (name + end), gzip.compress(text.encode()) if zipped else text)
    for path in ("a.tsv", "a.jsonl", "a.src", "a.tgt"):
        assert read_pairs(tmp_path / (path + end))[0] == GOOD, path
    pairs, report = read_pairs(f"{tmp_path}/train.en{end},{tmp_path}/train.fr{end}")
    assert (pairs, report.name) == (GOOD, f"train.en{end} + train.fr{end}")


def test_links_come_with_jsonl(tmp_path):
    row = {"source": "March 3", "target": "3 mars", "links": [[[0, 5], [2, 6]], [[6, 7], [0, 1]]]}
    assert read_pairs(write(tmp_path / "a.jsonl", json.dumps(row)))[0] == [
        Pair("March 3", "3 mars", (Link((0, 5), (2, 6)), Link((6, 7), (0, 1))))
    ]


def test_the_missing_half_is_named(tmp_path):
    write(tmp_path / "a.src", "a\n")
    assert refusal(tmp_path / "a.src").startswith(f"There is no file {tmp_path}/a.tgt.")
    assert refusal(tmp_path) == f"{tmp_path} is a folder; give a file."


def test_an_unknown_form_is_told_what_is_read(tmp_path):
    assert "use .tsv, .jsonl, .src beside .tgt" in refusal(write(tmp_path / "a.csv", "a,b\n"))
    assert "names 3 files" in refusal("a.en,a.fr,a.de")


# Rows that cannot be used


def test_a_wrong_number_of_columns(tmp_path):
    message = refusal(write(tmp_path / "a.tsv", "a\tb\none\n\nx\ty\tz\n"))
    assert message.splitlines() == [
        f"{tmp_path}/a.tsv: 3 of 4 rows cannot be used; mend them, or leave them out with --on-bad skip:",
        "  line 2: 1 column instead of 2 (source, TAB, target): 'one'",
        "  line 3: 1 column instead of 2 (source, TAB, target): ''",
        r"  line 4: 3 columns instead of 2 (source, TAB, target): 'x\ty\tz'",
    ]


def test_an_empty_side(tmp_path):
    message = refusal(write(tmp_path / "a.tsv", "a\t\n\tb\n \u00a0\tb\nc\td\n"))
    assert "line 1: target is empty\n" in message and "line 2: source is empty\n" in message
    assert r"line 3: source is empty (white space: ' \xa0')" in message
    write(tmp_path / "a.src", "a\n\nc\n")
    write(tmp_path / "a.tgt", "a\nb\nc\n")
    assert "a.src + " in refusal(tmp_path / "a.src") and "line 2: source is empty" in refusal(tmp_path / "a.src")


def test_bytes_that_are_not_utf8(tmp_path):
    message = refusal(write(tmp_path / "a.tsv", b"ok\tgut\nsummer\t\xe9t\xe9\n"))
    assert r"line 2: byte 8 (0xe9) is not UTF-8, after 'summer\t'" in message
    write(tmp_path / "a.src", b"a\nb\n")
    write(tmp_path / "a.tgt", b"\xed\xa0\x80\nb\n")
    assert "line 1: target: byte 1 (0xed) is not UTF-8" in refusal(tmp_path / "a.src")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", r"no JSON \(Expecting property name.* at character 2\): '{'"),
        ("", "no JSON"),
        ("[" * 100_000, "no JSON that can be read"),
        ('{"source": ' + "1" * 5000 + "}", "no JSON that can be read"),
        ("[]", "no object"),
        ('{"source": "a"}', "keys source instead of source, target and at most links"),
        ('{"translation": {"en": "a"}}', "keys translation instead"),
        ('{"source": "a", "target": "b", "id": 1}', "keys source, target, id instead"),
        ('{"source": "a", "source": "c", "target": "b"}', "a key stands twice"),
        ('{"source": "a", "target": null}', "target is no string: 'null'"),
        ('{"source": "a", "target": ""}', "target is empty"),
        ('{"source": "\\ud800", "target": "b"}', r"source holds half a character: '\\ud800'"),
        ('{"source": "a", "target": "b", "links": null}', "links are a list of .* not 'null'"),
        ('{"source": "a", "target": "b", "links": [[[0, 1]]]}', "links are a list of"),
        ('{"source": "a", "target": "b", "links": [[[0, 1], [0, "1"]]]}', "links are a list of"),
        (
            '{"source": "a", "target": "b", "links": [[[0, 1], [0, 2]]]}',
            r"link of the target, \[0, 2\], is outside its 1",
        ),
        ('{"source": "a", "target": "b", "links": [[[1, 1], [0, 1]]]}', r"link of the source, \[1, 1\], is outside"),
    ],
)
def test_json_that_is_no_pair(tmp_path, row, reason):
    path = write(tmp_path / "a.jsonl", '{"source": "a", "target": "b"}\n' + row + "\n")
    with pytest.raises(DataError, match=f"line 2: .*{reason}"):
        read_pairs(path)
    assert read_pairs(path, on_bad="skip")[0] == [Pair("a", "b")]


def test_many_bad_rows_are_told_at_once_five_of_them_shown(tmp_path):
    path = write(tmp_path / "a.tsv", "a\tb\n" + "bad\n" * 1200)
    told = refusal(path).splitlines()
    assert "1,200 of 1,201 rows" in told[0] and told[1].startswith("  line 2:") and told[5].startswith("  line 6:")
    assert told[6:] == ["  and 1,195 more"]


def test_bad_rows_can_be_left_out_and_are_reported(tmp_path):
    path = write(tmp_path / "a.tsv", "Monday\tlundi\nbad\na dog\tun chien\n\xff\n")
    pairs, report = read_pairs(path, on_bad="skip")
    assert pairs == GOOD
    assert (report.rows, [row.line for row in report.dropped]) == (4, [2, 4])
    assert "2 rows left out; the first is line 2: 1 column instead of 2" in report.warnings[0]


def test_a_file_without_a_good_row_cannot_be_skipped_away(tmp_path):
    message = refusal(write(tmp_path / "a.tsv", "bad\nworse\n"), on_bad="skip")
    assert "2 of 2 rows" in message and "--on-bad" not in message


# Files of unequal length


@pytest.mark.parametrize("on_bad", ["raise", "skip"])
@pytest.mark.parametrize("shorter", ["src", "tgt"])
def test_unequal_files_name_the_first_suspicious_pair(tmp_path, on_bad, shorter):
    sources = [f"{WORDS[i * i % 6]} {WORDS[i * 5 % 6]} {i}" for i in range(1000)]
    sides = {"src": sources, "tgt": [text.upper() + "e" for text in sources]}
    del sides[shorter][411]
    for suffix, texts in sides.items():
        write(tmp_path / f"a.{suffix}", "\n".join(texts) + "\n")
    counts = {"src": "a.src 1,000 lines, {0}/a.tgt 999", "tgt": "a.src 1,000 lines, {0}/a.tgt 999"}
    counts["src"] = "a.src 999 lines, {0}/a.tgt 1,000"
    message = refusal(tmp_path / "a.src", on_bad=on_bad)
    assert f"{counts[shorter].format(tmp_path)}: first suspicious pair at 412." in message


def test_a_file_cut_short_is_suspicious_at_its_end(tmp_path):
    texts = [WORDS[i * i % 6] + str(i) for i in range(50)]
    write(tmp_path / "a.src", "\n".join(texts))
    write(tmp_path / "a.tgt", "\n".join(texts[:40]))
    assert "first suspicious pair at 41." in refusal(tmp_path / "a.src")


# Oddities are reported, not dropped


def test_identical_repeated_and_lopsided_pairs_are_reported_and_kept(tmp_path):
    rows = [f"{word} number {i}\t{word} numéro {i}" for i, word in enumerate(WORDS)]
    rows += ["OK\tOK", rows[0], f"cut\t{'much longer than it should be ' * 3}", rows[0], "Hi\tBonjour, monsieur"]
    pairs, report = read_pairs(write(tmp_path / "a.tsv", "\n".join(rows)))
    assert len(pairs) == len(rows) and not report.dropped
    assert (report.identical, report.repeated, report.lopsided) == ((7,), (8, 10), (9,))
    assert report.warnings == [
        "1 pair with source and target equal (line 7)",
        "2 pairs the same as one further up (lines 8, 10)",
        "1 pair with one side much longer than the other; cut off, or shifted? (line 9)",
    ]


def test_languages_of_different_length_are_not_lopsided(tmp_path):
    rows = [f"{'wort' * (i % 9 + 3)}\t{'字' * (i % 9 + 3)}" for i in range(40)]
    assert read_pairs(write(tmp_path / "a.tsv", "\n".join(rows)))[1].lopsided == ()


# Writing

sides = st.text(min_size=1, max_size=12).filter(str.strip)


@given(st.lists(st.tuples(sides, sides, st.sampled_from([None, 0, 1, 2])), min_size=1, max_size=5))
def test_jsonl_returns_every_pair(tmp_path_factory, rows):
    link = Link((0, 1), (0, 1))
    pairs = [Pair(source, target, None if n is None else (link,) * n) for source, target, n in rows]
    path = tmp_path_factory.getbasetemp() / "written.jsonl"
    write_pairs(path, pairs)
    assert read_pairs(path)[0] == pairs


@given(sides, sides)
def test_tsv_returns_the_pair_or_refuses_it(tmp_path_factory, source, target):
    path = tmp_path_factory.getbasetemp() / "written.tsv"
    try:
        write_pairs(path, [Pair(source, target)])
    except DataError as error:
        assert "write .jsonl" in str(error)
        assert set("\t\n\0\r\ufeff") & set(source + target)
    else:
        assert read_pairs(path)[0] == [Pair(source, target)]


def test_what_cannot_be_written_is_refused_before_the_file_is_touched(tmp_path):
    path = write(tmp_path / "a.tsv", "old")
    with pytest.raises(DataError, match=r"Pair 2 cannot be written to .*tabs.*'c\\td\\te'; write \.jsonl"):
        write_pairs(path, [GOOD[0], Pair("c\td", "e")])
    with pytest.raises(DataError, match=r"Pair 1 cannot be written .*target is empty"):
        write_pairs(path, [Pair("a", " ")])
    with pytest.raises(DataError, match="half a character"):
        write_pairs(tmp_path / "a.jsonl", [Pair("a", "\udc80")])
    with pytest.raises(DataError, match="no pairs to write"):
        write_pairs(path, [])
    with pytest.raises(UnsupportedError, match=r"as \.tsv or \.jsonl, not as a\.csv"):
        write_pairs(tmp_path / "a.csv", GOOD)
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.tsv"]
