"""A model travels through a folder bit for bit, and a folder that is not whole is refused with a sentence."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import qkv
from qkv.base.errors import ConfigError, DataError, QkvError, ShapeError, UnsupportedError, WeightsError
from qkv.models import get_size
from qkv.text.tokenizer import train_tokenizer
from verbs.small_runs import PAIRS, make_model, save_model

SIZES = ("rnn-tiny", "bahdanau-tiny", "luong-tiny", "transformer-tiny")
TEXTS = [PAIRS[3].source, PAIRS[77].source, "six blue doors, two"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("saved") / "model")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def edit(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def config_of(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())["config"]


@pytest.mark.parametrize("size", SIZES)
def test_a_loaded_model_is_the_saved_one(size, tmp_path):
    model = make_model(size)
    model.save(tmp_path)
    again = qkv.load(tmp_path)
    ours, theirs = model.net.state_dict(), again.net.state_dict()
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name].dtype == theirs[name].dtype and torch.equal(ours[name], theirs[name]), name
    assert again.net.cfg == model.net.cfg
    assert not again.net.training
    assert again.card == model.card
    before, after = (one.translate(TEXTS, beams=3, weights=size != "rnn-tiny") for one in (model, again))
    for a, b in zip(before, after, strict=True):
        assert (a.text, a.ids, a.score) == (b.text, b.ids, b.score)
        seen, again = a.weights or {}, b.weights or {}
        assert seen.keys() == again.keys()
        assert all((seen[layer] == again[layer]).all() for layer in seen)


@pytest.mark.parametrize("size", SIZES)
def test_nothing_stays_on_meta(size, tmp_path):
    loaded = qkv.load(save_model(tmp_path, size)).net
    for name, tensor in (*loaded.named_parameters(), *loaded.named_buffers()):
        assert tensor.device.type == "cpu", name
    fresh = dict(make_model(size).net.named_buffers())
    for name, buffer in loaded.named_buffers():  # tables that no file holds are computed again
        assert torch.equal(buffer, fresh[name]), name


def test_saving_twice_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        make_model().save(tmp_path / name)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_two_tokenizers_travel_apart(tmp_path):
    target = train_tokenizer("words", [pair.target for pair in PAIRS])
    model = make_model("luong-tiny", target_vocab_size=target.vocab_size)
    model.target = target
    model.save(tmp_path)
    again = qkv.load(tmp_path)
    assert again.source is not again.target
    assert again.source.vocab_size > again.target.vocab_size == model.target.vocab_size
    assert [one.text for one in again.translate(TEXTS)] == [one.text for one in model.translate(TEXTS)]


def test_the_card_travels(tmp_path):
    model = make_model()
    model.card = {"data": "names.tsv", "alignment_head": [1, 2], "made by": "Zoë ☃"}
    model.save(tmp_path)
    assert qkv.load(tmp_path).card == model.card


def test_a_marian_folder_is_written_for_the_transformer_alone(tmp_path):
    with pytest.raises(UnsupportedError, match='no public format "hf": save it with format="qkv"'):
        make_model("rnn-tiny").save(tmp_path, format="hf")


@pytest.mark.parametrize(
    ("texts", "kind", "message"),
    [
        ("one red house", ConfigError, "takes a list of texts"),
        (["one", "  "], DataError, "Text 2 of 2 is empty: give a sentence"),
        (["one", "red" + " red" * 39], ShapeError, "Text 2 of 2: Input has 41 tokens; this model has 24 positions"),
    ],
)
def test_texts_that_cannot_be_translated(texts, kind, message):
    with pytest.raises(kind, match=message):
        make_model().translate(texts)


def test_no_text_is_no_translation():
    assert make_model().translate([]) == []


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"family": "transfomer"}, ConfigError, 'No family "transfomer".*Did you mean "transformer"'),
        ({"family": ["transformer"]}, ConfigError, r'"family" is \["transformer"\], wanted str|"family" is'),
        ({"format_version": 2}, ConfigError, "format_version 2 is not the one this qkv reads"),
        ({"format": "other", "model_type": "bart"}, ConfigError, 'model_type "bart" is none that qkv reads: marian'),
        ({"config": 3}, ConfigError, '"config" is 3'),
        ({"card": []}, ConfigError, r'"card" is \[\]'),
        ({"more": 1}, ConfigError, 'unknown key "more"'),
        ({"sha256": {}}, WeightsError, "model.safetensors is not the file"),
        ({"family": "seq2seq"}, ConfigError, "unknown key"),
    ],
)
def test_a_changed_header_is_refused(changes, kind, message, folder):
    edit(folder, **changes)
    with pytest.raises(kind, match=message):
        qkv.load(folder)


def test_an_unknown_setting_of_the_net_is_refused(folder):
    edit(folder, config=config_of(folder) | {"n_layer": 3})
    with pytest.raises(ConfigError, match=r'unknown key "n_layer".*Did you mean "n_layers"'):
        qkv.load(folder)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "null", "[" * 100_000, "\xff"])
def test_a_config_that_is_no_object(text, folder):
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"config\.json"):
        qkv.load(folder)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("config.json", ConfigError, "looked for config.json"),
        ("model.safetensors", WeightsError, "No weights in"),
        ("tokenizer.json", DataError, "No tokenizer at .*tokenizer.json"),
    ],
)
def test_a_missing_file_is_named(name, kind, message, folder):
    (folder / name).unlink()
    with pytest.raises(kind, match=message):
        qkv.load(folder)


def test_no_folder(tmp_path):
    match = r"There is no .*nowhere. Give a folder with a config.json, a .safetensors file, or a hub name"
    with pytest.raises(ConfigError, match=match):
        qkv.load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_flipped_bits_and_cuts_are_found(name, folder):
    path = folder / name
    whole = path.read_bytes()
    for k in range(24):
        at = k * (len(whole) - 1) // 23
        damaged = bytearray(whole)
        damaged[at] ^= 1 << k % 8
        path.write_bytes(damaged)
        with pytest.raises(QkvError, match=str(folder)):
            qkv.load(folder)
        path.write_bytes(whole[:at])
        with pytest.raises(QkvError, match=str(folder)):
            qkv.load(folder)
    path.write_bytes(whole)
    qkv.load(folder)


def test_the_tokenizer_of_another_model_is_refused(folder):
    train_tokenizer("words", ["other words"]).save(folder / "tokenizer.json")
    with pytest.raises(WeightsError, match=r"tokenizer\.json is not the file that config.json was written with"):
        qkv.load(folder)


def test_a_save_that_was_cut_short_does_not_load(tmp_path, monkeypatch):
    def die(path, tensors):
        raise KeyboardInterrupt

    monkeypatch.setattr("qkv.model.core.write_safetensors", die)
    with pytest.raises(KeyboardInterrupt):
        make_model().save(tmp_path)
    with pytest.raises(ConfigError, match=r"looked for config\.json"):
        qkv.load(tmp_path)


NUMBERS = [f.name for size in SIZES[:1] + SIZES[3:] for f in dataclasses.fields(get_size(size)[1])]


@given(st.sampled_from(sorted(set(NUMBERS))), st.sampled_from([0, -1, 1, 7, 2**40, -(2**70), 0.5, 1.5, "x", []]))
def test_a_setting_of_another_value_is_refused_or_loads(saved, name, value):
    """Whatever stands in config.json: an error of ours, at once, or a model that works."""
    with pytest.MonkeyPatch.context() as patch:
        header = json.loads((saved / "config.json").read_text())
        header["config"] |= {name: value}
        patch.setattr("qkv.model.loading._read_config", lambda folder: header)
        try:
            qkv.load(saved).translate(["one red house"], max_tokens=3)
        except QkvError:
            return
