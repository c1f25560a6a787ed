"""Folders of tokenizers in every layout that public text models are kept in, learned on the spot."""

import io
import json
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from pydoc_data import topics
from tempfile import TemporaryDirectory
from typing import Any

import sentencepiece
from babel import Locale
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as Library
from transformers import AutoTokenizer

from qkv.base import seeds
from qkv.text.public import TextTokenizer
from qkv.text.train import train_byte_bpe, train_wordpiece

PROSE = [line for topic in topics.topics.values() for line in topic.split("\n") if line.strip()]
LOCALES = ("en", "fr", "de", "hu", "ru", "el", "he", "ar", "fa", "hi", "ta", "th", "zh", "ja", "ko", "vi", "am", "ka")
SPECIAL = ("<s>", "</s>", "<pad>", "<unk>", "<mask>", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "<|endoftext|>", "<extra>")
SPACES = (" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\u3000", "\u200b", "\u2028", "\x85", "\x1c", "   \n ")
ODD = (
    "e\u0301",
    "a\u0308\u0323",
    "\u0301",
    "👍🏽",
    "👩\u200d👩\u200d👧",
    "🇫🇷",
    "\x00",
    "\x07",
    "\x7f",
    "\ufeff",
    "\ufffd",
)
ODD += ("\u202e", "\u00ad", "ﬁ", "ﷺ", "½", "²", "™", "İ", "ß", "ǅ", "Å", "▁", "Ġ", "##", "</w>", "<0x41>", "..", "''")


@cache
def names() -> list[str]:
    """List the names of languages and territories in many scripts."""
    locales = [Locale.parse(code) for code in LOCALES]
    return [name for locale in locales for table in (locale.languages, locale.territories) for name in table.values()]


def strings(n: int) -> list[str]:
    """Draw strings of many scripts: names, prose, characters of every block, emoji, marks, controls, runs of spaces."""
    draw = seeds.draw("public tokenizers", n)
    blocks = [
        *range(0, 0x3000, 0x80),
        0x3040,
        0x4E00,
        0xAC00,
        0xFB00,
        0xFF00,
        0x10300,
        0x1D400,
        0x1F600,
        0x20000,
        0xE000,
    ]

    def characters() -> str:
        start, size = draw.choice(blocks), draw.choice((4, 64, 128))
        return "".join(chr(start + draw.randrange(size)) for _ in range(draw.randrange(1, 12)))

    def part() -> str:
        kind = draw.randrange(8)
        if kind == 0:
            return characters()
        if kind == 1:
            return "".join(draw.choice(SPACES) for _ in range(draw.randrange(1, 4)))
        if kind == 2:
            return draw.choice(ODD)
        if kind == 3:
            return draw.choice(SPECIAL)
        if kind == 4:
            return unicodedata.name(chr(draw.randrange(32, 0x3000)), "no name").lower()
        return draw.choice(names()) if kind < 7 else draw.choice(PROSE)[: draw.randrange(80)]

    drawn = ["", " ", "a", *SPACES, *ODD, *SPECIAL, "x" * 300, " ".join(SPECIAL), " Hello  world ", "<s>a <mask>b </s>"]
    drawn += [draw.choice(" ").join(part() for _ in range(draw.randrange(1, 7))) for _ in range(n)]
    return drawn[:n]


@cache
def corpus() -> tuple[str, ...]:
    """Return the lines that the tokenizers learn from."""
    return (*PROSE[:2500], *names()[::3])


