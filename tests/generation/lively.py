"""Small nets of both kinds that write: their outputs vary with the prompt, end at various steps, and repeat little."""

import itertools
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.tiny import SMALL, make, make_lively, sentences
from qkv.generation.search import beam_search, greedy
from qkv.models.family import Decoder

ROOM = 9
LENGTHS = (5, 3, 7, 1, 4, 6)
DECODERS = ("gpt-tiny", "llama-3-8b")
NAMES = (*DECODERS, "transformer-tiny", "bahdanau-tiny")


class Lively(NamedTuple):
    """A net, its prompts padded on the side it wants, and tokens that end its outputs."""

    net: Any
    ids: Tensor
    mask: Tensor
    ends: list[int]

    def rows(self) -> list[Tensor]:
        """Return each prompt alone, without padding."""
        return [ids[mask][None] for ids, mask in zip(self.ids, self.mask, strict=True)]


@cache
@torch.inference_mode()
def lively(name: str) -> Lively:
    """Draw nets in fp64 until the outputs of one end at three steps at least, by one of two tokens, searched or not."""
    for seed in itertools.count():
        torch.manual_seed(seed)
        net = _make(name)
        ids, _, mask = sentences(net.cfg, LENGTHS)
        if isinstance(net, Decoder):
            mask = mask.flip(1)
        free = [one.ids for one in greedy(net, ids, mask, room=ROOM, end_ids=[])]
        for ends in itertools.combinations(range(4, 12), 2):
            lengths = {next((i for i, token in enumerate(row) if token in ends), ROOM) for row in free}
            if len(lengths) > 2 and max(lengths) == ROOM and len({tuple(row) for row in free}) > 4:
                searched = beam_search(net, ids, mask, beams=3, room=ROOM, end_ids=ends)
                if len({len(one.ids) for one in searched}) > 2:
                    return Lively(net, ids, mask, list(ends))
    raise AssertionError


def _make(name: str) -> Any:
    if name not in DECODERS:
        return make_lively(SMALL[name], dtype=torch.float64)
    net = make(SMALL[name], std=0.7, dtype=torch.float64)
    for norm in (part for part in net.modules() if "Norm" in type(part).__name__):
        nn.init.ones_(norm.weight)
        if getattr(norm, "bias", None) is not None:
            nn.init.zeros_(norm.bias)
    if isinstance(net.stack.norm, nn.Identity):
        return net
    net.stack.norm.weight.sign_().mul_(torch.randn_like(net.stack.norm.weight).sign())  # else a token follows itself
    return net


@torch.inference_mode()
def logits(net: Any, prompt: Tensor, ids: list[int]) -> Tensor:
    """Return the logits (t, v) of the token after each prefix of an output, by a pass without a cache."""
    if isinstance(net, Decoder):
        whole = torch.cat((prompt, torch.tensor([ids], dtype=torch.long)), 1)
        return net(whole)[0, prompt.size(1) - 1 :]
    return net(prompt, torch.tensor([[net.cfg.start_id, *ids]]), torch.ones_like(prompt, dtype=torch.bool))[0]
