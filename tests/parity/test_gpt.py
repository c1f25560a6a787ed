"""Our Gpt is GPT-1 and GPT-2 of transformers: the same numbers, the same files."""

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
from qkv.base.errors import ConfigError, UnsupportedError
from qkv.models.gpt import FAMILY, Config
from qkv.models.gpt_files import LAYOUTS
from qkv.weights.files import read_safetensors
from qkv.weights.rules import read_state

SHAPES: dict[str, dict[str, Any]] = {
    "three heads": {"n_embd": 24, "n_layer": 2, "n_head": 3},
    "one head": {"n_embd": 14, "n_layer": 3, "n_head": 1},
    "odd widths": {"n_embd": 35, "n_layer": 1, "n_head": 5},
}
PAD = 1


def config(layout: str, shape: str) -> Any:
    """Return a tiny configuration of a layout; the second shape has another activation, the third an odd MLP."""
    given: dict[str, Any] = SHAPES[shape] | {"vocab_size": 61, "n_positions": 20, "num_labels": 3, "pad_token_id": PAD}
    given |= {"attn_implementation": "eager", "bos_token_id": 2, "eos_token_id": [3, 4]}
    if shape == "one head":
        act = {"afn": "relu"} if layout == "openai-gpt" else {"activation_function": "gelu"}
        given |= {"layer_norm_epsilon": 1e-12, "eos_token_id": 3, **act}
    if shape == "odd widths" and layout == "gpt2":
        given["n_inner"] = 17
    return (transformers.GPT2Config if layout == "gpt2" else transformers.OpenAIGPTConfig)(**given)


def inputs(side: str) -> tuple[Tensor, Tensor]:
    """Draw texts of several lengths, padded on a side."""
    draw, t = seeds.generator("inputs"), torch.tensor([9, 4, 1])
    mask = torch.arange(9) < t[:, None] if side == "right" else torch.arange(9) >= 9 - t[:, None]
    return torch.randint(2, 61, (3, 9), generator=draw).where(mask, PAD), mask


def run_mine(side: str, net: Any) -> tuple[Tensor, ...]:
    ids, mask = inputs(side)
    out = net(ids, mask)
    return (out,) if net.cfg.head == "classify" else (out[mask],)


def run_theirs(side: str, reference: Any) -> tuple[tuple[Tensor, ...], list[Tensor]]:
    ids, mask = inputs(side)
    at = (mask.long().cumsum(1) - 1).clamp(min=0)
    out = reference(input_ids=ids, attention_mask=mask.long(), position_ids=at, output_hidden_states=True)
    said = out.logits if "logits" in out else out.last_hidden_state
    return (said if said.dim() == 2 else said[mask],), list(out.hidden_states)


def case(layout: str, head: str | None, shape: str, side: str = "right") -> Case:
    """Return one net of one layout."""
    mask = inputs(side)[1]
    kind = getattr(transformers, LAYOUTS[layout].classes[head])
    return Case(
        family=FAMILY,
        make=lambda: kind(config(layout, shape)),
        mine=partial(run_mine, side),
        theirs=partial(run_theirs, side),
        real=lambda state: state[mask],
        last_is_normed=layout == "gpt2",
    )


ALL = {f"{layout}, {head or 'no head'}": (layout, head) for layout in LAYOUTS for head in LAYOUTS[layout].classes}
every_head = pytest.mark.parametrize(("layout", "head"), ALL.values(), ids=ALL)
every_shape = pytest.mark.parametrize("shape", SHAPES)
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


@every_head
@every_shape
@pytest.mark.parametrize("side", ["right", "left"])
def test_the_same_numbers(layout, head, shape, side, tmp_path):
    check_numbers(case(layout, head, shape, side), tmp_path)


@every_head
@pytest.mark.parametrize("side", ["right", "left"])
def test_the_same_numbers_in_fp64(layout, head, side, tmp_path):
    check_numbers(case(layout, head, "three heads", side), tmp_path, torch.float64)


@every_head
@every_shape
def test_our_files_are_theirs(layout, head, shape, tmp_path):
    check_files(case(layout, head, shape), tmp_path)


@every_head
@every_shape
def test_our_configuration_is_theirs(layout, head, shape):
    """All that theirs says of the net is in what we write, and ours reads back as it was."""
    theirs = getattr(transformers, LAYOUTS[layout].classes[head])(config(layout, shape)).config
    public = FAMILY.formats["hf"]
    cfg = public.read_config(theirs.to_dict() | {"architectures": [LAYOUTS[layout].classes[head]]})
    written = type(theirs)(**public.write_config(cfg)).to_dict()
    assert public.read_config(written) == cfg
    kept = [key for key in LAYOUTS[layout].table.plain if key in theirs.to_dict()]
    for key in (*kept, "bos_token_id", "eos_token_id", "pad_token_id"):
        assert written[key] == theirs.to_dict()[key], key
    if layout == "gpt2":
        assert (written["n_inner"], written["activation_function"]) == (theirs.n_inner, theirs.activation_function)


@every_head
def test_every_damage_to_one_tensor_is_refused(layout, head, tmp_path):
    check_damage(case(layout, head, "three heads"), tmp_path)


@every_head
def test_planted_faults_are_found(layout, head, tmp_path):
    one = case(layout, head, "three heads")
    check_fault(one, tmp_path / "act", lambda cfg: replace(cfg, act="silu"))
    check_fault(one, tmp_path / "eps", lambda cfg: replace(cfg, eps=1e-12), torch.float64)


