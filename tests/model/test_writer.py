"""A folder that transformers wrote, loaded, asked and written back: decoders of texts."""

import pytest
import torch
from transformers import AutoTokenizer

import qkv
from model.public_folders import TEXTS, gpt_folder
from qkv.base.errors import ConfigError, ShapeError, UnsupportedError


def test_it_writes_what_the_reference_writes(tmp_path):
    reference = gpt_folder(tmp_path).double()
    reference.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, padding_side="left")
    tokenizer.pad_token_id = tokenizer.eos_token_id
    prompts = ["the small", "a red bird sees", "the"]
    batch = tokenizer(prompts, return_tensors="pt", padding=True)
    wanted = reference.generate(**batch, max_new_tokens=12, do_sample=False)[:, batch["input_ids"].size(1) :]
    found = qkv.load(tmp_path).generate(prompts, n_tokens=12)
    for row, one in zip(wanted.tolist(), found, strict=True):
        assert one.ids == row[: len(one.ids)]
        assert one.text == tokenizer.decode(one.ids, skip_special_tokens=True)


def test_what_is_streamed_is_what_is_returned(tmp_path):
    gpt_folder(tmp_path)
    parts: list[str] = []
    (one,) = qkv.load(tmp_path).generate(["the"], n_tokens=10, stream=lambda i, ids, text: parts.append(text))
    assert "".join(parts) == one.text


def test_an_empty_prompt_wants_a_beginning(tmp_path):
    gpt_folder(tmp_path)
    model = qkv.load(tmp_path)
    with pytest.raises(ShapeError, match="Prompt is empty: give text, or --bos"):
        model.generate([""])
    assert model.generate([""], bos=True, n_tokens=3)[0].ids
    with pytest.raises(ConfigError, match="generate takes a list of prompts"):
        model.generate("the")
    with pytest.raises(UnsupportedError, match="A gpt model cannot fill; it can generate"):
        model.fill("a [MASK]")
    with pytest.raises(ShapeError, match="this model has 64 positions"):
        model.generate(["the"], n_tokens=100)


def test_packed_copies_write_and_vectors_stay_near(tmp_path):
    gpt_folder(tmp_path)
    model = qkv.load(tmp_path)
    assert model.packed("fp32").generate(["the"], n_tokens=8)[0].ids == model.generate(["the"], n_tokens=8)[0].ids
    together = model.embed(TEXTS[:4])
    torch.testing.assert_close(together[1:2], model.embed(TEXTS[1:2]), rtol=0, atol=1e-5)