@cache
def pieces(kind: str) -> bytes:
    """Learn a SentencePiece model: "unigram", "brackets" (with DeBERTa's special tokens) or "bpe" (as Llama 2's)."""
    settings: dict[str, Any] = {"vocab_size": 1500, "character_coverage": 0.995, "minloglevel": 2}
    if kind == "brackets":
        marks = {"pad": "[PAD]", "bos": "[CLS]", "eos": "[SEP]", "unk": "[UNK]"}
        settings |= {f"{name}_id": i for i, name in enumerate(marks)}
        settings |= {f"{name}_piece": mark for name, mark in marks.items()} | {"user_defined_symbols": ["<extra>"]}
    if kind == "bpe":
        settings |= {"model_type": "bpe", "byte_fallback": True, "normalization_rule_name": "identity"}
        settings |= {"remove_extra_whitespaces": False, "split_digits": True}
    model = io.BytesIO()
    lines = iter(corpus())
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=lines, model_writer=model, **settings)
    return model.getvalue()


def saved(tokenizer: TextTokenizer, *names: str) -> dict[str, bytes]:
    """Return some of the files that a tokenizer writes."""
    with TemporaryDirectory() as folder:
        tokenizer.save(folder)
        return {name: (Path(folder) / name).read_bytes() for name in names}


@cache
def word_pieces() -> bytes:
    """Learn BERT's vocab.txt."""
    return saved(train_wordpiece(corpus(), 2000), "vocab.txt")["vocab.txt"]


@cache
def byte_pairs(*special: str) -> dict[str, bytes]:
    """Learn GPT-2's vocab.json and merges.txt, or with the given special tokens in front, RoBERTa's."""
    files = saved(train_byte_bpe(corpus(), 1500), "vocab.json", "merges.txt")
    ids = [*special, *json.loads(files["vocab.json"])]
    return files | {"vocab.json": as_bytes({token: i for i, token in enumerate(ids[:-1] if special else ids)})}


@cache
def old_pairs() -> dict[str, bytes]:
    """Learn GPT-1's vocab.json and merges.txt, where "</w>" ends a word."""
    library = Library(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    library.normalizer, library.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=1500, special_tokens=["<unk>"], end_of_word_suffix="</w>", limit_alphabet=300, show_progress=False
    )
    library.train_from_iterator(corpus(), trainer)
    model = json.loads(library.to_str())["model"]
    merges = "".join(f"{left} {right}\n" for left, right in model["merges"])
    return {"vocab.json": as_bytes(model["vocab"]), "merges.txt": f"#version: 0.2\n{merges}".encode()}


@cache
def llama3() -> bytes:
    """Make a tokenizer.json as Llama 3's: its own way of cutting, bytes, whole words first, a start by template."""
    words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    words += r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    files = byte_pairs()
    ids = json.loads(files["vocab.json"])
    ids.pop("<|endoftext|>")
    merges = [
        (left, right)
        for left, _, right in (line.partition(" ") for line in files["merges.txt"].decode().split("\n")[1:-1])
    ]
    library = Library(models.BPE(ids, merges, ignore_merges=True))
    library.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    library.decoder = decoders.ByteLevel()
    start = "<|begin_of_text|>"
    library.add_special_tokens([start, "<|end_of_text|>", "<|eot_id|>"])
    around = processors.TemplateProcessing(
        single=f"{start} $A", pair=f"{start} $A {start}:1 $B:1", special_tokens=[(start, library.token_to_id(start))]
    )
    library.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), around])
    return library.to_str().encode()


