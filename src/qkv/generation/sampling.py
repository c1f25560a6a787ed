"""Draw tokens: which policies shape the distribution, and how a draw depends on nothing but its own text.

Each policy is a function of logits that equals the processor of transformers 5.23 (`generation/logits_process.py`),
and they are applied in its order.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from qkv.base import seeds
from qkv.base.errors import ConfigError
from qkv.generation.likeliest import largest
from qkv.generation.search import Path

HEAD = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How to draw.

    temperature: below 1 prefers likely tokens, above 1 evens out. top_k: only the k likeliest. top_p: only the
    likeliest that together have this probability. min_p: only those at least this share as probable as the likeliest.
    repetition_penalty: above 1 makes tokens less likely that the text holds, a decoder's prompt included.
    seed: equal seeds and prompts give equal texts, whatever else is in the batch; copies of a prompt differ.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        wanted = {
            "temperature": (0 < self.temperature < math.inf, "above 0; without sampling the likeliest token is taken"),
            "top_k": (self.top_k is None or self.top_k >= 1, "at least 1"),
            "top_p": (self.top_p is None or 0 < self.top_p <= 1, "above 0 and at most 1"),
            "min_p": (self.min_p is None or 0 <= self.min_p <= 1, "from 0 to 1"),
            "repetition_penalty": (0 < self.repetition_penalty < math.inf, "above 0; 1 is none"),
        }
        faults = [
            f"{name} is {getattr(self, name)}; it must be {what}" for name, (good, what) in wanted.items() if not good
        ]
        if faults:
            raise ConfigError(". ".join(faults) + ".")


def penalize_repetition(
    logits: Float[Tensor, "n v"], seen: Bool[Tensor, "n v"], penalty: float
) -> Float[Tensor, "n v"]:
    """Divide positive logits of tokens seen before by the penalty, multiply negative ones.

    Keskar et al. 2019, section 4.1 (https://arxiv.org/abs/1909.05858); negative logits as transformers treats them.
    """
    return torch.where(seen, torch.where(logits < 0, logits * penalty, logits / penalty), logits)


def keep_top_k(logits: Float[Tensor, "n v"], k: int) -> Float[Tensor, "n v"]:
    """Forbid all but the k likeliest tokens (Fan et al. 2018, section 5.4, https://arxiv.org/abs/1805.04833)."""
    least = largest(logits, min(k, logits.size(1)))[0][:, -1:]
    return logits.masked_fill(logits < least, -torch.inf)


def keep_top_p(logits: Float[Tensor, "n v"], p: float) -> Float[Tensor, "n v"]:
    """Forbid all but the nucleus: the fewest likeliest tokens that together have probability p.

    Holtzman et al. 2020, section 3.1 (https://arxiv.org/abs/1904.09751). Tokens as likely as its last are in it.
    """
    total = logits.logsumexp(-1, keepdim=True)
    n = min(HEAD, logits.size(1))
    values = largest(logits, n)[0]
    if n < logits.size(1) and bool(((values - total).exp().sum(-1) < p).any()):
        values = logits.sort(descending=True).values  # a flat distribution: its nucleus reaches beyond the head
    probabilities = (values - total).exp()
    before = probabilities.cumsum(-1) - probabilities
    least = values.masked_fill(before >= p, torch.inf).amin(-1, keepdim=True)
    return logits.masked_fill(logits < least, -torch.inf)


def keep_min_p(logits: Float[Tensor, "n v"], p: float) -> Float[Tensor, "n v"]:
    """Forbid tokens less than p times as probable as the likeliest (Nguyen et al. 2024, https://arxiv.org/abs/2407.01082)."""
    least = logits.amax(-1, keepdim=True) + math.log(p) if p > 0 else -torch.inf
    return logits.masked_fill(logits < least, -torch.inf)


def shape_logits(
    logits: Float[Tensor, "n v"], sampling: Sampling, seen: Bool[Tensor, "n v"] | None
) -> Float[Tensor, "n v"]:
    """Apply all policies; a softmax of what comes out is the distribution that is drawn from."""
    if seen is not None:
        logits = penalize_repetition(logits, seen, sampling.repetition_penalty)
    if sampling.temperature != 1.0:
        logits = logits / sampling.temperature
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p is not None and sampling.top_p < 1.0:
        logits = keep_top_p(logits, sampling.top_p)
    return logits if sampling.min_p is None else keep_min_p(logits, sampling.min_p)


def draw(logits: Float[Tensor, "n v"], at: Float[Tensor, "n"]) -> Int[Tensor, "n"]:
    """Return the token of each row at which its distribution, summed up, passes `at`, a number in [0, 1)."""
    found = []
    for row, number in zip(logits.softmax(-1), at.double(), strict=True):  # one by one: the sums stay in a core's cache
        sums = row.cumsum(0, dtype=torch.float64)
        found.append(torch.searchsorted(sums, number * sums[-1], right=True))
    return torch.stack(found)


class Sampler:
    """Chooses tokens by drawing. The numbers drawn are those of a prompt's own generator, one for each place.

    said: what each text holds before the first token drawn, which is the prompt if the text goes on with it.
    """

    def __init__(
        self,
        sampling: Sampling,
        prompts: Sequence[Sequence[int]],
        said: Sequence[Sequence[int]],
        rooms: Sequence[int],
        never: Sequence[int],
    ) -> None:
        self.sampling, self.said, self.never = sampling, said, never
        self.seen: Tensor | None = None
        self.numbers: list[Tensor] = []
        copies: Counter[tuple[int, ...]] = Counter()
        for prompt, room in zip(map(tuple, prompts), rooms, strict=True):
            own = seeds.generator("sampling", sampling.seed, copies[prompt], *prompt)
            self.numbers.append(torch.rand(room, generator=own, dtype=torch.float64))
            copies[prompt] += 1

    def __call__(self, logits: Float[Tensor, "n v"], paths: Sequence[Path]) -> tuple[Tensor, Tensor]:
        """Return the log-probability (n) of each row's token in the net's own words, and the token (n)."""
        logits, rows = logits.float(), torch.tensor([path.prompt for path in paths], device=logits.device)
        at = torch.stack([self.numbers[path.prompt][len(path.ids)] for path in paths]).to(logits.device)
        allowed = logits.index_fill(1, torch.tensor(self.never, dtype=torch.long, device=logits.device), -torch.inf)
        seen = self._seen(logits)
        tokens = draw(shape_logits(allowed, self.sampling, None if seen is None else seen[rows]), at)
        if seen is not None:
            seen[rows, tokens] = True
        return logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(-1), tokens

    def _seen(self, logits: Float[Tensor, "n v"]) -> Bool[Tensor, "b v"] | None:
        """Return which tokens each text holds, if that matters."""
        if self.seen is None and self.sampling.repetition_penalty != 1.0:
            self.seen = logits.new_zeros((len(self.said), logits.size(1)), dtype=torch.bool)
            for row, said in zip(self.seen, self.said, strict=True):
                row[list(said)] = True
        return self.seen