@every_layout
@pytest.mark.parametrize("named", [True, False], ids=["with the body's name", "without"])
def test_older_files_are_understood(layout, named, tmp_path):
    """Causal masks lay in the file, the tied table twice, and the published gpt2 leaves out the body's name."""
    one = case(layout, "lm", "three heads")
    today = read_safetensors(saved(one.reference(), tmp_path))
    cfg = FAMILY.formats["hf"].read_config(one.reference().config.to_dict() | {"architectures": None})
    old = {name if named else name.removeprefix("transformer."): x for name, x in today.items()}
    body = "transformer." if named else ""
    old |= {f"{body}h.{i}.attn.bias": torch.ones(1, 1, 20, 20).tril() for i in range(2)}
    old |= {f"{body}h.{i}.attn.masked_bias": torch.tensor(-1e4) for i in range(2)}
    old["lm_head.weight"] = today[f"transformer.{LAYOUTS[layout].token}.weight"].clone()
    assert_the_same(cfg, today, old)


@every_layout
def test_a_body_is_found_in_a_file_with_its_name(layout, tmp_path):
    one = case(layout, None, "three heads")
    today = read_safetensors(saved(one.reference(), tmp_path))
    cfg = FAMILY.formats["hf"].read_config(one.reference().config.to_dict() | {"architectures": None})
    assert_the_same(replace(cfg, head=None), today, {f"transformer.{name}": x for name, x in today.items()})


def assert_the_same(cfg: Config, today: dict[str, Tensor], old: dict[str, Tensor]) -> None:
    public = FAMILY.formats["hf"]
    assert public.fit(cfg, old.keys()) == cfg
    with torch.device("meta"):
        like = FAMILY.net(cfg).state_dict()
    new, same = (read_state(public.rules(cfg), x, like, aliases=public.aliases(cfg)) for x in (today, old))
    assert all(torch.equal(new[key], same[key]) for key in like)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale_attn_by_inverse_layer_idx": True}, '"scale_attn_by_inverse_layer_idx" is True, but False is all'),
        ({"scale_attn_weights": False}, '"scale_attn_weights" is False, but True is all'),
        ({"tie_word_embeddings": False}, '"tie_word_embeddings" is False, but True is all'),
        ({"add_cross_attention": True}, '"add_cross_attention" is True, but False is all'),
        ({"activation_function": "tanh"}, "\"activation_function\" is 'tanh', not one of gelu_new"),
        ({"n_embed": 24}, 'unknown key "n_embed". Did you mean "n_embd"'),
        (
            {"architectures": ["GPT2DoubleHeadsModel"]},
            'architecture "GPT2DoubleHeadsModel" is not one of GPT2LMHeadModel',
        ),
        ({"model_type": "gptj"}, 'model_type "gptj" is not one of gpt2, openai-gpt'),
    ],
)
def test_what_no_net_of_ours_can_be_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        FAMILY.formats["hf"].read_config(config("gpt2", "three heads").to_dict() | changes)


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        (Config(pre_norm=False, head="tag"), 'openai-gpt has no "tag" head in transformers'),
        (Config(pre_norm=False, d_ff=5), "openai-gpt cannot express this net's d_ff 5"),
        (Config(pre_norm=False, act="gelu"), "OpenAIGPTModel cannot express this net's act 'gelu'"),
    ],
)
def test_what_their_files_cannot_say_is_not_written(cfg, message):
    with pytest.raises(UnsupportedError, match=message):
        FAMILY.formats["hf"].write_config(cfg)


def test_the_public_configuration_of_gpt1_is_read():
    """Its keys are of 2018: https://huggingface.co/openai-community/openai-gpt/blob/main/config.json."""
    kept = {"afn": "gelu", "attn_pdrop": 0.1, "embd_pdrop": 0.1, "layer_norm_epsilon": 1e-05, "n_embd": 768}
    kept |= {"n_head": 12, "n_layer": 12, "n_positions": 512, "resid_pdrop": 0.1, "vocab_size": 40478}
    old = {"architectures": ["OpenAIGPTLMHeadModel"], "initializer_range": 0.02, "model_type": "openai-gpt"}
    old |= {"n_ctx": 512, "n_special": 0, "predict_special_tokens": True, "summary_activation": None}
    old |= {"summary_first_dropout": 0.1, "summary_proj_to_labels": True, "summary_type": "cls_index"}
    old |= {
        "summary_use_proj": True,
        "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    }
    assert FAMILY.formats["hf"].read_config(kept | old) == FAMILY.sizes["openai-gpt"]


@pytest.mark.parametrize(
    ("size", "n"),
    [
        ("openai-gpt", 116_534_784),
        ("gpt2", 124_439_808),
        ("gpt2-medium", 354_823_168),
        ("gpt2-large", 774_030_080),
        ("gpt2-xl", 1_557_611_200),
        ("gpt3-175b", 174_604_259_328),
    ],
)
def test_sizes_count_what_is_published(size, n):
    with torch.device("meta"):
        net = FAMILY.net(FAMILY.sizes[size])
    assert sum(p.numel() for p in net.parameters()) == n


@pytest.mark.parametrize("size", [size for size in FAMILY.published if size.startswith("gpt3")])
def test_the_sizes_of_gpt3_are_those_of_its_table(size):
    with torch.device("meta"):
        net = FAMILY.net(FAMILY.sizes[size])
    said = FAMILY.published[size].parameters
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(said, rel=0.02)
