"""Go on with texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qkv.base.errors import ConfigError
from qkv.generation.outputs import Why
from qkv.generation.sampling import Sampling
from qkv.model import Model
from qkv.verbs.translate import open_model


@dataclass(frozen=True, slots=True)
class Written:
    """A prompt, what was written after it, why it ended, and the log-probability per token."""

    prompt: str
    text: str
    ids: list[int]
    why: Why
    score: float


def generate(
    model: Model | Path | str,
    prompts: Sequence[str],
    *,
    n_tokens: int = 40,
    bos: bool = False,
    beams: int = 1,
    stop: Sequence[str] = (),
    stream: Callable[[int, list[int], str], None] | None = None,
    seed: int = 0,
    dtype: Literal["fp32", "bf16"] = "fp32",
    **drawing: Any,
) -> list[Written]:
    """Go on with each prompt. drawing: the fields of Sampling; if none is given, the likeliest token is taken."""
    given = {name: value for name, value in drawing.items() if value is not None}
    if given and beams > 1:
        raise ConfigError(
            f"--beams searches, {', '.join('--' + name.replace('_', '-') for name in given)} draws: not both."
        )
    sampling = Sampling(**given, seed=seed) if given else None
    found = open_model(model, dtype).generate(
        prompts, n_tokens=n_tokens, bos=bos, sampling=sampling, beams=beams, stop=stop, stream=stream
    )
    return [Written(a, one.text, one.ids, one.why, one.score) for a, one in zip(prompts, found, strict=True)]
