"""A folder as OPUS-MT publishes it: loaded, translated with, saved again, as transformers does it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, MarianConfig, MarianMTModel, MarianTokenizer

from parity.loud import loud, saved
from qkv.model import load
from text.opus import LINES, lay_out


@pytest.fixture
def folder(tmp_path) -> Path:
    """Lay out tokenizers and a net whose outputs depend on the source."""
    folder = lay_out(tmp_path / "opus", "shared")
    n = MarianTokenizer.from_pretrained(folder).vocab_size
    config = MarianConfig(
        vocab_size=n,
        d_model=24,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=3,
        decoder_attention_heads=3,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=128,
        activation_function="swish",
        scale_embedding=True,
        pad_token_id=n - 1,
        decoder_start_token_id=n - 1,
    )
    reference = loud(MarianMTModel(config)).double()
    for key, x in reference.named_parameters():
        if x.dim() == 1:
            x.data.fill_(float("norm.weight" in key))
    reference.generation_config.forced_eos_token_id = None
    return saved(reference, folder)


def test_translations_are_equal(folder):
    texts = [line.strip() for line in LINES[:200:10]]
    tokenizer: Any = MarianTokenizer.from_pretrained(folder)
    reference: Any = MarianMTModel.from_pretrained(folder, dtype=torch.float64)
    pad = tokenizer.pad_token_id
    config = GenerationConfig(
        num_beams=4,
        max_new_tokens=24,
        bad_words_ids=[[pad]],
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
    )
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    theirs = tokenizer.batch_decode(reference.generate(**batch, generation_config=config), skip_special_tokens=True)
    mine = [translated.text for translated in load(folder).translate(texts, beams=4, max_tokens=24)]
    assert len(set(theirs)) > 10
    assert mine == theirs


def test_a_folder_comes_back_bit_for_bit(folder, tmp_path):
    load(folder).save(tmp_path / "again", format="hf")
    for name in ("model.safetensors", "source.spm", "target.spm", "vocab.json", "tokenizer_config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    load_theirs: Any = MarianMTModel.from_pretrained
    loaded, info = load_theirs(tmp_path / "again", output_loading_info=True)
    assert not any(info.values()) and loaded.dtype == torch.float64
    assert MarianTokenizer.from_pretrained(tmp_path / "again")("Hello")["input_ids"]
