"""Our Deberta is DeBERTa-v2 and v3 of transformers: the same numbers, the same files."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from parity.loud import saved
from parity.standard import Case, check_damage, check_fault, check_files, check_numbers
from qkv.base import seeds
from qkv.models.deberta import FAMILY
from qkv.models.deberta_files import CLASSES
from qkv.weights.files import read_safetensors
from qkv.weights.rules import read_state

T = 13
# three heads: 12 columns a head, since the reference rounds the root of 3 * 12 to fp32 even where it computes in fp64
SHAPES: dict[str, dict[str, Any]] = {
    "three heads": {"hidden_size": 36, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40,
                    "position_buckets": 8, "share_att_key": True, "norm_rel_ebd": "layer_norm",
                    "pos_att_type": ["p2c", "c2p"]},
    "one head, exact distances, convolution": {
        "hidden_size": 14, "num_hidden_layers": 3, "num_attention_heads": 1, "intermediate_size": 9,
        "max_relative_positions": 5, "pos_att_type": "c2p|p2c", "conv_kernel_size": 3, "layer_norm_eps": 1e-5,
        "hidden_act": "relu"},
    "odd widths, few buckets, wide convolution": {
        "hidden_size": 35, "num_hidden_layers": 1, "num_attention_heads": 5, "intermediate_size": 17,
        "position_buckets": 5, "max_relative_positions": 6, "share_att_key": True, "norm_rel_ebd": "layer_norm",
        "pos_att_type": ["c2p"], "conv_kernel_size": 5, "conv_act": "gelu"},
    "positions apart": {"hidden_size": 18, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 10,
                        "position_buckets": 4, "max_relative_positions": 9, "pos_att_type": ["p2c"]},
}  # fmt: skip
HEADS: dict[str, tuple[str | None, bool]] = {
    "no head": (None, False),
    "mlm": ("mlm", False),
    "legacy mlm": ("mlm", True),
    "classify": ("classify", False),
    "tag": ("tag", False),
}


def make_reference(name: str, shape: str) -> Any:
    """Build a tiny net of transformers."""
    head, legacy = HEADS[name]
    given: dict[str, Any] = {"vocab_size": 61, "max_position_embeddings": 20, "num_labels": 3, "legacy": legacy}
    given |= {"relative_attention": True, "position_biased_input": False}
    config = transformers.DebertaV2Config(**given | SHAPES[shape])
    return getattr(transformers, CLASSES[head])(config)


def inputs(side: str) -> tuple[Tensor, Tensor]:
    """Draw texts of several lengths, padded on a side."""
    lengths = torch.tensor([T, 6, 1])[:, None]
    mask = torch.arange(T) < lengths if side == "right" else torch.arange(T) >= T - lengths
    return torch.randint(2, 61, (3, T), generator=seeds.generator("inputs")).where(mask, 0), mask


def run_mine(side: str, net: Any) -> tuple[Tensor, ...]:
    ids, mask = inputs(side)
    out = net(ids, mask)
    return (out if net.cfg.head == "classify" else out[mask],)


def run_theirs(side: str, reference: Any) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    ids, mask = inputs(side)
    out = reference(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
    found = out.logits if "logits" in out else out.last_hidden_state
    return (found if found.dim() == 2 else found[mask],), list(out.hidden_states)


def case(head: str, shape: str = "three heads", side: str = "right") -> Case:
    """Return one net; the states of padding are nobody's."""
    mask = inputs(side)[1]
    return Case(
        family=FAMILY,
        make=lambda: make_reference(head, shape),
        mine=partial(run_mine, side),
        theirs=partial(run_theirs, side),
        real=lambda state: state[mask],
    )


every_head = pytest.mark.parametrize("head", HEADS)
every_shape = pytest.mark.parametrize("shape", SHAPES)


@every_head
@every_shape
def test_the_same_numbers(head, shape, tmp_path):
    check_numbers(case(head, shape), tmp_path)


@every_head
def test_the_same_numbers_in_fp64(head, tmp_path):
    check_numbers(case(head), tmp_path, torch.float64)


@pytest.mark.parametrize("head", ["no head", "tag"])  # the label of a text is read off place 0 there
@every_shape
def test_padding_on_the_left(head, shape, tmp_path):
    check_numbers(case(head, shape, "left"), tmp_path)


@every_head
@every_shape
def test_our_files_are_theirs(head, shape, tmp_path):
    check_files(case(head, shape), tmp_path)


@every_head
def test_every_damage_to_one_tensor_is_refused(head, tmp_path):
    check_damage(case(head), tmp_path)


@pytest.mark.parametrize("shape", list(SHAPES)[1:])
def test_every_damage_to_one_tensor_of_other_shapes_is_refused(shape, tmp_path):
    check_damage(case("no head", shape), tmp_path)


@every_head
def test_planted_faults_are_found(head, tmp_path):
    one = case(head)
    check_fault(one, tmp_path / "act", lambda cfg: replace(cfg, act="silu"))
    check_fault(one, tmp_path / "eps", lambda cfg: replace(cfg, eps=1e-5), torch.float64)


FAULTS = {
    "distances": ("three heads", {"max_distance": 9}),
    "terms": ("three heads", {"position_to_content": False}),
    "act of the convolution": ("odd widths, few buckets, wide convolution", {"conv_act": "tanh"}),
}


@pytest.mark.parametrize(("shape", "fault"), FAULTS.values(), ids=FAULTS)
def test_faults_of_its_own_are_found(shape, fault, tmp_path):
    check_fault(case("no head", shape), tmp_path, lambda cfg: replace(cfg, **fault))


def test_what_published_files_hold_besides_is_known(tmp_path):
    """Those of v3 hold what is left of training, and name the masked head as older ones of transformers do not."""
    one = case("mlm")
    public, today = FAMILY.formats["hf"], read_safetensors(saved(one.reference(), tmp_path))
    cfg = public.fit(public.read_config(one.reference().config.to_dict()), today.keys())
    table = today["deberta.embeddings.word_embeddings.weight"]
    more = {"deberta.embeddings.word_embeddings._weight": torch.zeros_like(table)}
    more |= {f"deberta.embeddings.position_embeddings.{name}": torch.zeros(20, 36) for name in ("weight", "_weight")}
    more |= {f"mask_predictions.{part}.bias": torch.zeros(36) for part in ("dense", "LayerNorm", "classifier")}
    with torch.device("meta"):
        like = FAMILY.net(cfg).state_dict()
    plain, full = (read_state(public.rules(cfg), x, like, aliases=public.aliases(cfg)) for x in (today, today | more))
    assert all(torch.equal(plain[key], full[key]) for key in like)


@pytest.mark.parametrize("legacy", [False, True])
def test_the_head_is_what_the_file_holds(legacy, tmp_path):
    """A published config.json says nothing of its masked head."""
    one = case("legacy mlm" if legacy else "mlm")
    public, names = FAMILY.formats["hf"], read_safetensors(saved(one.reference(), tmp_path)).keys()
    told = one.reference().config.to_dict() | {"architectures": None}
    del told["legacy"]
    cfg = public.fit(public.read_config(told), names)
    assert (cfg.head, cfg.legacy_head) == ("mlm", legacy)
    assert public.fit(replace(cfg, head="mlm"), {"encoder.LayerNorm.weight"}).head is None
