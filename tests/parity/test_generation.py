"""Greedy and beam search go on with prompts as transformers' `generate` does with the same nets."""

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers import GenerationConfig

from parity.loud import loud, ours, saved
from qkv.base import seeds
from qkv.generation.engine import generate
from qkv.generation.sampling import Sampling
from qkv.models import get_family

ENDS, ROOM, V = [3, 4, 8], 20, 61
SIZES: dict[str, Any] = {
    "vocab_size": V,
    "attn_implementation": "sdpa",
    "eos_token_id": 3,
    "pad_token_id": 0,
    "bos_token_id": 2,
}
GPT: dict[str, Any] = {"n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 40}
LLAMA: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "intermediate_size": 40,
    "max_position_embeddings": 40,
}


def reference(name: str) -> Any:
    """Build a net in fp64 whose outputs vary: plain norms, but for the signs of the last, and sharp looks."""
    if name == "gpt":
        net = loud(transformers.GPT2LMHeadModel(transformers.GPT2Config(**SIZES, **GPT))).double()
        norms, last = [net.transformer.ln_f], net.transformer.ln_f
        norms += [norm for block in net.transformer.h for norm in (block.ln_1, block.ln_2)]
    else:
        net = loud(transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES, **LLAMA))).double()
        norms, last = [net.model.norm], net.model.norm
        norms += [n for layer in net.model.layers for n in (layer.input_layernorm, layer.post_attention_layernorm)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.fill_(2.0)
            if getattr(norm, "bias", None) is not None:
                norm.bias.zero_()
        last.weight.mul_(torch.randn(24, generator=seeds.generator("signs")).sign())
    return net


def hundred() -> tuple[Tensor, Tensor]:
    """Draw 100 prompts of 1 to 12 tokens, padded on the left."""
    draw = seeds.generator("prompts")
    mask = torch.arange(12) >= 12 - torch.randint(1, 13, (100, 1), generator=draw)
    return torch.randint(5, V, (100, 12), generator=draw).where(mask, 0), mask


def generated(net: Any, ids: Tensor, mask: Tensor, **settings: Any) -> list[list[int]]:
    """Return what the reference writes, up to an end token."""
    config = GenerationConfig(max_new_tokens=ROOM, do_sample=False, pad_token_id=0, eos_token_id=ENDS, **settings)
    out = net.generate(ids, attention_mask=mask.long(), generation_config=config)[:, ids.size(1) :].tolist()
    ends = [next((i for i, token in enumerate(row) if token in ENDS), ROOM) for row in out]
    return [row[: end + 1] for row, end in zip(out, ends, strict=True)]


@pytest.mark.parametrize("name", ["gpt", "llama"])
@pytest.mark.parametrize(
    ("theirs", "mine"),
    [
        ({}, {}),
        ({"repetition_penalty": 1.4}, {"sampling": Sampling(top_k=1, repetition_penalty=1.4)}),
        ({"num_beams": 4, "length_penalty": 1.0}, {"beams": 4}),
        ({"num_beams": 4, "length_penalty": 0.6}, {"beams": 4, "length_penalty": 0.6}),
        ({"num_beams": 3, "length_penalty": 1.2}, {"beams": 3, "length_penalty": 1.2}),
    ],
    ids=["greedy", "greedy, repeating less", "beam", "beam, shorter", "beam, longer"],
)
@torch.inference_mode()
def test_outputs_are_equal(name, theirs, mine, tmp_path):
    other = reference(name)
    net = ours(saved(other, tmp_path), get_family(name))
    ids, mask = hundred()
    wanted = generated(other, ids, mask, **theirs)
    assert len(set(map(tuple, wanted))) > 30 and len(set(map(len, wanted))) > 5
    found = generate(net, ids, mask, room=ROOM, end_ids=ENDS, **mine)
    assert sum(one.ids == row for one, row in zip(found, wanted, strict=True)) >= 99
