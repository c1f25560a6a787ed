"""Every mistake at the command line gets a sentence that says what to do, its exit code, and leaves nothing behind."""

import re
import shutil
from pathlib import Path

import pytest

from verbs.command_line import in_process
from verbs.small_runs import save_model, write_words


@pytest.fixture
def qkv(capsys, monkeypatch, tmp_path):
    return in_process(capsys, monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return save_model(tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture(scope="module")
def fixed(tmp_path_factory) -> Path:
    return save_model(tmp_path_factory.mktemp("fixed") / "model", "rnn-tiny")


GOOD = b"one\tun\n" * 30
BAD_FILES = {
    "a byte that is no UTF-8": ("x.tsv", GOOD + b"caf\xe9\tcaf\n", r"line 31: byte 4 \(0xe9\) is not UTF-8"),
    "an empty side": ("x.tsv", GOOD + b"one\t \n", "line 31: target is empty"),
    "an empty line": ("x.tsv", GOOD + b"\none\tun\n", "line 31: 1 column instead of 2"),
    "a column too few": ("x.tsv", GOOD + b"one un\n", r"line 31: 1 column instead of 2 \(source, TAB, target\)"),
    "a column too many": ("x.tsv", GOOD + b"a\tb\tc\n", "line 31: 3 columns instead of 2"),
    "no JSON": ("x.jsonl", b'{"source": "a"\n', "x.jsonl: 1 of 1 row cannot be used.*line 1: "),
    "a key that is missing": ("x.jsonl", b'{"source": "a"}\n', "line 1: keys source instead of source, target"),
    "an empty file": ("x.tsv", b"", r"x\.tsv is empty"),
    "binary": ("x.tsv", b"a\tb\x00\n", "binary, not text: byte 4 is zero"),
    "a spreadsheet": ("x.tsv", b"PK\x03\x04rest", "a zip archive or a spreadsheet: export it as plain text"),
    "UTF-16": ("x.tsv", "a\tb\n".encode("utf-16"), "UTF-16: save it as UTF-8"),
    "an error page": ("x.tsv", b"<!DOCTYPE html><html>", "an HTML page: the download was an error page"),
    "a Git LFS pointer": ("x.tsv", b"version https://git-lfs.github.com/spec/v1\n", "run git lfs pull"),
    "gzip without its name": ("x.tsv", b"\x1f\x8b\x08\x00rest", r"give it a name that ends in \.gz"),
    "no gzip": ("x.tsv.gz", GOOD, "damaged or not made by gzip"),
    "no known ending": ("x.txt", GOOD, r"no form of parallel text that is read here: use \.tsv"),
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_bad_parallel_text_is_refused_by_each_command_alike(what, qkv, tmp_path, saved):
    name, content, message = BAD_FILES[what]
    (tmp_path / name).write_bytes(content)
    for command in (("data", "check"), ("train", "transformer-tiny"), ("evaluate", saved)):
        said = qkv(*command, name)
        assert (said.code, said.out) == (65, ""), command
        assert re.search(message, said.err, re.DOTALL), said.err
        assert len(said.err.splitlines()) <= 8
    assert sorted(path.name for path in tmp_path.iterdir()) == [name], "nothing is left behind"


def test_unequal_files_name_the_first_suspicious_pair(qkv, tmp_path):
    lines = [f"the sentence {'very ' * (i * 7 % 13)}number {i}" for i in range(1000)]
    (tmp_path / "x.src").write_text("\n".join(lines) + "\n")
    (tmp_path / "x.tgt").write_text("\n".join(lines[:411] + lines[412:]) + "\n")
    said = qkv("data", "check", "x.src")
    assert said.code == 65
    assert said.err.startswith("x.src 1,000 lines, x.tgt 999: first suspicious pair at 41"), said.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["trian"], 2, 'Unknown command "trian". Did you mean "train"?'),
        (["train", "rnn-tiny", "words.tsv", "--stps", "5"], 2, "Unknown option: --stps. Did you mean --steps?"),
        (["train", "rnn-tiny", "words.tsv", "--steps", "five"], 2, 'unable to convert "five" into int'),
        (["train", "rnn-tiny", "words.tsv", "--tokenizer", "word"], 2, "--tokenizer"),
        (["train", "rnn-tny", "words.tsv"], 2, 'No model "rnn-tny"; there are .*Did you mean "rnn-tiny"?'),
        (["train", "rnn-tiny", "word.tsv"], 65, 'There is no file word.tsv. Did you mean "words.tsv"?'),
        (["train", "rnn-tiny", "cldr:date"], 65, 'no built-in data set "cldr:date". Did you mean "cldr:dates"?'),
        (["train", "rnn-tiny"], 2, "qkv train: no data, as in: qkv train transformer-tiny names.tsv"),
        (["train"], 2, "qkv train: no model and no data"),
        (["train", "rnn-tiny", "cldr:dates", "--items", "nonsense"], 2, 'items is "nonsense"; write it as 1-3'),
        (["train", "rnn-tiny", "cldr:dates", "--items", "3-1"], 2, "items is 3-1"),
        (["train", "rnn-tiny", "cldr:dates", "--from", "xx"], 65, 'CLDR has no locale "xx"'),
        (["train", "rnn-tiny", "cldr:dates", "--valid", "words.tsv"], 2, "cldr:dates takes no --valid"),
        (["train", "rnn-tiny", "words.tsv", "--items", "1-3"], 2, "words.tsv takes no --items: it is a file"),
        (["train", "rnn-tiny", "words.tsv", "--steps", "0"], 2, "steps is 0; it must be at least 1."),
        (["train", "rnn-tiny", "words.tsv", "--dropout", "7"], 2, "dropout is 7.0; it must be from 0 to 1."),
        (["train", "rnn-tiny", "words.tsv", "--schedule", "paper"], 2, "is made for nets with a d_model"),
        (["train", "rnn-tiny", "words.tsv", "--budget", "5"], 65, "more than a whole batch may have"),
        (["train", "rnn-tiny", "words.tsv", "--out", "taken"], 2, "taken exists and is not empty: remove it, or name"),
        (["train", "--resume", "nowhere"], 2, "nowhere is no run: it has no run.json"),
        (["train", "--resume", "nowhere", "--steps", "5"], 2, "--resume takes the run's own settings"),
        (["train", "rnn-tiny", "--resume", "nowhere"], 2, "--resume takes the run's own settings"),
        (["train", "--config", "nowhere.toml"], 2, "There is no file nowhere.toml: give a recipe in TOML"),
        (["translate", "nowhere", "hi"], 2, 'No model "nowhere": no such folder, not in the hub\'s cache'),
        (["translate", "taken", "hi"], 2, "No model in taken: looked for config.json"),
        (["translate", "SAVED", ""], 65, "Text 1 of 1 is empty: give a sentence to translate."),
        (["translate", "SAVED", "one", " "], 65, "Text 2 of 2 is empty"),
        (["translate", "SAVED", "red " * 30], 1, "Text 1 of 1: Input has 32 tokens; this model has 24 positions"),
        (["translate", "SAVED", "one", "--beam", "2"], 2, "Unknown option: --beam. Did you mean --beams?"),
        (["translate", "SAVED", "one", "--beams", "0"], 2, "beams is 0"),
        (["translate", "SAVED", "one", "--max-tokens", "0"], 2, "max_tokens is 0"),
        (["translate", "FIXED", "one", "--alignment"], 1, "This model reads its source as one fixed context"),
        (["translate"], 2, "MODEL"),
        (["evaluate", "SAVED", "nowhere.tsv"], 65, "There is no file nowhere.tsv."),
        (["evaluate", "SAVED", "cldr:names", "--from", "xx"], 65, 'CLDR has no locale "xx"'),
        (["evaluate", "SAVED", "cldr:names", "--items", "x"], 2, 'items is "x"'),
        (["evaluate", "SAVED", "words.tsv", "--to", "fr"], 2, "words.tsv takes no --to"),
        (["evaluate", "SAVED", "cldr:names", "--n-examples", "0"], 2, "at least one"),
        (["evaluate", "nowhere", "words.tsv"], 2, 'No model "nowhere"'),
        (["info", "nowhere"], 2, 'No model "nowhere"; there are rnn-tiny'),
        (["info", "transformer-bse"], 2, 'Did you mean "transformer-base"?'),
        (["demo", "--to", "xx"], 65, 'CLDR has no locale "xx"'),
        (["demo", "--items", "x"], 2, 'items is "x"'),
        (["demo", "--out", "taken"], 2, "taken exists and is not empty"),
        (["lineage", "--status", "run"], 2, "run"),
        (["data", "chek", "words.tsv"], 2, "chek"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_gets_a_sentence_and_its_exit_code(arguments, code, message, qkv, tmp_path, saved, fixed):
    write_words(tmp_path / "words.tsv")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    places = {"SAVED": saved, "FIXED": fixed}
    said = qkv(*(places.get(one, one) for one in arguments))
    assert said.code == code, said.err
    assert said.out == ""
    last = said.err.splitlines()[-2:]
    assert re.search(message.replace("?", r"\?").replace("(", r"\("), " ".join(last)), said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken", "words.tsv"], "nothing is left behind"


def test_the_help_of_the_right_command_is_named(qkv):
    assert qkv("trian").err.endswith("\nSee: qkv --help\n")
    assert qkv("train", "--stps", "1").err.endswith("\nSee: qkv train --help\n")


@pytest.mark.parametrize(
    ("name", "damage", "code", "message"),
    [
        ("model.safetensors", lambda raw: raw[:-9], 1, "model.safetensors is cut short"),
        ("model.safetensors", lambda raw: raw[:-9] + b"\1" + raw[-8:], 1, "SHA-256 differs"),
        ("model.safetensors", lambda raw: b"version https://git-lfs.github.com", 1, "git lfs pull"),
        ("tokenizer.json", lambda raw: raw[:-9], 65, "tokenizer.json is no tokenizer that can be used"),
        ("tokenizer.json", lambda raw: raw.replace(b'" house"', b'" mouse"'), 1, "SHA-256 differs"),
        ("config.json", lambda raw: raw[:-9], 2, "config.json is not JSON"),
        ("config.json", lambda raw: raw.replace(b'"transformer"', b'"transfomer"'), 2, 'Did you mean "transformer"'),
        ("config.json", lambda raw: raw.replace(b'_version": 1', b'_version": 7'), 2, "format_version 7 is not the"),
        ("config.json", lambda raw: raw.replace(b'"n_heads"', b'"heads"'), 2, 'unknown key "heads"'),
    ],
)
def test_a_damaged_model_is_refused_by_each_command(name, damage, code, message, qkv, tmp_path, saved):
    folder = Path(shutil.copytree(saved, tmp_path / "model"))
    raw = (folder / name).read_bytes()
    (folder / name).write_bytes(damage(raw))
    assert damage(raw) != raw
    write_words(tmp_path / "words.tsv")
    for command in (("translate", folder, "one"), ("evaluate", folder, "words.tsv"), ("info", folder)):
        said = qkv(*command)
        assert (said.code, said.out) == (code, ""), said.err
        assert message in said.err, said.err


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.toml", "model = ", "x.toml is neither a recipe in TOML nor a run.json"),
        ("x.toml", 'stps = 3\ndata = "a"\nmodel = "rnn-tiny"', 'there is no setting "stps". Did you mean "steps"?'),
        ("x.toml", 'steps = "3"\ndata = "a"\nmodel = "rnn-tiny"', "steps"),
        ("x.toml", 'recipe = 3\ndata = "a"\nmodel = "rnn-tiny"', '"recipe" is 3, wanted a table'),
        ("x.json", "{}", 'x.json is neither a recipe in TOML nor a run.json: it holds no "settings".'),
        ("x.json", '{"settings": []}', 'it holds no "settings"'),
        ("x.json", "[1]", 'it holds no "settings"'),
        ("x.json", "[" * 10_000, "x.json is neither"),
        ("x.json", "\xff", "x.json is neither"),
    ],
)
def test_a_recipe_that_cannot_be_read(name, text, message, qkv, tmp_path):
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    said = qkv("train", "--config", name)
    assert said.code == 2
    assert message in said.err, said.err
