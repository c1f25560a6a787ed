"""How each class of public tokenizers is put together: the classes of transformers 5.23, whose ids these equal.

A class fixes how text is normalised and cut, and what stands around it; the vocabulary comes from the files. Where a
class departs there from the SentencePiece model it was trained with, so do these: DeBERTa does not apply the model's
table of characters, and Llama adds no space before a text that begins with one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Library
from tokenizers.processors import PostProcessor

from qkv.base.errors import DataError
from qkv.text.layouts import CONFIG, Vocabulary

Settings = Mapping[str, Any]
Named = Mapping[str, AddedToken]
Surround = Callable[[Library, Settings, Named], PostProcessor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One class of tokenizers.

    make: the tokenizer, but for its special tokens. special: the names of these, and what they are unless files say
    otherwise. extra: those without a name, likewise. spaced: names of tokens that take the space before
    them along. surround: what stands around a text and between two; None takes
    what the file, or add_bos_token, says. arranged: how the ids of a SentencePiece model become those of the net.
    """

    make: Callable[[Vocabulary, Settings, Named], Library]
    special: Mapping[str, str]
    extra: tuple[str, ...] = ()
    spaced: tuple[str, ...] = ()
    surround: Surround | None = None
    arranged: Callable[[list[tuple[str, float]], Named], list[tuple[str, float]]] | None = None


def template(single: str, pair: str) -> Surround:
    """Return what writes special tokens, by their names, around a text "$A" and two, "$A" and "$B"."""

    def surround(library: Library, settings: Settings, named: Named) -> PostProcessor:
        def fill(words: str) -> list[str]:
            parts = [word.partition(":") for word in words.split()]
            return [f"{named.get(name, name)}{colon}{segment}" for name, colon, segment in parts]

        names = {word.partition(":")[0] for word in single.split() if not word.startswith("$")}
        ids = [_with_id(library, named, name) for name in sorted(names)]
        return processors.TemplateProcessing(single=fill(single), pair=fill(pair), special_tokens=ids)

    return surround


def plain(settings: Settings, named: Named) -> Surround:
    """Return what writes the start and the end around each text, where the settings ask for it."""
    start = "bos_token" if settings.get("add_bos_token") and "bos_token" in named else ""
    end = "eos_token" if settings.get("add_eos_token") and "eos_token" in named else ""
    first, second = (
        " ".join(f"{word}:{i}" for word in (start, text, end) if word) for i, text in enumerate(("$A", "$B"))
    )
    return template(first, f"{first} {second}")


def _roberta_surround(library: Library, settings: Settings, named: Named) -> PostProcessor:
    sep, cls = (_with_id(library, named, name) for name in ("sep_token", "cls_token"))
    return processors.RobertaProcessing(
        sep, cls, settings.get("trim_offsets", True), settings.get("add_prefix_space", False)
    )


def _with_id(library: Library, named: Named, name: str) -> tuple[str, int]:
    i = library.token_to_id(str(named.get(name, "")))
    if i is None:
        raise DataError(f"The tokenizer has no {name}, which its class puts around texts. Name it in {CONFIG}.")
    return str(named[name]), i


def _bert(words: Vocabulary, settings: Settings, named: Named) -> Library:
    library = Library(models.WordPiece(_ids(words), unk_token=str(named["unk_token"])))
    library.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.WordPiece(prefix="##")
    return library


def _byte_pairs(words: Vocabulary, settings: Settings, named: Named) -> Library:
    model = models.BPE(_ids(words), _merges(words), continuing_subword_prefix="", end_of_word_suffix="")
    library = Library(model)
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=settings.get("add_prefix_space", False))
    library.decoder = decoders.ByteLevel()
    return library


def _gpt(words: Vocabulary, settings: Settings, named: Named) -> Library:
    unknown = str(named["unk_token"])
    library = Library(models.BPE(_ids(words), _merges(words), end_of_word_suffix="</w>", unk_token=unknown))
    library.normalizer = normalizers.BertNormalizer(lowercase=True)
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.BPEDecoder(suffix="</w>")
    return library


def _fairseq(words: Vocabulary, settings: Settings, named: Named) -> Library:
    scores = _scores(words)
    unknown = [i for i, (token, _) in enumerate(scores) if token == str(named["unk_token"])]
    library = Library(models.Unigram(scores, unk_id=unknown[0] if unknown else 0, byte_fallback=False))
    if words.charsmap:
        library.normalizer = normalizers.Precompiled(words.charsmap)
    scheme = "always" if settings.get("add_prefix_space", True) else "never"
    spaces = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    library.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), spaces])
    library.decoder = decoders.Metaspace(prepend_scheme=scheme)
    return library


