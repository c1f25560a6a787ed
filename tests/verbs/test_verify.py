"""verify: folders that transformers and timm wrote are the same models here, and a wrong net is found out."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
from timm.models import save_for_hf

import qkv
from model.public_folders import bert_folder, gpt_folder, swin_folder, vit_folder
from parity.loud import loud
from qkv.base.errors import UnsupportedError

SMALL: dict[str, Any] = {"img_size": 16, "patch_size": 4, "num_classes": 3}
VIT: dict[str, Any] = SMALL | {"embed_dim": 24, "depth": 2, "num_heads": 3}
SWIN: dict[str, Any] = SMALL | {"embed_dim": 12, "depths": (2, 2), "num_heads": (2, 4), "window_size": 3}


def timm_folder(name: str, settings: dict[str, Any]) -> Any:
    """Return what lets timm write a loud net of its own."""

    def write(folder: Path, **changes: Any) -> None:
        net = loud(timm.create_model(name, **settings | changes))
        save_for_hf(net, str(folder), model_args=settings | changes, safe_serialization=True)

    return write


vit_of_timm = timm_folder("vit_tiny_patch16_224", VIT)
swin_of_timm = timm_folder("swin_tiny_patch4_window7_224", SWIN)


@pytest.mark.parametrize("make", [bert_folder, gpt_folder, vit_folder])
def test_a_model_is_proved_to_be_the_reference_s(make, tmp_path):
    make(tmp_path / "hf")
    proof = qkv.verify(tmp_path / "hf", save=tmp_path / "proof.json")
    assert proof.holds
    assert len(proof.layers) == 3
    told = json.loads((tmp_path / "proof.json").read_text())
    assert told["holds"] and told["tensors"] == proof.tensors and len(proof.tensors) > 20
    assert max(proof.layers) <= 1e-6


def test_a_proof_fails_where_the_numbers_do(tmp_path, monkeypatch):
    """An epsilon that is not the file's is such a fault."""
    bert_folder(tmp_path, hidden_act="silu")
    whole = qkv.load(tmp_path)
    monkeypatch.setattr("qkv.verbs.verify.load", lambda folder: whole)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_act": "gelu"}))
    assert not qkv.verify(tmp_path).holds


@pytest.mark.parametrize(
    ("make", "changes", "n_layers"),
    [
        (vit_of_timm, {}, 2),
        (vit_of_timm, {"num_classes": 0}, 2),
        (timm_folder("deit_tiny_distilled_patch16_224", VIT), {}, 2),
        (timm_folder("vit_small_patch14_reg4_dinov2", VIT), {}, 2),
        (swin_of_timm, {}, 4),
        (swin_of_timm, {"num_classes": 0}, 4),
        (swin_folder, {}, 4),
    ],
)
def test_pictures_nets_are_compared_with_the_library_that_wrote_them(make, changes, n_layers, tmp_path):
    make(tmp_path, **changes)
    proof = qkv.verify(tmp_path)
    assert proof.holds and not proof.differing
    assert len(proof.layers) == 1 + n_layers and max(*proof.layers, proof.outputs) <= 3e-6
    assert ("timm" in proof.versions) == (make is not swin_folder) != ("transformers" in proof.versions)


@pytest.mark.parametrize(("make", "setting"), [(vit_of_timm, {"num_heads": 1}), (swin_of_timm, {"num_heads": (1, 1)})])
def test_a_net_that_is_not_timms_is_found_out_at_the_layer(make, setting, tmp_path, monkeypatch):
    """Where weights are of one shape, both nets have the same."""
    make(tmp_path / "timm")
    make(tmp_path / "other", **setting)
    other = qkv.load(tmp_path / "other")
    monkeypatch.setattr("qkv.verbs.verify.load", lambda folder: other)
    proof = qkv.verify(tmp_path / "timm")
    assert not proof.holds
    assert proof.layers[0] <= 1e-6 < 1e-3 < proof.layers[1]


def test_what_qkv_wrote_has_no_other_library(tmp_path):
    vit_folder(tmp_path / "hf")
    qkv.convert(tmp_path / "hf", to="qkv", out=tmp_path / "own")
    with pytest.raises(UnsupportedError, match="is qkv's own: verify compares what transformers or timm wrote"):
        qkv.verify(tmp_path / "own")
