"""Small models with tokenizers or preprocessors, in folders as transformers writes them."""

from pathlib import Path
from typing import Any

import transformers

from parity.loud import loud
from qkv.text.train import train_byte_bpe, train_wordpiece

TEXTS = [f"the {size} {thing} sees a {colour} bird" for size in ("small", "old", "tall") for thing in ("house", "cat")
         for colour in ("red", "blue", "green")]  # fmt: skip


def bert_folder(folder: Path, head: str = "ForMaskedLM", **config: Any) -> Any:
    """Write a loud BERT with a WordPiece tokenizer; return the reference in eval mode."""
    tokenizer = train_wordpiece(TEXTS, 120)
    given = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 32}
    sizes = {"vocab_size": tokenizer.vocab_size, "max_position_embeddings": 32, "pad_token_id": tokenizer.pad_id}
    reference = loud(getattr(transformers, f"Bert{head}")(transformers.BertConfig(**given | sizes | config)))
    reference.save_pretrained(folder)
    tokenizer.save(folder)
    return reference


def gpt_folder(folder: Path, head: str = "LMHeadModel", **config: Any) -> Any:
    """Write a loud GPT-2 with a byte-level tokenizer; return the reference in eval mode."""
    tokenizer = train_byte_bpe(TEXTS, 300)
    sizes = {"n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 64, "vocab_size": tokenizer.vocab_size}
    ends = {"bos_token_id": tokenizer.end_id, "eos_token_id": tokenizer.end_id, "pad_token_id": tokenizer.end_id}
    reference = loud(getattr(transformers, f"GPT2{head}")(transformers.GPT2Config(**sizes | ends | config)))
    reference.save_pretrained(folder)
    tokenizer.save(folder)
    return reference


def vit_folder(folder: Path, **config: Any) -> Any:
    """Write a loud ViT with its preprocessor; return the reference in eval mode."""
    given = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 32}
    labels = {"id2label": {0: "cat", 1: "dog", 2: "fish"}, "label2id": {"cat": 0, "dog": 1, "fish": 2}}
    sizes = {"image_size": 32, "patch_size": 8, "layer_norm_eps": 1e-6}
    made = transformers.ViTConfig(**given | labels | sizes | config)
    reference = loud(transformers.ViTForImageClassification(made))
    reference.save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return reference