def _deberta(words: Vocabulary, settings: Settings, named: Named) -> Library:
    scores = _scores(words)
    unknown = (str(named["unk_token"]), 0.0)
    place = scores.index(unknown) if unknown in scores else words.unknown
    library = Library(models.Unigram(scores, unk_id=settings.get("unk_id", 1) if place is None else place))
    lower = [normalizers.Lowercase()] if settings.get("do_lower_case", False) else []
    spaces = normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " ")
    library.normalizer = normalizers.Sequence([*lower, spaces, normalizers.NFC(), normalizers.Strip(left=False)])
    scheme = "always" if settings.get("add_prefix_space", True) else "first"
    cuts = [pre_tokenizers.Punctuation(behavior="isolated")] if settings.get("split_by_punct", False) else []
    library.pre_tokenizer = pre_tokenizers.Sequence([*cuts, pre_tokenizers.Metaspace(prepend_scheme=scheme)])
    library.decoder = decoders.Metaspace(prepend_scheme=scheme)
    return library


def _llama(words: Vocabulary, settings: Settings, named: Named) -> Library:
    library = Library(models.BPE(_ids(words), _merges(words), fuse_unk=True, byte_fallback=True))
    spaced = settings.get("add_prefix_space")
    spaced = True if spaced is None else spaced
    scheme = "never" if not spaced else "always" if settings.get("legacy", False) else "first"
    library.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    strip = [decoders.Strip(content=" ", left=1)] if spaced else []
    library.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
    return library


def _arrange_xlmr(scores: list[tuple[str, float]], named: Named) -> list[tuple[str, float]]:
    """Put fairseq's four tokens in front of SentencePiece's ("<unk>", "<s>", "</s>" go), the mask behind."""
    front = [(str(named[f"{name}_token"]), 0.0) for name in ("bos", "pad", "eos", "unk")]
    return [*front, *scores[3:], (str(named["mask_token"]), 0.0)]


def _arrange_camembert(scores: list[tuple[str, float]], named: Named) -> list[tuple[str, float]]:
    """Put the five tokens of its first dictionary in front, three of them never used, and the mask behind."""
    front = [("<s>NOTUSED", 0.0), (str(named["pad_token"]), 0.0), ("</s>NOTUSED", 0.0), (str(named["unk_token"]), 0.0)]
    return [*front, ("<unk>NOTUSED", -100.0), *scores[1:], (str(named["mask_token"]), 0.0)]


def _ids(words: Vocabulary) -> dict[str, int]:
    if not isinstance(words.tokens, dict):
        raise DataError(f"{words.file} holds a Unigram vocabulary; its class needs one of tokens with ids.")
    return words.tokens


def _scores(words: Vocabulary) -> list[tuple[str, float]]:
    if isinstance(words.tokens, dict):
        raise DataError(f"{words.file} holds no Unigram vocabulary (tokens with scores), which its class needs.")
    return words.tokens


def _merges(words: Vocabulary) -> list[tuple[str, str]]:
    if words.merges is None:
        raise DataError(f"{words.file} holds no merges, which its class needs.")
    return words.merges


_BRACKETS = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}
_ANGLES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
_FAIRSEQ = _ANGLES | {"sep_token": "</s>", "pad_token": "<pad>", "cls_token": "<s>", "mask_token": "<mask>"}
_SEGMENTS = template("cls_token:0 $A:0 sep_token:0", "cls_token:0 $A:0 sep_token:0 $B:1 sep_token:1")
_TWO_ENDS = template("bos_token $A eos_token", "bos_token $A eos_token eos_token $B eos_token")

_BERT = Recipe(make=_bert, special=_BRACKETS, surround=_SEGMENTS)
RECIPES: dict[str, Recipe] = {
    "BertTokenizer": _BERT,
    "DistilBertTokenizer": _BERT,
    "RobertaTokenizer": Recipe(make=_byte_pairs, special=_FAIRSEQ, surround=_roberta_surround),
    "CamembertTokenizer": Recipe(
        make=_fairseq,
        special=_FAIRSEQ,
        extra=("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"),
        spaced=("mask_token",),
        surround=_TWO_ENDS,
        arranged=_arrange_camembert,
    ),
    "XLMRobertaTokenizer": Recipe(make=_fairseq, special=_FAIRSEQ, surround=_TWO_ENDS, arranged=_arrange_xlmr),
    "OpenAIGPTTokenizer": Recipe(make=_gpt, special={"unk_token": "<unk>"}),
    "GPT2Tokenizer": Recipe(
        make=_byte_pairs, special=dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>")
    ),
    "DebertaV2Tokenizer": Recipe(
        make=_deberta,
        special=_BRACKETS | {"bos_token": "[CLS]", "eos_token": "[SEP]"},
        surround=_SEGMENTS,
    ),
    "LlamaTokenizer": Recipe(make=_llama, special=_ANGLES),
}
# The class of each kind of model, as its config.json names it; Llama's differ, and its tokenizer's files name theirs.
CLASSES = {
    "bert": "BertTokenizer",
    "distilbert": "BertTokenizer",
    "roberta": "RobertaTokenizer",
    "camembert": "CamembertTokenizer",
    "xlm-roberta": "XLMRobertaTokenizer",
    "openai-gpt": "OpenAIGPTTokenizer",
    "gpt2": "GPT2Tokenizer",
    "deberta-v2": "DebertaV2Tokenizer",
}
