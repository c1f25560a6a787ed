"""The references that the tests of Marian share: three small nets that differ in all that they can differ in."""

from typing import Any

import torch
from transformers import MarianConfig, MarianMTModel

from parity.loud import loud
from qkv.base import seeds

TINY: dict[str, dict[str, Any]] = {
    "shared": {
        "vocab_size": 61,
        "d_model": 24,
        "encoder_layers": 3,
        "decoder_layers": 2,
        "encoder_attention_heads": 3,
        "encoder_ffn_dim": 40,
        "activation_function": "swish",
        "scale_embedding": True,
        "pad_token_id": 60,
    },
    "two vocabularies": {
        "vocab_size": 61,
        "decoder_vocab_size": 47,
        "share_encoder_decoder_embeddings": False,
        "d_model": 30,
        "encoder_layers": 1,
        "decoder_layers": 3,
        "encoder_attention_heads": 5,
        "encoder_ffn_dim": 17,
        "activation_function": "relu",
        "scale_embedding": False,
        "pad_token_id": 46,
    },
    "nothing tied": {
        "vocab_size": 35,
        "decoder_vocab_size": 52,
        "share_encoder_decoder_embeddings": False,
        "tie_word_embeddings": False,
        "d_model": 42,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 14,
        "encoder_ffn_dim": 64,
        "activation_function": "gelu",
        "scale_embedding": True,
        "pad_token_id": 34,
    },
}


def marian(name: str) -> Any:
    """Build a loud reference."""
    given: dict[str, Any] = TINY[name] | {
        "decoder_attention_heads": TINY[name]["encoder_attention_heads"],
        "decoder_ffn_dim": TINY[name]["encoder_ffn_dim"],
        "decoder_start_token_id": TINY[name]["pad_token_id"],
        "max_position_embeddings": 80,
        "attn_implementation": "eager",
    }
    return loud(MarianMTModel(MarianConfig(**given)))


def inputs(config: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw sources of several lengths, padded on the right, and targets that begin with the start token."""
    draw = seeds.generator("inputs")
    n = config.pad_token_id
    source = torch.randint(1, n, (4, 11), generator=draw)
    mask = torch.arange(11) < torch.tensor([11, 7, 1, 10])[:, None]
    target = torch.randint(1, n, (4, 9), generator=draw)
    target[:, 0] = n
    return source.where(mask, n), mask, target