def as_bytes(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode()


def flagged(content: str, **flags: bool) -> dict[str, Any]:
    return {"content": content, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False} | flags


def layouts() -> Mapping[str, Mapping[str, Any]]:
    """Return the files of every layout; "kind" stands for a config.json with this model_type."""
    fairseq = byte_pairs("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    bert, unigram, brackets, llama = {"vocab.txt": word_pieces()}, pieces("unigram"), pieces("brackets"), pieces("bpe")
    config, tokens = "tokenizer_config.json", "special_tokens_map.json"
    added = {str(i): flagged(f"[{name}]", special=True) for i, name in enumerate(("PAD", "UNK", "CLS", "SEP", "MASK"))}
    added["2000"] = flagged("<extra>", normalized=True, single_word=True)
    start = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True}
    return {
        "bert": bert | {"kind": "bert", config: {"do_lower_case": True}},
        "bert-cased": bert | {"kind": "bert", config: {"do_lower_case": False, "clean_up_tokenization_spaces": True}},
        "bert-odd": bert
        | {
            config: {"tokenizer_class": "BertTokenizerFast", "do_lower_case": False, "strip_accents": True}
            | {"tokenize_chinese_chars": False, "added_tokens_decoder": added, "truncation_side": "left"}
        },
        "distilbert": bert | {"kind": "distilbert"},
        "gpt2": byte_pairs() | {"kind": "gpt2"},
        "gpt2-odd": byte_pairs()
        | {
            "kind": "gpt2",
            config: {"add_prefix_space": True, "add_bos_token": True, "clean_up_tokenization_spaces": True},
            tokens: {"bos_token": flagged("<s>"), "pad_token": "<pad>", "additional_special_tokens": ["<extra>"]},
        },
        "roberta": fairseq | {"kind": "roberta"},
        "roberta-odd": fairseq
        | {"kind": "roberta", tokens: {"mask_token": flagged("<mask>", lstrip=True)}}
        | {config: {"add_prefix_space": True, "trim_offsets": False}},
        "gpt1": old_pairs() | {"kind": "openai-gpt"},
        "camembert": {"sentencepiece.bpe.model": unigram, "kind": "camembert"},
        "xlm-roberta": {"sentencepiece.bpe.model": unigram, "kind": "xlm-roberta"},
        "xlm-roberta-odd": {
            "sentencepiece.bpe.model": unigram,
            config: {"tokenizer_class": "XLMRobertaTokenizer", "mask_token": flagged("<mask>", lstrip=True) | TYPED},
        },
        "deberta": {"spm.model": brackets, "kind": "deberta-v2", config: {"do_lower_case": False, "vocab_type": "spm"}},
        "deberta-odd": {
            "spm.model": brackets,
            "kind": "deberta-v2",
            config: {"do_lower_case": True, "split_by_punct": True},
            "added_tokens.json": {"[MASK]": 1500, "<new>": 1501},
        },
        "llama2": {"tokenizer.model": llama, "kind": "llama", config: start | {"legacy": False}},
        "llama2-odd": {
            "tokenizer.model": llama,
            "kind": "llama",
            config: start | {"add_eos_token": True, "legacy": True, "pad_token": "<pad>"},
        },
        "llama3": {
            "tokenizer.json": llama3(),
            "kind": "llama",
            config: {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin_of_text|>"}
            | {"eos_token": "<|end_of_text|>", "model_input_names": ["input_ids", "attention_mask"]},
        },
    }


TYPED = {"__type": "AddedToken"}
BERTS = ("bert", "bert-cased", "bert-odd", "distilbert")
BYTES = ("gpt2", "gpt2-odd", "roberta", "roberta-odd", "gpt1", "llama3")
MODELS = ("camembert", "xlm-roberta", "xlm-roberta-odd", "deberta", "deberta-odd", "llama2", "llama2-odd")
NAMES = (*BERTS, *BYTES, *MODELS)


def lay_out(folder: Path, name: str) -> Path:
    """Write the folder of a tokenizer; "NAME.json" is NAME as transformers saves it, in a tokenizer.json."""
    base = name.removesuffix(".json")
    folder.mkdir(parents=True, exist_ok=True)
    files = dict(layouts()[base])
    if kind := files.pop("kind", None):
        files["config.json"] = {"model_type": kind}
    for file, content in files.items():
        (folder / file).write_bytes(content if isinstance(content, bytes) else as_bytes(content))
    if base == name:
        return folder
    whole = folder / "json"
    AutoTokenizer.from_pretrained(folder).save_pretrained(whole)
    if kind:
        (whole / "config.json").write_bytes(as_bytes(files["config.json"]))
    return whole
