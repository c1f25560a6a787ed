"""GPT-2 nets with random weights, as a folder that every contender loads."""

from pathlib import Path
from typing import Any

import torch

GPT2: dict[str, Any] = {"vocab_size": 50_257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}
SMALL: dict[str, Any] = {"vocab_size": 8192, "n_positions": 512, "n_embd": 384, "n_layer": 6, "n_head": 6}


def write_gpt(folder: Path, size: dict[str, Any]) -> None:
    """Write transformers' GPT2LMHeadModel with random weights into a folder, as it saves itself.

    It goes on for as long as it is told: the last token, which would end a text, is never the likeliest. The gains of
    the last norm are 1 or -1 by chance, so that outputs vary (otherwise every token would be its own likeliest
    successor).
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    end = size["vocab_size"] - 1
    model: Any = GPT2LMHeadModel(GPT2Config(**size, bos_token_id=end, eos_token_id=end))
    model.transformer.wte.weight.data.normal_(std=0.05)[end] = 0.0
    model.transformer.ln_f.weight.data.uniform_(-1, 1).sign_()
    model.generation_config.eos_token_id = None
    model.save_pretrained(folder)


def bytes_per_step(size: dict[str, Any], bytes_per_weight: int) -> int:
    """Return the bytes of weights that one step reads: the blocks, and the table that scores the next token."""
    d = size["n_embd"]
    return (size["n_layer"] * 12 * d * d + size["vocab_size"] * d) * bytes_per_weight


def convert_to_ctranslate2(folder: Path, to: Path, n_tokens: int) -> None:
    """Convert such a folder with CTranslate2's own converter; tokens are named by their numbers ("17")."""
    import ctranslate2

    class Tokens:
        bos_token = eos_token = unk_token = str(n_tokens - 1)

        def get_vocab(self) -> dict[str, int]:
            return {str(i): i for i in range(n_tokens)}

    class Converter(ctranslate2.converters.TransformersConverter):
        def load_tokenizer(self, *args: Any, **kwargs: Any) -> Tokens:
            return Tokens()

    Converter(str(folder)).convert(str(to), force=True)
