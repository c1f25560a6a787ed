"""The Transformer in the files of OPUS-MT: configuration and names of transformers' MarianMTModel, and ours.

Marian (Junczys-Dowmunt et al. 2018, https://aclanthology.org/P18-4020/) trains them, OPUS-MT (Tiedemann and Thottingal
2020, https://aclanthology.org/2020.eamt-1.61/) publishes them. Reference: transformers 5.23, `models/marian`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from qkv.base.errors import UnsupportedError
from qkv.weights.configs import ConfigTable
from qkv.weights.rules import Rule, join, same

TABLE = ConfigTable(
    architecture="MarianMTModel",
    plain={
        "vocab_size": "vocab_size",
        "d_model": "d_model",
        "encoder_layers": "n_layers",
        "decoder_layers": "n_decoder_layers",
        "encoder_attention_heads": "n_heads",
        "encoder_ffn_dim": "d_ff",
        "max_position_embeddings": "max_len",
        "scale_embedding": "scale_embed",
        "dropout": "dropout",
        "attention_dropout": "dropout_attention",
        "activation_dropout": "dropout_mlp",
        "pad_token_id": "pad_id",
        "decoder_start_token_id": "start_id",
        "eos_token_id": "end_id",
    },
    words={"activation_function": ("act", {"swish": "silu", "silu": "silu", "relu": "relu", "gelu": "gelu"})},
    optional=("dropout", "attention_dropout", "activation_dropout"),
    twins={
        "decoder_attention_heads": "encoder_attention_heads",
        "decoder_ffn_dim": "encoder_ffn_dim",
        "num_hidden_layers": "encoder_layers",
        "num_attention_heads": "encoder_attention_heads",
        "hidden_size": "d_model",
        "forced_eos_token_id": "eos_token_id",
    },
    fixed={
        "model_type": "marian",
        "is_encoder_decoder": True,
        "encoder_layerdrop": 0.0,
        "decoder_layerdrop": 0.0,
        "add_bias_logits": False,
        "add_final_layer_norm": False,
        "normalize_before": False,
        "normalize_embedding": False,
        "static_position_embeddings": True,
    },
    other=("decoder_vocab_size", "share_encoder_decoder_embeddings", "tie_word_embeddings"),
    harmless=(
        "classif_dropout",
        "classifier_dropout",
        "extra_pos_embeddings",
        "force_bos_token_to_be_generated",
        "init_std",
        "save_step",
    ),
)

# Older files hold the table under each of its names, and the fixed positions.
ALIASES: dict[str, str | None] = {
    "lm_head.weight": "model.decoder.embed_tokens.weight",
    "model.decoder.embed_tokens.weight": "model.shared.weight",
    "model.encoder.embed_tokens.weight": "model.shared.weight",
    "model.encoder.embed_positions.weight": None,
    "model.decoder.embed_positions.weight": None,
}


def from_hf(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of our Config that a Marian `config.json` means; ConfigError lists what is wrong with it."""
    theirs = {key: value for key, value in config.items() if value is not None}
    fields = TABLE.read(config, list(_faults(theirs))) | {"positions": "halves", "logits_bias": True}
    if theirs.get("share_encoder_decoder_embeddings", True):
        return fields | {"tie": "all"}
    n_target = theirs.get("decoder_vocab_size", theirs["vocab_size"])
    return fields | {
        "target_vocab_size": n_target,
        "tie": "output" if theirs.get("tie_word_embeddings", True) else "none",
    }


def _faults(theirs: Mapping[str, Any]) -> Iterator[str]:
    """Tell where shared embeddings contradict the keys beside."""
    if theirs.get("share_encoder_decoder_embeddings", True):
        if not theirs.get("tie_word_embeddings", True):
            yield '"tie_word_embeddings" is False, but the embeddings are shared: this net shares all of them or none'
        if theirs.get("decoder_vocab_size", theirs.get("vocab_size")) != theirs.get("vocab_size"):
            yield f'"decoder_vocab_size" is {theirs["decoder_vocab_size"]}, but shared embeddings have one vocabulary'


