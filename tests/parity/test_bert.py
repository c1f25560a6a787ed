"""Our Bert is BERT, RoBERTa, CamemBERT, XLM-R and DistilBERT of transformers: the same numbers, the same files."""

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
from qkv.models.bert import FAMILY
from qkv.models.bert_files import CLASSES, LAYOUTS
from qkv.weights.files import read_safetensors
from qkv.weights.rules import read_state

SHAPES: dict[str, dict[str, Any]] = {
    "three heads": {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40},
    "one head": {"hidden_size": 14, "num_hidden_layers": 3, "num_attention_heads": 1, "intermediate_size": 9},
    "odd widths": {"hidden_size": 35, "num_hidden_layers": 1, "num_attention_heads": 5, "intermediate_size": 17},
}
DISTILBERT = {"hidden_size": "dim", "num_hidden_layers": "n_layers", "num_attention_heads": "n_heads",
              "intermediate_size": "hidden_dim"}  # fmt: skip


def config(layout: str, shape: str) -> Any:
    """Return a tiny configuration of a layout; the second shape has other segments, epsilon, and activation."""
    given = SHAPES[shape] | {"vocab_size": 61, "max_position_embeddings": 20, "num_labels": 3}
    if layout == "distilbert":
        given = {DISTILBERT.get(key, key): value for key, value in given.items()}
        return transformers.DistilBertConfig(**given, attn_implementation="eager")  # type: ignore[call-arg]
    other = {"type_vocab_size": 1, "layer_norm_eps": 1e-5} if shape == "one head" else {}
    other |= {"hidden_act": "relu"} if (shape, layout) == ("one head", "bert") else {}
    kind = getattr(transformers, f"{LAYOUTS[layout].stem}Config")
    return kind(**given | other, attn_implementation="eager")


def inputs(side: str, pad: int, n_segments: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw texts of several lengths, padded on a side, with two segments where the net knows them."""
    draw, t = seeds.generator("inputs"), torch.tensor([9, 4, 1])
    mask = torch.arange(9) < t[:, None] if side == "right" else torch.arange(9) >= 9 - t[:, None]
    ids = torch.randint(2, 61, (3, 9), generator=draw).where(mask, pad)
    segments = (torch.arange(9) > 4).long().expand(3, 9) if n_segments > 1 else torch.zeros(3, 9, dtype=torch.long)
    return ids, mask, segments


def run_mine(side: str, net: Any) -> tuple[Tensor, ...]:
    ids, mask, segments = inputs(side, net.cfg.pad_id, net.cfg.n_segments)
    if net.cfg.head == "pretraining":
        states = net.encode(ids, mask, segments)
        return net.head(states, net.token.logits)[mask], net.next_sentence(states, mask)
    out = net(ids, mask, segments)
    if net.cfg.head == "classify":
        return (out,)
    return (out[mask], net.summary(out, mask)) if net.cfg.head is None and net.cfg.pooler else (out[mask],)


def run_theirs(side: str, reference: Any) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    config = reference.config
    ids, mask, segments = inputs(side, config.pad_token_id, getattr(config, "type_vocab_size", 0))
    given = {} if config.model_type == "distilbert" else {"token_type_ids": segments}
    if config.model_type == "bert":
        given["position_ids"] = (mask.long().cumsum(1) - 1).clamp(min=0)
    out = reference(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True, **given)
    states = list(out.hidden_states)
    if "prediction_logits" in out:
        return (out.prediction_logits[mask], out.seq_relationship_logits), states
    if "logits" in out:
        return (out.logits if out.logits.dim() == 2 else out.logits[mask],), states
    pooled = (out.pooler_output,) if out.get("pooler_output") is not None else ()
    return (out.last_hidden_state[mask], *pooled), states


def case(layout: str, head: str | None, shape: str, side: str = "right") -> Case:
    """Return one net of one layout; with left padding only what does not read place 0 can be compared."""
    mask = inputs(side, 0, 1)[1]
    kind = getattr(transformers, LAYOUTS[layout].class_of(head))
    return Case(
        family=FAMILY,
        make=lambda: kind(config(layout, shape)),
        mine=partial(run_mine, side),
        theirs=partial(run_theirs, side),
        real=lambda state: state[mask],
    )


ALL = {
    f"{layout}, {head or 'no head'}": (layout, head)
    for layout in LAYOUTS
    for head in CLASSES
    if head != "pretraining" or layout == "bert"
}
every_head = pytest.mark.parametrize(("layout", "head"), ALL.values(), ids=ALL)
every_shape = pytest.mark.parametrize("shape", SHAPES)


@every_head
@every_shape
def test_the_same_numbers(layout, head, shape, tmp_path):
    check_numbers(case(layout, head, shape), tmp_path)


@every_head
def test_the_same_numbers_in_fp64(layout, head, tmp_path):
    check_numbers(case(layout, head, "three heads"), tmp_path, torch.float64)


@pytest.mark.parametrize("layout", ["bert", "roberta", "camembert", "xlm-roberta"])
@every_shape
def test_padding_on_the_left(layout, shape, tmp_path):
    check_numbers(case(layout, "mlm", shape, "left"), tmp_path)


@every_head
@every_shape
def test_our_files_are_theirs(layout, head, shape, tmp_path):
    check_files(case(layout, head, shape), tmp_path)


@every_head
def test_every_damage_to_one_tensor_is_refused(layout, head, tmp_path):
    check_damage(case(layout, head, "three heads"), tmp_path)


@every_head
def test_planted_faults_are_found(layout, head, tmp_path):
    one = case(layout, head, "three heads")
    check_fault(one, tmp_path / "act", lambda cfg: replace(cfg, act="silu"))
    check_fault(one, tmp_path / "eps", lambda cfg: replace(cfg, eps=1e-5), torch.float64)


def test_older_files_are_understood(tmp_path):
    """Norms were gamma and beta, positions had numbers, the tied table stood there twice."""
    one = case("bert", "pretraining", "three heads")
    folder = saved(one.reference(), tmp_path)
    public, today = FAMILY.formats["hf"], read_safetensors(folder)
    cfg = public.fit(public.read_config(one.reference().config.to_dict()), today.keys())
    old = {k.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): x for k, x in today.items()}
    old["bert.embeddings.position_ids"] = torch.arange(20)[None]
    old["cls.predictions.decoder.weight"] = today["bert.embeddings.word_embeddings.weight"].clone()
    old["cls.predictions.decoder.bias"] = today["cls.predictions.bias"].clone()
    with torch.device("meta"):
        like = FAMILY.net(cfg).state_dict()
    new, same = (read_state(public.rules(cfg), x, like, aliases=public.aliases(cfg)) for x in (today, old))
    assert all(torch.equal(new[key], same[key]) for key in like)


def test_the_head_is_what_the_file_holds(tmp_path):
    """The config.json of the published bert-base-uncased says BertForMaskedLM; its file holds the other head, too."""
    one = case("bert", "pretraining", "three heads")
    public, names = FAMILY.formats["hf"], read_safetensors(saved(one.reference(), tmp_path)).keys()
    told = public.read_config(one.reference().config.to_dict() | {"architectures": ["BertForMaskedLM"]})
    assert (told.head, public.fit(told, names).head, public.fit(told, names).pooler) == ("mlm", "pretraining", True)
