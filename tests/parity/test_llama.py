"""Our Llama is that of transformers: the same numbers, the same files."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from parity.loud import saved
from parity.standard import Case, check_damage, check_fault, check_files, check_numbers
from qkv.base import seeds
from qkv.base.errors import ConfigError
from qkv.models.llama import FAMILY, Config
from qkv.models.llama_files import CLASSES
from qkv.weights.files import read_safetensors
from qkv.weights.rules import read_state

STRETCH = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
STRETCH |= {"original_max_position_embeddings": 32}
# of three frequencies in the third shape one stays, one is mixed, one is slowed
SHAPES: dict[str, dict[str, Any]] = {
    "three heads": {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 40},
    "one key head, wide, tied": {"hidden_size": 20, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 6,
                                 "num_hidden_layers": 3, "intermediate_size": 9, "tie_word_embeddings": True},
    "groups of three, stretched": {"hidden_size": 36, "num_attention_heads": 6, "num_key_value_heads": 2,
                                   "num_hidden_layers": 1, "intermediate_size": 17,
                                   "rope_parameters": STRETCH | {"rope_theta": 17.0}},
}  # fmt: skip
PAD = 1


def config(shape: str) -> Any:
    """Return a tiny configuration; the second shape has another activation and several ends."""
    given: dict[str, Any] = SHAPES[shape] | {"vocab_size": 61, "max_position_embeddings": 40, "num_labels": 3}
    given |= {"pad_token_id": PAD, "bos_token_id": 2, "eos_token_id": 3, "rms_norm_eps": 1e-5}
    if shape.startswith("one"):
        given |= {"hidden_act": "gelu", "eos_token_id": [3, 4], "rms_norm_eps": 1e-6}
    return transformers.LlamaConfig(**given)


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


def make(head: str | None, shape: str, wide: bool) -> Any:
    """Build a reference; `wide`: with norms in the type of the net. Its own compute in fp32 even in a net of fp64."""
    net = getattr(transformers, CLASSES[head])(config(shape))
    for module in net.modules():
        if wide and isinstance(module, LlamaRMSNorm):
            module.forward = partial(norm, module)  # type: ignore[assignment]
    return net


def norm(module: LlamaRMSNorm, x: Tensor) -> Tensor:
    return module.weight * x / (x.square().mean(-1, keepdim=True) + module.variance_epsilon).sqrt()


def case(head: str | None, shape: str, side: str = "right", wide: bool = False) -> Case:
    """Return one net."""
    mask = inputs(side)[1]
    return Case(
        family=FAMILY,
        make=partial(make, head, shape, wide),
        mine=partial(run_mine, side),
        theirs=partial(run_theirs, side),
        real=lambda state: state[mask],
        last_is_normed=True,
    )


every_head = pytest.mark.parametrize("head", CLASSES, ids=str)
every_shape = pytest.mark.parametrize("shape", SHAPES)
every_side = pytest.mark.parametrize("side", ["right", "left"])


@every_head
@every_shape
@every_side
def test_the_same_numbers(head, shape, side, tmp_path):
    check_numbers(case(head, shape, side), tmp_path)


@every_head
@every_shape
@every_side
def test_the_same_numbers_in_fp64(head, shape, side, tmp_path):
    """But for the reference's norms, which would leave seven digits; with them in fp64, too, all others agree."""
    check_numbers(case(head, shape, side, wide=True), tmp_path, torch.float64)


@every_head
@every_shape
def test_our_files_are_theirs(head, shape, tmp_path):
    check_files(case(head, shape), tmp_path)


@every_head
@every_shape
def test_our_configuration_is_theirs(head, shape):
    """All that theirs says of the net is in what we write, and ours reads back as it was."""
    theirs, public = config(shape).to_dict() | {"architectures": [CLASSES[head]]}, FAMILY.formats["hf"]
    cfg = public.read_config(theirs)
    written = transformers.LlamaConfig(**public.write_config(cfg)).to_dict()
    assert public.read_config(written) == cfg
    apart = {"architectures", "dtype", "id2label", "label2id", "transformers_version", "classifier_dropout"}
    assert {k: v for k, v in written.items() if k not in apart} == {k: v for k, v in theirs.items() if k not in apart}


@every_head
@pytest.mark.parametrize("shape", list(SHAPES)[:2])
def test_every_damage_to_one_tensor_is_refused(head, shape, tmp_path):
    check_damage(case(head, shape), tmp_path)


@every_head
def test_planted_faults_are_found(head, tmp_path):
    """An epsilon of 1e-5 for 1e-6, Llama 1's, among them: fp64 hears it."""
    one, two, three = (case(head, shape, wide=True) for shape in SHAPES)
    check_fault(one, tmp_path / "act", lambda cfg: replace(cfg, act="gelu"))
    check_fault(one, tmp_path / "eps", lambda cfg: replace(cfg, eps=1e-6), torch.float64)
    check_fault(two, tmp_path / "theta", lambda cfg: replace(cfg, theta=500_000.0))
    check_fault(three, tmp_path / "stretch", lambda cfg: replace(cfg, stretch=None))


def read(cfg: Config, file: dict[str, Tensor]) -> dict[str, Tensor]:
    public = FAMILY.formats["hf"]
    assert public.fit(cfg, file.keys()) == cfg
    with torch.device("meta"):
        like = FAMILY.net(cfg).state_dict()
    return read_state(public.rules(cfg), file, like, aliases=public.aliases(cfg))


