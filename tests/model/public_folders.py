"""Small models with tokenizers or preprocessors, in folders as transformers writes them."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import transformers

import qkv
from parity.loud import loud
from qkv.text.train import train_byte_bpe, train_wordpiece

TEXTS = [f"the {size} {thing} sees a {colour} bird" for size in ("small", "old", "tall") for thing in ("house", "cat")
         for colour in ("red", "blue", "green")]  # fmt: skip
NARROW: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 32}


def bert_folder(folder: Path, head: str = "ForMaskedLM", **config: Any) -> Any:
    """Write a loud BERT with a WordPiece tokenizer; return the reference in eval mode."""
    tokenizer = train_wordpiece(TEXTS, 120)
    sizes: dict[str, Any] = {
        "vocab_size": tokenizer.vocab_size,
        "max_position_embeddings": 32,
        "pad_token_id": tokenizer.pad_id,
    }
    reference = loud(getattr(transformers, f"Bert{head}")(transformers.BertConfig(**NARROW | sizes | config)))
    reference.save_pretrained(folder)
    tokenizer.save(folder)
    return reference


def gpt_folder(folder: Path, head: str = "LMHeadModel", **config: Any) -> Any:
    """Write a loud GPT-2 with a byte-level tokenizer; return the reference in eval mode."""
    tokenizer = train_byte_bpe(TEXTS, 300)
    sizes: dict[str, Any] = {
        "n_embd": 24,
        "n_layer": 2,
        "n_head": 3,
        "n_positions": 64,
        "vocab_size": tokenizer.vocab_size,
    }
    ends: dict[str, Any] = {
        "bos_token_id": tokenizer.end_id,
        "eos_token_id": tokenizer.end_id,
        "pad_token_id": tokenizer.end_id,
    }
    reference = loud(getattr(transformers, f"GPT2{head}")(transformers.GPT2Config(**sizes | ends | config)))
    reference.save_pretrained(folder)
    tokenizer.save(folder)
    return reference


def vit_folder(folder: Path, **config: Any) -> Any:
    """Write a loud ViT with its preprocessor; return the reference in eval mode."""
    labels: dict[str, Any] = {"id2label": {0: "cat", 1: "dog", 2: "fish"}, "label2id": {"cat": 0, "dog": 1, "fish": 2}}
    sizes: dict[str, Any] = {"image_size": 32, "patch_size": 8, "layer_norm_eps": 1e-6}
    made = transformers.ViTConfig(**NARROW | labels | sizes | config)
    reference = loud(transformers.ViTForImageClassification(made))
    reference.save_pretrained(folder)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return reference


def llama_folder(folder: Path) -> Any:
    """Write a loud Llama with grouped queries."""
    tokenizer = train_byte_bpe(TEXTS, 300)
    sizes: dict[str, Any] = NARROW | {"num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 64}
    rope: dict[str, Any] = {"rope_theta": 10000.0, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0}
    rope |= {"high_freq_factor": 4.0, "original_max_position_embeddings": 32}
    config = transformers.LlamaConfig(**sizes, rope_parameters=rope, vocab_size=tokenizer.vocab_size)
    loud(transformers.LlamaForCausalLM(config)).save_pretrained(folder)
    tokenizer.save(folder)


def deberta_folder(folder: Path) -> Any:
    """Write a loud DeBERTa-v3 that labels texts."""
    tokenizer = train_wordpiece(TEXTS, 120)
    sizes: dict[str, Any] = NARROW | {
        "vocab_size": tokenizer.vocab_size,
        "max_position_embeddings": 32,
        "type_vocab_size": 0,
    }
    apart: dict[str, Any] = {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "position_buckets": 8,
    }
    apart |= {"norm_rel_ebd": "layer_norm", "position_biased_input": False, "pooler_hidden_size": 24}
    config = transformers.DebertaV2Config(**sizes, **apart)
    loud(transformers.DebertaV2ForSequenceClassification(config)).save_pretrained(folder)
    tokenizer.save(folder)


def swin_folder(folder: Path) -> Any:
    """Write a loud Swin whose windows shift and are padded."""
    sizes: dict[str, Any] = {"image_size": 32, "patch_size": 4, "embed_dim": 12, "depths": [2, 2], "num_heads": [2, 4]}
    loud(transformers.SwinForImageClassification(transformers.SwinConfig(**sizes, window_size=3))).save_pretrained(
        folder
    )
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


def converted(make: Callable[[Path], Any], format: str) -> Callable[[Path], Any]:
    """Return what writes a model in another format than transformers'."""

    def write(folder: Path) -> None:
        with TemporaryDirectory() as before:
            make(Path(before))
            qkv.load(before).save(folder, format=format)

    return write


MODELS: dict[str, Callable[[Path], Any]] = {
    "bert": bert_folder,
    "gpt": gpt_folder,
    "llama": llama_folder,
    "deberta": deberta_folder,
    "vit": vit_folder,
    "swin": swin_folder,
    "vit in timm": converted(vit_folder, "timm"),
    "llama in qkv": converted(llama_folder, "qkv"),
}
