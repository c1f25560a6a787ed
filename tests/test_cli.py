"""The command line as people meet it: results on stdout, all else on stderr, a sentence for every mistake."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from qkv import __version__
from qkv.base.errors import QkvError
from qkv.data.cldr import load_cldr
from qkv.data.parallel import write_pairs
from verbs.command_line import in_process, start
from verbs.small_runs import PAIRS, save_model, write_words

COMMANDS = ("demo", "train", "translate", "evaluate", "data check", "models", "info", "doctor", "lineage")


@pytest.fixture
def qkv(capsys, monkeypatch, tmp_path):
    return in_process(capsys, monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return save_model(tmp_path_factory.mktemp("saved") / "model")


def test_a_tsv_of_ones_own_is_checked_trained_on_translated_and_scored(qkv, tmp_path):
    write_pairs(tmp_path / "names.tsv", load_cldr("names", "en", "fr")[:150])
    write_pairs(tmp_path / "test.tsv", load_cldr("names", "en", "fr", split="test")[:9])
    checked = qkv("data", "check", "names.tsv", "--against", "test.tsv")
    assert checked.code == 0
    assert "150" in checked.out
    assert checked.err == ""
    trained = qkv("train", "transformer-tiny", "names.tsv", "--out", "RUN", "--steps", "4", "--warmup", "2")
    assert trained.code == 0, trained.err
    assert trained.out == 'Trained. Next: qkv translate RUN "..."\n'
    assert "RUN: step 4, validation loss" in trained.err
    assert "rows read" in trained.err, "the first screen of a training is what its data is like"
    assert "of the validation tokens are unknown words" in trained.err
    translated = qkv("translate", "RUN", "Thai baht", "France", "--max-tokens", "5")
    assert (translated.code, translated.err) == (0, "")
    assert translated.out.count("\n") == 2
    scored = qkv("evaluate", "RUN", "test.tsv", "--beams", "2")
    assert (scored.code, scored.err) == (0, "")
    assert ["pairs", "9"] in [line.split() for line in scored.out.splitlines()]
    described = qkv("info", "RUN")
    assert "names.tsv" in described.out
    assert described.code == 0


def test_quiet_trains_without_a_word(qkv, tmp_path):
    write_words(tmp_path / "words.tsv")
    assert qkv("train", "rnn-tiny", "words.tsv", "--steps", "2", "--warmup", "1", "-q").err == ""
    again = qkv("train", "rnn-tiny", "words.tsv", "--steps", "2", "--warmup", "1", "-q", "--json")
    assert json.loads(again.out)["folder"] == "runs/rnn-tiny-words-2", "a name that is taken is not written into"


def test_text_that_looks_odd_is_text(qkv, tmp_path):
    """What peers lose: a stray quote joins rows, "NA" becomes None, U+2028 and U+0085 shift lines."""
    rows = ['a "quote\tun', 'b\t"deux', "NA\tnull", "c\u2028d\te\u0085f", "g\th", *(f"w{i}\tm{i}" for i in range(40))]
    (tmp_path / "x.tsv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode() + b"\r\n")
    said = json.loads(qkv("data", "check", "x.tsv", "--json").out)
    assert (said["rows"], said["used"], said["dropped"]) == (45, 45, 0)
    assert said["examples"][0]["source"] == ["a", '"quote']


def test_what_is_only_odd_is_counted_and_shown(qkv, tmp_path):
    rows = [f"word {i}\tmot {i}" for i in range(40)] + ["same\tsame", "word 1\tmot 1", "long\t" + "x" * 300]
    (tmp_path / "x.tsv").write_text("\n".join(rows))
    (tmp_path / "test.tsv").write_text("word 3\tmot 3\nnew\tneuf\n")
    text = qkv("data", "check", "x.tsv", "--against", "test.tsv").out
    assert "1 pair with source and target equal (line 41)" in text
    assert "1 pair the same as one further up (line 42)" in text
    assert "1 pair with one side much longer than the other; cut off, or shifted? (line 43)" in text
    assert "1 of 2 sources in test.tsv stand in this data too" in text


def test_bad_rows_are_left_out_when_asked_and_said(qkv, tmp_path):
    (tmp_path / "x.tsv").write_bytes(b"\n".join(pair.source.encode() + b"\t" + pair.target.encode() for pair in PAIRS))
    with (tmp_path / "x.tsv").open("ab") as file:
        file.write(b"\nno tab\n")
    refused = qkv("data", "check", "x.tsv")
    assert refused.code == 65
    assert "or leave them out with --on-bad skip" in refused.err
    assert "1 row left out; the first is line 217: 1 column" in qkv("data", "check", "x.tsv", "--on-bad", "skip").out
    trained = qkv("train", "rnn-tiny", "x.tsv", "--on-bad", "skip", "--steps", "1", "--warmup", "1")
    assert trained.code == 0
    assert "1 row left out" in trained.err


def test_texts_come_from_stdin(qkv, saved):
    one = qkv("translate", saved, "one red house", "two doors").out
    for arguments in ([], ["-"]):
        said = qkv("translate", saved, *arguments, stdin=b"one red house\r\ntwo doors\n")
        assert (said.code, said.out) == (0, one)
    assert qkv("translate", saved, "-", "--beams", "4", stdin=b"one red house\ntwo doors").out == one
    assert qkv("translate", saved, stdin=b"") == (0, "", ""), "nothing in, nothing out"
    assert qkv("translate", saved, stdin=b"one\n\ntwo\n").err.startswith("Text 2 of 3 is empty")
    assert qkv("translate", saved, "one", "-").code == 2
    bad = qkv("translate", saved, stdin=b"one\ncaf\xe9\n")
    assert bad.code == 65
    assert bad.err.startswith("Line 2 of stdin: byte 4 (0xe9) is not UTF-8")
    assert qkv("translate", saved, "--", "-5 degrees").code == 0
    assert qkv("translate", saved, "-5 degrees").code == 2


def test_alignment_is_drawn(qkv, saved):
    said = qkv("translate", saved, "one red house", "--alignment", "--max-tokens", "3")
    text, *drawn = said.out.splitlines()
    assert text == qkv("translate", saved, "one red house", "--max-tokens", "3").out.removesuffix("\n")
    assert drawn[4].endswith("e d e >"), "the last letters of the source's tokens stand over the columns"
    assert len(drawn) >= 5 + 3


def test_json_holds_what_the_tables_show(qkv, tmp_path, saved):
    write_words(tmp_path / "words.tsv", 40)
    done = json.loads(qkv("translate", saved, "one red house", "two", "--alignment", "--json").out)
    assert [one["source"] for one in done] == ["one red house", "two"]
    assert done[0]["text"] == qkv("translate", saved, "one red house").out.removesuffix("\n")
    alignment = done[0]["alignment"]
    assert alignment["source"] == ["one", "red", "house", "</s>"]
    assert len(alignment["weights"]) == len(alignment["target"])
    assert all(abs(sum(row) - 1) < 1e-4 for row in alignment["weights"])

    report = json.loads(qkv("evaluate", saved, "words.tsv", "--json").out)
    text = qkv("evaluate", saved, "words.tsv").out
    for key in ("chrf", "bleu", "exact"):
        assert f"{report[key]:.2f}" in text, key
    assert report["chrf_signature"] in text
    assert report["bleu_signature"] in text
    assert sum(quarter["n_pairs"] for quarter in report["quarters"]) == report["n_pairs"] == 40

    listed = json.loads(qkv("models", "--json").out)
    text = qkv("models").out
    assert {"rnn-tiny", "bahdanau-tiny", "transformer-base"} <= {one["name"] for one in listed}
    assert all(f"{one['parameters']:,}" in text for one in listed)

    described = json.loads(qkv("info", saved, "--json").out)
    assert described["config"]["d_model"] == 16
    assert described["card"] == {"data": "words.tsv"}
    assert sum(described["parts"].values()) == described["parameters"]
    assert described["maps"][0]["kind"] == "self"

    checked = json.loads(qkv("data", "check", "words.tsv", "--json").out)
    assert (checked["rows"], checked["unit"]) == (40, "words")

    rows = json.loads(qkv("lineage", "--json").out)
    text = qkv("lineage").out
    assert all(row["title"] in text for row in rows)
    found = json.loads(qkv("doctor", "--json").out)
    assert found[0]["name"] == "Python"


def test_alignment_errors_are_scored_where_gold_is_known(qkv, saved):
    said = qkv("evaluate", saved, "cldr:dates", "--items", "1-2", "--n-examples", "12", "--beams", "1", "--json")
    report = json.loads(said.out)
    assert set(report["alignment"]) == {f"{layer}.{head}" for layer in range(2) for head in range(4)}
    assert all(0 <= rate <= 1 for rate in report["alignment"].values())


def test_a_recipe_in_toml_and_a_run_json_are_beaten_by_options(qkv, tmp_path):
    write_words(tmp_path / "words.tsv")
    (tmp_path / "recipe.toml").write_text(
        'model = "rnn-tiny"\ndata = "words.tsv"\nsteps = 3\nwarmup = 2\nseed = 7\n[recipe]\nema = 0.5\n'
    )
    first = qkv("train", "--config", "recipe.toml", "--out", "first")
    assert first.code == 0, first.err
    settings = json.loads((tmp_path / "first/run.json").read_text())["settings"]
    assert (settings["model"], settings["recipe"]["steps"], settings["recipe"]["ema"]) == ("rnn-tiny", 3, 0.5)
    again = qkv("train", "--config", "first/run.json", "--out", "again")
    assert again.code == 0, again.err
    weights = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("first", "again")]
    assert weights[0] == weights[1], "the same training again"
    other = qkv("train", "--config", "first/run.json", "--out", "other", "--seed", "8", "--model", "luong-tiny")
    assert other.code == 0, other.err
    settings = json.loads((tmp_path / "other/run.json").read_text())["settings"]
    assert (settings["model"], settings["recipe"]["seed"], settings["recipe"]["steps"]) == ("luong-tiny", 8, 3)


def test_debug_shows_the_traceback(qkv, monkeypatch, tmp_path):
    with pytest.raises(QkvError, match='No model "nowhere"'):
        qkv("translate", "nowhere", "one", "--debug")
    shown = start("lineage", "--status", "none", "--debug")
    assert b"Traceback" in shown.stderr
    assert shown.returncode == 1
    plain = start("lineage", "--status", "none")
    assert b"Traceback" not in plain.stderr
    assert plain.returncode == 2


def test_version_and_help(qkv):
    assert qkv("--version") == (0, f"{__version__}\n", "")
    for command in COMMANDS:
        said = qkv(*command.split(), "--help")
        assert (said.code, said.err) == (0, ""), command
        assert "--json" in said.out, command


def test_a_pipe_that_closes_early_is_no_news():
    process = subprocess.Popen(
        [sys.executable, "-m", "qkv", "lineage"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert err == b""
    assert process.returncode in (0, 1)


def test_colours_are_left_out_when_asked():
    forced = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    plain = start("trian", **forced, NO_COLOR="1")
    coloured = start("trian", **forced)
    assert b"\x1b[31m" in coloured.stderr
    assert b"\x1b[31m" not in plain.stderr
    assert b"\x1b" not in start("trian").stderr, "no colours where there is no terminal"


def test_any_encoding_of_the_terminal_will_do(saved):
    said = start("lineage", PYTHONIOENCODING="ascii", COLUMNS="40")
    assert said.returncode == 0, said.stderr
    rows = said.stdout.decode("utf-8").splitlines()
    assert any("Bahdanau's additive attention" in row and "runs" in row for row in rows), "a row is a line in a pipe"
