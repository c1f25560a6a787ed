"""Tables between the keys of a public `config.json` and the fields of ours: read strictly, written back."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from qkv.base.config import choose
from qkv.base.errors import ConfigError, UnsupportedError, brief, nearest

T = TypeVar("T")

# What transformers writes beside any net, now or once: how files were made, how to decode and train. None of it changes
# what a net computes.
# fmt: off
HARMLESS = frozenset((
    "_attn_implementation_autoset", "_name_or_path", "_num_labels", "architectures", "bad_words_ids",
    "begin_suppress_tokens", "bos_token_id", "cls_token_id", "decoder_start_token_id", "directionality",
    "diversity_penalty", "do_sample", "dtype", "early_stopping", "encoder_no_repeat_ngram_size", "eos_token_id",
    "exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id", "forced_eos_token_id",
    "gradient_checkpointing", "id2label", "initializer_range", "label2id", "language", "length_penalty", "max_length",
    "min_length", "name", "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_labels",
    "num_return_sequences", "output_attentions", "output_hidden_states", "output_past", "output_scores", "prefix",
    "pretraining_tp", "problem_type", "remove_invalid_values", "renormalize_logits", "repetition_penalty",
    "return_dict", "return_dict_in_generate", "sep_token_id", "suppress_tokens", "task_specific_params",
    "temperature", "tf_legacy_loss", "tokenizer_class", "top_k", "top_p", "torch_dtype", "torchscript",
    "transformers_version", "typical_p", "unk_token_id", "use_bfloat16", "use_cache",
))
# fmt: on
MAX_LABELS = 2**20
# Activations by the names of transformers; of several that are one here, the first is written.
ACTS = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu": "gelu",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
# What any configuration of transformers may say, and what no net here can be but one way.
FIXED = {
    "add_cross_attention": False,
    "chunk_size_feed_forward": 0,
    "cross_attention_hidden_size": None,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "pruned_heads": {},
    "tie_encoder_decoder": False,
}


@dataclass(frozen=True, kw_only=True)
class ConfigTable:
    """What the keys of one kind of `config.json` mean.

    plain: their key and our field, equal in value. words: their key, our field, and their words with ours, the word
    that is written first. optional: keys of these two that may be absent or null; our field then keeps its default.
    twins: keys that say again what another says, and must agree with it. fixed: what the net can only be one way.
    other: keys that the family reads itself. harmless: what changes nothing, beyond what transformers writes anyway.
    """

    architecture: str
    plain: Mapping[str, str]
    words: Mapping[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    optional: Collection[str] = ()
    twins: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    other: Collection[str] = ()
    harmless: Collection[str] = ()

    def read(self, config: Mapping[str, Any], faults: Collection[str] = ()) -> dict[str, Any]:
        """Return the fields of our configuration.

        Raises ConfigError that lists every key that is unknown, missing or says what the net cannot be, and `faults`,
        which the family found in the keys it reads itself.
        """
        theirs = {key: value for key, value in config.items() if value is not None}
        found = [*self._faults(config, theirs), *faults]
        found = [fault if len(fault) <= 200 else f"{fault[:200]}..." for fault in found]
        if found:
            told = "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
            end = "" if told.endswith("?") else "."
            raise ConfigError(f"config.json: {told}{end} Check that it is a {self.architecture}'s.")
        fields = {ours: theirs[key] for key, ours in self.plain.items() if key in theirs}
        return fields | {ours: words[theirs[key]] for key, (ours, words) in self.words.items() if key in theirs}

    def write(self, cfg: Any) -> dict[str, Any]:
        """Return their keys for a configuration of ours; UnsupportedError names a word that they lack."""
        config = {key: getattr(cfg, ours) for key, ours in self.plain.items()}
        config |= {key: config[twin] for key, twin in self.twins.items() if twin in config}
        for key, (ours, words) in self.words.items():
            found = [theirs for theirs, word in words.items() if word == getattr(cfg, ours)]
            if not found:
                raise UnsupportedError(
                    f"{self.architecture} cannot express this net's {ours} {getattr(cfg, ours)!r}. Save it in qkv's "
                    "own format."
                )
            config[key] = found[0]
        return config

    def _faults(self, config: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
        """Tell what the net does not understand or cannot be; `theirs` are the values but for null."""
        fixed = FIXED | dict(self.fixed)
        known = {*self.plain, *self.words, *self.twins, *fixed, *self.other, *self.harmless, *HARMLESS}
        hints = {key: nearest(key, known) for key in config if key not in known}
        yield from (f'unknown key "{key}"{hint and "."}{hint}' for key, hint in hints.items())
        needed = [key for key in (*fixed.keys() & {"model_type"}, *self.plain, *self.words) if key not in self.optional]
        yield from (f'missing key "{key}"' for key in needed if key not in theirs)
        for key, value in fixed.items():
            if theirs.get(key, value) != value:
                yield f'"{key}" is {theirs[key]!r}, but {value!r} is all that this net can be'
        for key, twin in self.twins.items():
            if key in theirs and theirs[key] != theirs.get(twin):
                yield f'"{key}" is {theirs[key]!r}, but "{twin}" is {theirs.get(twin)!r}: they must agree'
        for key, (_, words) in self.words.items():
            if key in theirs and theirs[key] not in tuple(words):
                yield f'"{key}" is {theirs[key]!r}, not one of {", ".join(words)}'


def read_labels(config: Mapping[str, Any]) -> list[str]:
    """Return the labels of a public configuration in the order of their ids; two without a name if it has none.

    Raises ConfigError if the ids do not run from 0.
    """
    named = config.get("id2label")
    if not named:
        n = config.get("num_labels", 2)
        if type(n) is not int or not 0 < n <= MAX_LABELS:
            raise ConfigError(f'config.json: "num_labels" is {brief(n)}; it must be from 1 to {MAX_LABELS:,}.')
        return name_labels(n)
    try:
        labels = {int(i): str(label) for i, label in named.items()}
    except (AttributeError, ValueError):
        labels = {}
    if not labels or len(labels) != len(named) or sorted(labels) != list(range(len(labels))):
        raise ConfigError(f'config.json: the ids of "id2label" must run from 0 without gap, not {brief(named)}.')
    return [labels[i] for i in range(len(labels))]


def write_labels(labels: Sequence[str]) -> dict[str, Any]:
    """Return the two keys of a public configuration that name its labels."""
    return {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {x: i for i, x in enumerate(labels)},
    }


def count_labels(config: Mapping[str, Any], head: str | None) -> dict[str, int]:
    """Return the n_labels of a net with this head; nothing where the head is not for labels."""
    return {"n_labels": len(read_labels(config))} if head in ("classify", "tag") else {}


def number_labels(cfg: Any) -> dict[str, Any]:
    """Return the two keys for the labels of a net, still without names; nothing where its head is not for labels."""
    return write_labels(name_labels(cfg.n_labels)) if cfg.head in ("classify", "tag") else {}


def name_labels(n: int) -> list[str]:
    """Return the names that transformers gives to labels that have none."""
    return [f"LABEL_{i}" for i in range(n)]


def read_sides(config: Mapping[str, Any], key: str, faults: list[str], *, square: bool = False) -> tuple[int, int]:
    """Return height and width, which a configuration gives as one number or two; faults grows where it does not."""
    value = config.get(key)
    sides = (value, value) if type(value) is int else tuple(value) if isinstance(value, list | tuple) else ()
    if len(sides) == 2 and all(type(side) is int for side in sides) and (not square or sides[0] == sides[1]):
        return sides
    wanted = "one number: patches here are squares" if square else "one or two numbers of pixels"
    faults.append(f'missing key "{key}"' if value is None else f'"{key}" is {value!r}, not {wanted}')
    return 0, 0


def read_head(config: Mapping[str, Any], classes: Mapping[T, str]) -> T:
    """Return the head whose class a public configuration names, or the first of `classes` if it names none."""
    named = config.get("architectures") or list(classes.values())
    name = named[0] if isinstance(named, list) else named
    return choose("architecture", str(name), {name: head for head, name in classes.items()}, "config.json")


def read_special_ids(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the start_id, end_ids and pad_id of a public configuration, but for those that no token can have.

    Such are in many: who makes GPT-2 with another vocabulary and says nothing of its end has 50256 there.
    """
    vocab_size = config.get("vocab_size")
    n = vocab_size if type(vocab_size) is int else 0
    told = (config.get(key) for key in ("bos_token_id", "eos_token_id", "pad_token_id"))
    listed = (ids if isinstance(ids, list) else [ids] for ids in told)
    start, ends, pad = ([i for i in ids if type(i) is int and 0 <= i < n] for ids in listed)
    return {"start_id": start[0] if start else None, "end_ids": tuple(ends), "pad_id": pad[0] if pad else None}


def write_special_ids(cfg: Any) -> dict[str, Any]:
    """Return the keys of a public configuration that name the special ids."""
    end = list(cfg.end_ids) if len(cfg.end_ids) > 1 else next(iter(cfg.end_ids), None)
    return {"bos_token_id": cfg.start_id, "eos_token_id": end, "pad_token_id": cfg.pad_id}