def to_hf(cfg: Any) -> dict[str, Any]:
    """Return the `config.json` of the same net as MarianMTModel; UnsupportedError lists what Marian cannot be."""
    only = {"positions": "halves", "pre_norm": False, "logits_bias": True, "eps": 1e-5}
    wrong = [
        f"{name} {getattr(cfg, name)!r} (not {value!r})" for name, value in only.items() if getattr(cfg, name) != value
    ]
    if wrong:
        raise UnsupportedError(f"Marian cannot express this net's {', '.join(wrong)}. Save it in qkv's own format.")
    written = TABLE.write(cfg)
    return {
        "architectures": ["MarianMTModel"],
        "model_type": "marian",
        "is_encoder_decoder": True,
        **{key: written[key] for key in (*TABLE.plain, *TABLE.words, "decoder_attention_heads", "decoder_ffn_dim")},
        "decoder_vocab_size": cfg.target_vocab_size or cfg.vocab_size,
        "share_encoder_decoder_embeddings": cfg.tie == "all",
        "tie_word_embeddings": cfg.tie != "none",
        "forced_eos_token_id": cfg.end_id,
    }


def generation_to_hf(cfg: Any) -> dict[str, Any]:
    """Return the `generation_config.json` with which MarianMTModel decodes as qkv does: never padding."""
    return {
        "bad_words_ids": [[cfg.pad_id]],
        "decoder_start_token_id": cfg.start_id,
        "eos_token_id": cfg.end_id,
        "max_length": cfg.max_len,
        "num_beams": 4,
        "pad_token_id": cfg.pad_id,
    }


def rules(cfg: Any) -> list[Rule]:
    """Return the table of names between a Marian `model.safetensors` and our net."""
    table = [same("model.shared.weight", "token.weight")]
    if cfg.tie != "all":
        table = [
            same("model.encoder.embed_tokens.weight", "token.weight"),
            same("model.decoder.embed_tokens.weight", "target_token.weight"),
        ]
    if cfg.tie == "none":
        table.append(same("lm_head.weight", "head.weight"))
    return [
        *table,
        same("final_logits_bias", "logits_bias"),
        *_block("model.encoder.layers.*", "encoder.blocks.*", cfg.d_model),
        *_block("model.decoder.layers.*", "decoder.blocks.*", cfg.d_model),
        *_cross("model.decoder.layers.*.encoder_attn", "decoder.blocks.*", cfg.d_model),
    ]


def _block(theirs: str, ours: str, d: int) -> list[Rule]:
    """Return the rows of self-attention and MLP of a stack's blocks."""
    names = {
        "self_attn.out_proj": "attention.out",
        "self_attn_layer_norm": "norm_attention",
        "fc1": "mlp.up",
        "fc2": "mlp.down",
        "final_layer_norm": "norm_mlp",
    }
    return [
        rule
        for part in ("weight", "bias")
        for rule in (
            join([f"{theirs}.self_attn.{x}_proj.{part}" for x in "qkv"], f"{ours}.attention.qkv.{part}", 0, (d, d, d)),
            *(same(f"{theirs}.{a}.{part}", f"{ours}.{b}.{part}") for a, b in names.items()),
        )
    ]


def _cross(theirs: str, ours: str, d: int) -> list[Rule]:
    """Return the rows of the decoder's look at the source."""
    return [
        rule
        for part in ("weight", "bias")
        for rule in (
            same(f"{theirs}.q_proj.{part}", f"{ours}.cross.q.{part}"),
            join([f"{theirs}.{x}_proj.{part}" for x in "kv"], f"{ours}.cross.kv.{part}", 0, (d, d)),
            same(f"{theirs}.out_proj.{part}", f"{ours}.cross.out.{part}"),
            same(f"{theirs}_layer_norm.{part}", f"{ours}.norm_cross.{part}"),
        )
    ]
