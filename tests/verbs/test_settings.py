"""Settings come in layers, strictly, and go into run.json and back."""

import json
from pathlib import Path

import pytest

from qkv.base.config import to_dict
from qkv.base.errors import ConfigError
from qkv.training.recipe import Recipe
from qkv.verbs.settings import TrainSettings, free_folder, merge, read_run, read_settings, refuse_idle

LEAST = {"model": "rnn-tiny", "data": "words.tsv"}


def test_later_layers_win_and_none_is_not_given():
    settings = merge(
        LEAST | {"steps": 5, "seed": 1, "recipe": {"lr": 0.5, "seed": 2}},
        {"steps": 7, "lr": None, "items": "1-2", "model": None},
        where="here",
    )
    assert settings == TrainSettings(
        model="rnn-tiny", data="words.tsv", items="1-2", recipe=Recipe(steps=7, lr=0.5, seed=1)
    )


def test_settings_survive_the_way_through_json():
    settings = merge(LEAST, {"dropout": 0.5, "valid": "v.tsv", "ema": 0.9, "schedule": "paper"}, where="here")
    assert merge(json.loads(json.dumps(to_dict(settings))), where="there") == settings


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"stps": 3}, 'here: there is no setting "stps". Did you mean "steps"?'),
        ({"itms": "1", "sed": 2}, 'no setting "itms". Did you mean "items"? and no "sed". Did you mean "seed"?'),
        ({"steps": "3"}, "\"steps\" is '3', wanted int"),
        ({"recipe": {"stps": 3}}, 'unknown key "stps"'),
        ({"recipe": "x"}, "\"recipe\" is 'x', wanted a table of settings"),
        ({"on_bad": "drop"}, '"on_bad" is \'drop\', wanted "raise" or "skip"'),
        ({"schedule": "linear"}, '"schedule" is \'linear\', wanted "cosine" or'),
        ({"lr": -1.0}, "lr is -1.0; it must be above 0."),
    ],
)
def test_a_setting_that_is_none_is_refused(layer, message):
    with pytest.raises(ConfigError) as caught:
        merge(LEAST, layer, where="here")
    assert message in str(caught.value)


def test_model_and_data_must_be_named():
    with pytest.raises(ConfigError, match=r"^here: no model and no data, as in: qkv train"):
        merge({}, where="here")
    with pytest.raises(ConfigError, match=r"^here: no data, as in"):
        merge({"model": "rnn-tiny", "data": None}, where="here")


def test_recipes_and_runs_are_read(tmp_path):
    toml, run = tmp_path / "a.toml", tmp_path / "run.json"
    toml.write_text('model = "rnn-tiny"\nlr = 0.5\n[recipe]\nsteps = 3\n')
    assert read_settings(toml) == {"model": "rnn-tiny", "lr": 0.5, "recipe": {"steps": 3}}
    run.write_text(json.dumps({"qkv": "0", "settings": LEAST}))
    assert read_settings(run) == LEAST
    assert read_run(tmp_path) == {"qkv": "0", "settings": LEAST}


def test_a_run_that_is_none_or_damaged(tmp_path):
    with pytest.raises(ConfigError, match=r"is no run: it has no run\.json\. Start one with: qkv train MODEL DATA"):
        read_run(tmp_path)
    for text in ("", "{", "[]", "{}", '{"settings": 3}', "[" * 10_000):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(ConfigError, match=r"run\.json is damaged"):
            read_run(tmp_path)
        with pytest.raises(ConfigError, match=r"run\.json is neither a recipe in TOML nor a run\.json"):
            read_settings(tmp_path / "run.json")
    with pytest.raises(ConfigError, match="cannot be read: "):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("cldr:dates", {"valid": "v.tsv"}, "cldr:dates takes no --valid: it has its own validation split."),
        ("w.tsv", {"source": "en", "target": "fr"}, "w.tsv takes no --from and no --to: it is a file"),
        ("w.tsv", {"items": "1-1", "n_examples": 5}, "w.tsv takes no --items and no --n-examples: it is a file"),
    ],
)
def test_options_that_would_do_nothing_are_refused(data, options, message):
    with pytest.raises(ConfigError) as caught:
        refuse_idle(data, options)
    assert str(caught.value).startswith(message)


def test_options_that_do_something_are_not():
    refuse_idle("cldr:dates", {"source": "en", "items": "1-3", "n_examples": 5, "valid": None})
    refuse_idle("w.tsv", {"valid": "v.tsv", "source": None})


def test_a_folder_that_is_free(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert free_folder(None, "demo") == Path("runs/demo")
    (tmp_path / "runs/demo").mkdir(parents=True)
    (tmp_path / "runs/demo-2").mkdir()
    assert free_folder(None, "demo") == Path("runs/demo-3")
    (tmp_path / "empty").mkdir()
    assert free_folder("empty", "demo") == Path("empty")
    assert free_folder("new", "demo") == Path("new")
    (tmp_path / "file").write_text("x")
    for name in ("file", "."):
        with pytest.raises(ConfigError, match="exists and is not empty: remove it, or name another --out"):
            free_folder(name, "demo")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text("{}")
    with pytest.raises(ConfigError, match="run holds a run already: go on with --resume run, or name another --out"):
        free_folder("run", "demo")


def test_what_a_killed_start_left_does_not_count(tmp_path):
    (tmp_path / ".tmp-qkv-999999999-0123abcd-run.json").write_text("half")
    assert free_folder(tmp_path, "demo") == tmp_path
    assert list(tmp_path.iterdir()) == []
