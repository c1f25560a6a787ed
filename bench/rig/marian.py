"""Marian nets with random weights, as a folder that every contender loads."""

from pathlib import Path
from typing import Any

import torch

OPUS, BASE = 59_514, 37_000  # tokens of opus-mt-en-fr, and of the paper's base model
END = 0
SIZE: dict[str, Any] = {
    "d_model": 512,
    "encoder_layers": 6,
    "decoder_layers": 6,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "decoder_ffn_dim": 2048,
    "activation_function": "swish",
    "scale_embedding": True,
    "static_position_embeddings": True,
    "normalize_before": False,
    "share_encoder_decoder_embeddings": True,
    "tie_word_embeddings": True,
    "max_position_embeddings": 512,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "dropout": 0.1,
}


def write_marian(folder: Path, n_tokens: int, *, endless: bool = False) -> None:
    """Write transformers' MarianMTModel with random weights into a folder, as it saves itself.

    The last token is the padding, and starts the decoder. endless: made to decode for as long as it is told. The bias
    of the logits forbids the end token and the padding, so that no contender has to check for them; the table is wider
    than the layers and the gains of norms are 1 or -1 by chance, so that outputs vary and beams move (otherwise every
    token would be its own likeliest successor).
    """
    from transformers import GenerationConfig, MarianConfig, MarianMTModel

    torch.manual_seed(0)
    special: dict[str, Any] = {
        "pad_token_id": n_tokens - 1,
        "decoder_start_token_id": n_tokens - 1,
        "eos_token_id": END,
    }
    model: Any = MarianMTModel(MarianConfig(**SIZE, vocab_size=n_tokens, **special, init_std=0.03))
    if endless:
        model.final_logits_bias[0, [END, n_tokens - 1]] = -1e4
        table = model.model.shared.weight.data.normal_(std=0.04)
        table[n_tokens - 1] = 0.0
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight.data.uniform_(-1, 1).sign_()
    model.generation_config = GenerationConfig(**special)
    model.save_pretrained(folder)


def convert_to_ctranslate2(folder: Path, to: Path, n_tokens: int) -> None:
    """Convert such a folder with CTranslate2's own converter; tokens are named by their numbers ("17")."""
    import ctranslate2

    class Tokens:
        eos_token, unk_token = str(END), "1"

        def get_vocab(self) -> dict[str, int]:
            return {str(i): i for i in range(n_tokens - 1)} | {"<pad>": n_tokens - 1}

    class Converter(ctranslate2.converters.TransformersConverter):
        def load_tokenizer(self, *args: Any, **kwargs: Any) -> Tokens:
            return Tokens()

    Converter(str(folder)).convert(str(to), force=True)


def pad(rows: list[list[int]], n_tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows side by side, padded on the right, and which places are real."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [n_tokens - 1] * (longest - len(row)) for row in rows])
    return ids, torch.arange(longest) < torch.tensor([len(row) for row in rows])[:, None]
