"""Greedy and beam search write what transformers' `generate` writes with the same MarianMTModel."""

from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from parity.loud import ours, saved
from parity.marian import TINY, marian
from qkv.base import seeds
from qkv.generation.search import beam_search, greedy
from qkv.models.transformer import FAMILY


def lively(name: str) -> Any:
    """Build a reference in fp64 whose outputs depend on their sources, and end sooner or later.

    Loud norms and biases would drown the sources: plain ones here, sharper looks, and a bias towards the end.
    """
    reference = marian(name).double()
    with torch.no_grad():
        for key, x in reference.named_parameters():
            if x.dim() == 1:
                x.fill_(float("norm.weight" in key))
            elif "q_proj" in key:
                x.mul_(3)
        reference.final_logits_bias[0, 0] += 2
    # The reference would put the end where the room ends, whatever the net says: that is no part of the search.
    reference.generation_config.forced_eos_token_id = None
    return reference


def generated(reference: Any, source: torch.Tensor, mask: torch.Tensor, room: int, **settings: Any) -> list[list[int]]:
    """Return the reference's outputs up to their end token; padding is forbidden, as published models forbid it."""
    pad = reference.config.pad_token_id
    config = GenerationConfig(
        max_new_tokens=room,
        do_sample=False,
        bad_words_ids=[[pad]],
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
        **settings,
    )
    out = reference.generate(source, attention_mask=mask, generation_config=config)[:, 1:]
    return [[i for i in row if i != pad] for row in out.tolist()]


def hundred(config: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw 100 sources of 1 to 12 tokens, padded on the right."""
    draw, pad = seeds.generator("sources"), config.pad_token_id
    mask = torch.arange(12) < torch.randint(1, 13, (100, 1), generator=draw)
    return torch.randint(1, pad, (100, 12), generator=draw).where(mask, pad), mask


def varied(outputs: list[list[int]], room: int) -> bool:
    """Tell whether outputs differ among each other, and in length up to the room there is."""
    return len(set(map(tuple, outputs))) > 20 and len(set(map(len, outputs))) > 3 and max(map(len, outputs)) == room


@pytest.mark.parametrize("name", TINY)
def test_greedy_outputs_are_equal_for_64_tokens(name, tmp_path):
    reference = lively(name)
    net = ours(saved(reference, tmp_path), FAMILY)
    source, mask = hundred(reference.config)
    theirs = generated(reference, source, mask, 64)
    assert varied(theirs, 64)
    assert [hypothesis.ids for hypothesis in greedy(net, source, mask, room=64)] == theirs


@pytest.mark.parametrize(("name", "penalty"), [*((name, 1.0) for name in TINY), ("shared", 0.6), ("shared", 2.0)])
def test_beam_outputs_are_equal(name, penalty, tmp_path):
    reference = lively(name)
    net = ours(saved(reference, tmp_path), FAMILY)
    source, mask = hundred(reference.config)
    theirs = generated(reference, source, mask, 40, num_beams=4, length_penalty=penalty, early_stopping=False)
    assert varied(theirs, 40)
    mine = beam_search(net, source, mask, beams=4, length_penalty=penalty, room=40)
    assert sum(a.ids == b for a, b in zip(mine, theirs, strict=True)) >= 99
