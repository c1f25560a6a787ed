"""Marian's configuration and ours: every key is understood, equal both ways, or refused."""

import json

import pytest
import torch
from transformers import MarianConfig

from parity.loud import saved
from parity.marian import TINY, marian
from qkv.base.errors import ConfigError, UnsupportedError
from qkv.models.transformer import FAMILY, Transformer


@pytest.mark.parametrize("name", TINY)
def test_configurations_travel_unchanged(name, tmp_path):
    public, reference = FAMILY.formats["hf"], marian(name)
    theirs = json.loads((saved(reference, tmp_path) / "config.json").read_text("utf-8"))
    cfg = public.read_config(theirs)
    mine = public.write_config(cfg)
    assert public.read_config(mine) == cfg
    assert {key: theirs[key] for key in mine} == mine
    # What is not written is what MarianConfig has anyway: only notes on the making are lost.
    again = MarianConfig.from_dict(mine).to_dict()
    assert {key for key in theirs if theirs[key] != again.get(key)} <= {"dtype", "transformers_version"}


# What Helsinki-NLP/opus-mt-en-de publishes, with the settings that transformers 4.9 kept beside it in one file (from
# the copy in a public test of 2021; not compared with huggingface.co).
PUBLISHED = {
    "vocab_size": 58101, "max_position_embeddings": 512, "d_model": 512, "encoder_ffn_dim": 2048, "encoder_layers": 6,
    "encoder_attention_heads": 8, "decoder_ffn_dim": 2048, "decoder_layers": 6, "decoder_attention_heads": 8,
    "dropout": 0.1, "attention_dropout": 0.0, "activation_dropout": 0.0, "activation_function": "swish",
    "init_std": 0.02, "encoder_layerdrop": 0.0, "decoder_layerdrop": 0.0, "classifier_dropout": 0.0, "use_cache": True,
    "num_hidden_layers": 6, "scale_embedding": True, "return_dict": True, "output_hidden_states": False,
    "output_attentions": False, "torchscript": False, "torch_dtype": None, "use_bfloat16": False, "pruned_heads": {},
    "tie_word_embeddings": True, "is_encoder_decoder": True, "is_decoder": False, "add_cross_attention": False,
    "tie_encoder_decoder": False, "max_length": 512, "min_length": 0, "do_sample": False, "early_stopping": False,
    "num_beams": 4, "num_beam_groups": 1, "diversity_penalty": 0.0, "temperature": 1.0, "top_k": 50, "top_p": 1.0,
    "repetition_penalty": 1.0, "length_penalty": 1.0, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0,
    "bad_words_ids": [[58100]], "num_return_sequences": 1, "chunk_size_feed_forward": 0, "output_scores": False,
    "return_dict_in_generate": False, "forced_bos_token_id": None, "forced_eos_token_id": 0,
    "remove_invalid_values": False, "architectures": ["MarianMTModel"], "finetuning_task": None,
    "id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"},
    "label2id": {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}, "tokenizer_class": None, "prefix": None, "bos_token_id": 0,
    "pad_token_id": 58100, "eos_token_id": 0, "sep_token_id": None, "decoder_start_token_id": 58100,
    "task_specific_params": None, "problem_type": None, "_name_or_path": "Helsinki-NLP/opus-mt-en-de",
    "transformers_version": "4.9.0.dev0", "_num_labels": 3, "add_bias_logits": False, "add_final_layer_norm": False,
    "classif_dropout": 0.0, "gradient_checkpointing": False, "model_type": "marian", "normalize_before": False,
    "normalize_embedding": False, "static_position_embeddings": True,
}  # fmt: skip


def test_a_published_configuration_is_understood():
    cfg = FAMILY.formats["hf"].read_config(PUBLISHED)
    assert (cfg.vocab_size, cfg.d_model, cfg.n_layers, cfg.n_heads, cfg.d_ff) == (58101, 512, 6, 8, 2048)
    assert (cfg.act, cfg.tie, cfg.positions, cfg.scale_embed) == ("silu", "all", "halves", True)
    assert (cfg.pad_id, cfg.start_id, cfg.end_id, cfg.max_len, cfg.dropout) == (58100, 58100, 0, 512, 0.1)
    with torch.device("meta"):
        assert sum(x.numel() for x in Transformer(cfg).parameters()) == 73_886_208


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rope_theta": 1e4}, 'unknown key "rope_theta"'),
        ({"activation_functions": "relu"}, 'unknown key "activation_functions". Did you mean "activation_function"'),
        ({"activation_function": "mish"}, "\"activation_function\" is 'mish', not one of swish, silu, relu, gelu"),
        ({"normalize_before": True}, '"normalize_before" is True, but False is all that this net can be'),
        ({"encoder_layerdrop": 0.1}, '"encoder_layerdrop" is 0.1, but 0.0'),
        ({"model_type": "bart"}, "\"model_type\" is 'bart'"),
        ({"decoder_ffn_dim": 1024}, '"decoder_ffn_dim" is 1024, but "encoder_ffn_dim" is 2048: they must agree'),
        ({"num_hidden_layers": 3}, '"num_hidden_layers" is 3, but "encoder_layers" is 6'),
        ({"decoder_vocab_size": 99}, '"decoder_vocab_size" is 99, but shared embeddings have one vocabulary'),
        ({"tie_word_embeddings": False}, "this net shares all of them or none"),
        ({"d_model": None, "pad_token_id": None}, 'missing key "d_model"; missing key "pad_token_id"'),
    ],
)
def test_what_this_net_cannot_be_is_refused(changes, message):
    with pytest.raises(ConfigError) as raised:
        FAMILY.formats["hf"].read_config(PUBLISHED | changes)
    assert message in str(raised.value)


def test_a_net_that_is_no_marian_is_not_written_as_one():
    with pytest.raises(UnsupportedError, match="cannot express this net's positions 'interleaved'"):
        FAMILY.formats["hf"].write_config(FAMILY.sizes["transformer-tiny"])
