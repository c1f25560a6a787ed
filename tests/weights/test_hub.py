"""Names on the hub: the cache first, then the hub, and a sentence where there is neither."""

import json
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download

from qkv.base.errors import ConfigError, WeightsError
from qkv.weights import hub
from qkv.weights.hub import find_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """Lay out the hub's cache with one model in it."""
    snapshot = tmp_path / "hub/models--some--model/snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps({"model_type": "bert"}))
    (snapshot / "model.safetensors").write_bytes(b"weights")
    refs = tmp_path / "hub/models--some--model/refs"
    refs.mkdir()
    (refs / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(
        hub, "snapshot_download", lambda name, **how: snapshot_download(name, cache_dir=tmp_path / "hub", **how)
    )
    return snapshot


def test_what_is_cached_needs_no_network(cache):
    assert find_model("some/model") == (cache, cache)


def test_a_folder_and_a_file_are_themselves(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"")
    assert find_model(str(tmp_path)) == (tmp_path, tmp_path)
    assert find_model(str(file)) == (tmp_path, file)


def test_a_cache_without_weights_is_downloaded_anew(cache, monkeypatch):
    (cache / "model.safetensors").unlink()
    asked = []
    monkeypatch.setattr(hub, "_download", lambda name, sizes: asked.append(name) or cache)
    assert find_model("some/model") == (cache, cache)
    assert asked == ["some/model"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bert-base-uncasd", 'out of reach. Did you mean "bert-base-uncased"?'),
        ("some/modell", "out of reach"),
        ("bert-tiny", "It is a size: make one of your own"),
        ("no such/name/at all", "There is no no such/name/at all. Give a folder"),
    ],
)
def test_offline_a_name_that_is_nowhere_gets_a_sentence(cache, name, message):
    with pytest.raises(ConfigError) as raised:
        find_model(name, sizes=["bert-base-uncased", "bert-tiny"])
    assert message in str(raised.value)


def test_other_files_are_no_models(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(WeightsError, match="is no weight file that qkv reads"):
        find_model(str(tmp_path / "notes.txt"))