@pytest.mark.parametrize("head", ["lm", None], ids=str)
def test_older_files_are_understood(head, tmp_path):
    """Frequencies lay in the file, a tied table twice; a body's names may have the prefix or leave it out."""
    one = case(head, "one key head, wide, tied")
    today = read_safetensors(saved(one.reference(), tmp_path))
    cfg = FAMILY.formats["hf"].read_config(one.reference().config.to_dict() | {"architectures": [CLASSES[head]]})
    old = dict(today)
    body = "model." if head else ""
    old |= {f"{body}layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(3) for i in range(3)}
    old |= {"lm_head.weight": today["model.embed_tokens.weight"].clone()} if head else {}
    other = {name.removeprefix("model.") if head else f"model.{name}": x for name, x in today.items()}
    new = read(cfg, today)
    for file in (old, other):
        assert all(torch.equal(x, new[name]) for name, x in read(cfg, file).items())


def test_the_public_configuration_of_llama_3_2_is_read():
    """As https://huggingface.co/meta-llama/Llama-3.2-1B/blob/main/config.json has it, in the old spelling."""
    told = {"architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0}
    told |= {"bos_token_id": 128000, "eos_token_id": 128001, "head_dim": 64, "hidden_act": "silu", "hidden_size": 2048}
    told |= {"initializer_range": 0.02, "intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": False}
    told |= {"model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8}
    told |= {"pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0,
             "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}}  # fmt: skip
    told |= {"rope_theta": 500000.0, "tie_word_embeddings": True, "torch_dtype": "bfloat16", "use_cache": True}
    cfg = FAMILY.formats["hf"].read_config(told | {"vocab_size": 128256, "transformers_version": "4.45.0.dev0"})
    assert cfg == replace(FAMILY.sizes["llama-3.2-1b"], start_id=128_000, end_ids=(128_001,))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("key", ["type", "rope_type"])
def test_the_old_spelling_of_rotary_positions_is_the_new_one(shape, key):
    """Llama 2's files have `rope_theta` and perhaps `type`, 3.1's `rope_type`."""
    new = config(shape).to_dict()
    rope = dict(new["rope_parameters"])
    old = {k: v for k, v in new.items() if k != "rope_parameters"} | {"rope_theta": rope.pop("rope_theta")}
    kind = rope.pop("rope_type")
    old["rope_scaling"] = {key: kind, **rope} if rope else None
    public = FAMILY.formats["hf"]
    assert public.read_config(old) == public.read_config(new)


def test_files_without_theta_groups_or_width_have_the_first_ones():
    """Those of Llama 2 say nothing of theta, and leave out what equals the default."""
    told = config("three heads").to_dict()
    short = {k: v for k, v in told.items() if k not in ("rope_parameters", "num_key_value_heads", "head_dim")}
    public = FAMILY.formats["hf"]
    assert public.read_config(short) == public.read_config(told)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention_bias": True}, '"attention_bias" is True, but False is all'),
        ({"mlp_bias": True}, '"mlp_bias" is True, but False is all'),
        ({"pretraining_tp": 2}, '"pretraining_tp" is 2, but 1 is all'),
        (
            {"rope_parameters": {"rope_type": "yarn", "factor": 2.0}},
            "\"rope_type\" is 'yarn', not one of default, llama3",
        ),
        ({"rope_parameters": {"rope_type": "linear", "type": "llama3"}}, "\"rope_type\" is 'linear'"),
        ({"rope_parameters": STRETCH | {"factor": None}}, "of \"rope_type\" 'llama3' do not fit factor"),
        ({"rope_parameters": STRETCH | {"type": "default"}}, "of \"rope_type\" 'llama3' do not fit type"),
        ({"rope_parameters": {"factor": 2.0}}, "of \"rope_type\" 'default' do not fit factor"),
        ({"rope_parameters": ["llama3"]}, "of \"rope_type\" 'default' do not fit"),
        ({"head_dim": 7}, "d_head is 7; it must be even"),
        ({"num_key_value_heads": 2}, r"n_heads \(3\) must be a multiple of n_kv_heads \(2\)"),
        ({"hidden_size": 25}, r"d_model \(25\) must be a multiple of n_heads \(3\)"),
        ({"rope_parameters": {"rope_theta": 0.0}}, "theta 0.0 and stretch None must be positive"),
        ({"sliding_window": 5}, 'unknown key "sliding_window"'),
        ({"architectures": ["LlamaForQuestionAnswering"]}, 'architecture "LlamaForQuestionAnswering" is not one of'),
    ],
)
def test_what_no_net_of_ours_can_be_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        FAMILY.formats["hf"].read_config(config("three heads").to_dict() | changes)


@pytest.mark.parametrize(
    ("size", "n"),
    [
        ("llama-2-7b", 6_738_415_616),
        ("llama-2-13b", 13_015_864_320),
        ("llama-2-70b", 68_976_648_192),
        ("llama-3-8b", 8_030_261_248),
        ("llama-3-70b", 70_553_706_496),
        ("llama-3.1-8b", 8_030_261_248),
        ("llama-3.1-70b", 70_553_706_496),
        ("llama-3.1-405b", 405_853_388_800),
        ("llama-3.2-1b", 1_235_814_400),
        ("llama-3.2-3b", 3_212_749_824),
    ],
)
def test_sizes_count_what_is_published(size, n):
    """To the unit: 16-bit public files have twice as many bytes of tensors."""
    with torch.device("meta"):
        net = FAMILY.net(FAMILY.sizes[size])
    assert sum(p.numel() for p in net.parameters()) == n
