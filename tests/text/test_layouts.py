"""Layouts of public tokenizers: found, kept byte for byte, refused with the file's name and the reason where broken."""

import base64
import json
import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import sentencepiece
from tokenizers import Tokenizer as Library
from transformers import AutoTokenizer

from qkv.base.errors import ConfigError, DataError, ShapeError, UnsupportedError
from qkv.text.pieces import read_pieces
from qkv.text.public import TextTokenizer
from qkv.text.train import train_byte_bpe, train_wordpiece
from text.public_layouts import NAMES, PROSE, as_bytes, byte_pairs, lay_out, llama3, pieces, strings, word_pieces

TEXTS = strings(40)


@pytest.fixture(scope="module")
def bert() -> TextTokenizer:
    return train_wordpiece(PROSE[:500], 800)


@pytest.fixture(scope="module")
def gpt() -> TextTokenizer:
    return train_byte_bpe(PROSE[:500], 500)


def same(one: TextTokenizer, other: TextTokenizer) -> bool:
    return all(one.encode(text, "b") == other.encode(text, "b") for text in TEXTS)


@pytest.mark.parametrize("name", NAMES)
def test_files_are_written_as_they_came_and_enough_of_them(name, tmp_path):
    tokenizer = TextTokenizer.load(lay_out(tmp_path / "read", name))
    written = tokenizer.save(tmp_path / "written")
    assert {*written} == {path.name for path in (tmp_path / "written").iterdir()}
    for file in {*written} - {"tokenizer_config.json"}:
        assert (tmp_path / "written" / file).read_bytes() == (tmp_path / "read" / file).read_bytes()
    again = TextTokenizer.load(tmp_path / "written")  # without the model's config.json
    assert same(tokenizer, again) and same(tokenizer, pickle.loads(pickle.dumps(tokenizer)))
    assert again.save(tmp_path / "again") == written
    for file in written:
        assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "written" / file).read_bytes()


@pytest.mark.parametrize("kind", ["bert", "gpt"])
def test_the_reference_reads_what_is_trained_here(kind, request, tmp_path):
    tokenizer = request.getfixturevalue(kind)
    tokenizer.save(tmp_path)
    reference = AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        assert tokenizer.encode(text, "b").ids == reference([text], ["b"])["input_ids"][0]
    again = {"bert": train_wordpiece, "gpt": train_byte_bpe}[kind](iter(PROSE[:500]), {"bert": 800, "gpt": 500}[kind])
    again.save(tmp_path / "again")
    for file in (tmp_path / "again").iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes()


def test_trained_tokenizers_have_the_special_tokens_of_their_models(bert, gpt):
    assert (bert.pad_id, bert.unknown_id, bert.start_id, bert.end_id, bert.mask_id) == (0, 1, 2, 3, 4)
    assert bert.pieces(range(5)) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert (bert.vocab_size, gpt.vocab_size) == (800, 500)
    assert (gpt.pad_id, gpt.end_id, gpt.mask_id) == (499, 499, None)
    assert gpt.pieces([499]) == ["<|endoftext|>"]
    assert bert.encode("The [MASK]").ids[-2] == 4


def test_what_nothing_can_be_learned_from_is_refused():
    with pytest.raises(ConfigError, match="at least 64"):
        train_wordpiece(["a"], 10)
    with pytest.raises(ConfigError, match="at least 257"):
        train_byte_bpe(["a"], 256)
    with pytest.raises(DataError, match="every string is empty"):
        train_wordpiece(["", " "], 100)
    for train in (train_wordpiece, train_byte_bpe):
        with pytest.raises(DataError, match="not from one string"):
            train("text", 500)


def test_a_text_that_is_too_long_is_cut_or_split_or_refused(bert):
    text = "a " * 598
    with pytest.raises(ShapeError) as error:
        bert.encode(text, max_len=512)
    assert str(error.value) == (
        "Input has 600 tokens; this model has 512 positions. Use --truncate, or --stride 128 to split."
    )
    assert len(bert.encode(text, max_len=512, truncate=True, stride=128).ids) == 512
    parts = bert.split(text, max_len=512, stride=128)
    assert [len(part.ids) for part in parts] == [512, 218]
    assert parts[0].spans[-129:-1] == parts[1].spans[1:129]
    assert bert.encode(text, max_len=2, truncate=True).ids == [bert.start_id, bert.end_id]
    for max_len, stride, what in ((1, 0, "2 special tokens"), (9, 7, "from 0 to 6"), (9, -1, "from 0 to 6")):
        with pytest.raises(ShapeError, match=what):
            bert.split(text, max_len=max_len, stride=stride)
        with pytest.raises(ShapeError, match=what):
            bert.encode(text, max_len=max_len, truncate=True, stride=stride)
    with pytest.raises(ShapeError, match="nothing new"):
        bert.split(text, max_len=2, stride=0)


def test_ids_of_another_vocabulary_and_half_characters_are_refused(bert, gpt):
    for read in (bert.decode, bert.pieces):
        with pytest.raises(ShapeError, match=r"Token id 800 at \[1\] is outside the vocabulary \(800 tokens\)"):
            read([4, 800])
    for texts in (("a\ud800",), ("a", "\udfff")):
        with pytest.raises(DataError, match="half a character"):
            gpt.encode(*texts)


def test_pieces_are_what_people_read(tmp_path):
    for name in ("bert", "roberta", "gpt1", "xlm-roberta", "llama2", "llama3"):
        tokenizer = TextTokenizer.load(lay_out(tmp_path / name, name))
        shown = tokenizer.pieces(tokenizer.encode("The answer 😀", special=False).ids)
        assert not set("".join(shown)) & set("#Ġ▁") and "</w>" not in "".join(shown), name
        assert "".join(shown).lower().replace(" ", "").startswith("theanswer"), name
        assert not any(text.startswith(" ") and text.strip() for text in shown), name


def test_two_readers_of_a_sentencepiece_model_agree():
    for kind in ("unigram", "brackets", "bpe"):
        read = read_pieces(Path("x.model"), pieces(kind))
        model = sentencepiece.SentencePieceProcessor()
        model.LoadFromSerializedProto(pieces(kind))
        assert [piece.text for piece in read.pieces] == [model.IdToPiece(i) for i in range(model.GetPieceSize())]
        assert [piece.score for piece in read.pieces] == [model.GetScore(i) for i in range(model.GetPieceSize())]
        assert [piece.kind == 3 for piece in read.pieces] == [model.IsControl(i) for i in range(model.GetPieceSize())]
        assert read.unknown == model.unk_id() and read.algorithm == ("bpe" if kind == "bpe" else "unigram")
        assert bool(read.charsmap) == (kind != "bpe")


def write(folder: Path, files: Mapping[str, object]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else as_bytes(content))
    return folder


def test_without_configuration_the_layout_tells_the_class(tmp_path):
    fairseq = byte_pairs("<s>", "<pad>", "</s>", "<unk>", "<mask>")
    whole = write(tmp_path / "whole", {"tokenizer.json": llama3()})
    for files, around in (
        ({"vocab.txt": word_pieces()}, ["[CLS]", "[SEP]"]),
        (dict(byte_pairs()), []),
        (dict(fairseq), ["<s>", "</s>"]),
        ({"spm.model": pieces("brackets")}, ["[CLS]", "[SEP]"]),
        ({"tokenizer.model": pieces("bpe")}, []),
        ({"tokenizer.json": llama3()}, ["<|begin_of_text|>"]),
    ):
        tokenizer = TextTokenizer.load(write(tmp_path / "bare", files))
        encoded = tokenizer.encode("a")
        assert tokenizer.pieces([i for i, mark in zip(encoded.ids, encoded.special, strict=True) if mark]) == around
    assert TextTokenizer.load(whole).end_id == Library.from_str(llama3().decode()).token_to_id("<|end_of_text|>")
    with pytest.raises(DataError, match=r"may be CamemBERT's or XLM-R's.*tokenizer_class in tokenizer_config\.json"):
        TextTokenizer.load(write(tmp_path / "bare", {"sentencepiece.bpe.model": pieces("unigram")}))


def test_llama_3_is_known_whatever_class_it_declares(tmp_path):
    files = {"tokenizer.json": llama3(), "config.json": {"model_type": "llama"}}
    folder = write(tmp_path / "x", files | {"tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer"}})
    reference, ours = AutoTokenizer.from_pretrained(folder), TextTokenizer.load(folder)
    assert [ours.encode(text).ids for text in TEXTS] == reference(TEXTS)["input_ids"]


def test_unknown_classes_are_taken_as_their_tokenizer_json_stands_or_refused(tmp_path):
    strange = {"tokenizer_class": "StrangeTokenizer", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
    folder = write(tmp_path / "x", {"tokenizer.json": llama3(), "tokenizer_config.json": strange})
    (folder / "evil.py").write_text("raise SystemExit")
    assert same(TextTokenizer.load(folder), TextTokenizer.load(write(tmp_path / "y", {"tokenizer.json": llama3()})))
    with pytest.raises(UnsupportedError, match="declares a StrangeTokenizer"):
        TextTokenizer.load(write(tmp_path / "z", {"vocab.txt": word_pieces(), "tokenizer_config.json": strange}))


def test_a_tokenizer_json_never_cuts_or_fills_up_by_itself(tmp_path):
    whole = json.loads(llama3())
    library = Library.from_str(json.dumps(whole))
    library.enable_truncation(5, stride=1)
    library.enable_padding(length=5, pad_token="x")
    folder = write(tmp_path / "x", {"tokenizer.json": library.to_str().encode()})
    assert same(TextTokenizer.load(folder), TextTokenizer.load(write(tmp_path / "y", {"tokenizer.json": llama3()})))


def changed(**change: object) -> dict[str, object]:
    return {"tokenizer.json": json.loads(llama3()) | change}


def in_model(**change: object) -> dict[str, object]:
    return changed(model=json.loads(llama3())["model"] | change)


CUT = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 5}
SPLIT = {"type": "Split", "pattern": {"Regex": "("}, "behavior": "Isolated", "invert": False}
BERT = {"vocab.txt": b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n"}
GPT2 = {
    "vocab.json": {"a": 0, "b": 1, "ab": 2},
    "merges.txt": b"#version: 0.2\na b\n",
    "config.json": {"model_type": "gpt2"},
}
FAR = {"id": 9999, "content": "<x>", "special": False} | dict.fromkeys(
    ("single_word", "lstrip", "rstrip", "normalized"), False
)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
TENFOLD = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}
BOMB = {"type": "Sequence", "normalizers": [TENFOLD] * 12}
NO_TRIE = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"\xff\xff\xff\xff").decode()}
BROKEN = {
    "nothing": (
        {},
        r"No tokenizer in .*: looked for tokenizer\.json, vocab\.json \+ merges\.txt, vocab\.txt, \*\.model\.$",
    ),
    "missing merges": ({"vocab.json": {"a": 0}}, r"No tokenizer in .*; of the second there is only vocab\.json\.$"),
    "cut": (
        changed(truncation=CUT),
        r"tokenizer\.json: truncation\.stride \(5\) must be smaller than max_length \(2\)",
    ),
    "cut oddly": (changed(truncation={"stride": 1}), r"tokenizer\.json.*KeyError: 'max_length'"),
    "no JSON": ({"tokenizer.json": b"{"}, r"tokenizer\.json is not JSON"),
    "deep": ({"tokenizer.json": b"[" * 100_000}, r"tokenizer\.json is not JSON"),
    "list": ({"tokenizer.json": b"[]"}, r"tokenizer\.json holds a list"),
    "no model": ({"tokenizer.json": {}}, r"tokenizer\.json: null stands where an object should"),
    "no words": (in_model(vocab=3), r"tokenizer\.json has no vocabulary: model\.vocab is a int"),
    "no algorithm": (in_model(type="Nope"), r"no tokenizer that can be used is in tokenizer\.json: .*variant"),
    "bad merges": (in_model(merges=["a"]), r"tokenizer\.json: 'a' is no merge"),
    "strange merges": (
        in_model(merges=["α β"]),
        r"no tokenizer that can be used is in tokenizer\.json: .*out of vocabulary",
    ),
    "twice": (in_model(vocab={"a": 0, "b": 0}), r"tokenizer\.json: 'a' and 'b' both have the id 0"),
    "id": (in_model(vocab={"a": -1}), r"tokenizer\.json: the id of 'a' is -1"),
    "far id": (
        changed(added_tokens=[FAR]),
        r"added token '<x>' should have the id 9999, but .* 1499",
    ),
    "regex": (changed(pre_tokenizer=SPLIT), r"no tokenizer that can be used is in tokenizer\.json: .*parenthesis"),
    "panic": (changed(normalizer=NO_TRIE), r"tokenizer\.json: its map of characters is damaged"),
    "bomb": (changed(normalizer=BOMB), r"tokenizer\.json: its normalizer makes a text more than 10,000 times as long"),
    "later bomb": (
        changed(decoder=json.loads(json.dumps(BOMB).replace("normalizers", "decoders"))),
        "its decoder makes a text",
    ),
    "pointer": ({"tokenizer.json": POINTER}, r"tokenizer\.json is a Git LFS pointer"),
    "page": ({"vocab.txt": b"\n<!DOCTYPE html><html>"}, r"vocab\.txt is an HTML page"),
    "empty": ({"vocab.txt": b""}, r"vocab\.txt is empty"),
    "latin-1": ({"vocab.txt": b"[PAD]\n\xe9t\xe9\n"}, r"vocab\.txt, line 2: byte 0xe9 is not UTF-8"),
    "no [CLS]": (BERT | {"special_tokens_map.json": {"cls_token": 3}}, r"special_tokens_map\.json: 3 is no token"),
    "setting": (
        BERT | {"tokenizer_config.json": {"do_lower_case": "no"}},
        r"tokenizer_config\.json: do_lower_case is 'no', wanted true or false",
    ),
    "settings": (BERT | {"tokenizer_config.json": b"nonsense"}, r"tokenizer_config\.json is not JSON"),
    "extra": (
        BERT | {"tokenizer_config.json": {"extra_special_tokens": "<x>"}},
        "extra_special_tokens is '<x>', wanted a list",
    ),
    "added": (BERT | {"added_tokens.json": {"<x>": 10}}, r"'<x>' should have the id 10, but .* 6"),
    "added id": (BERT | {"added_tokens.json": {"<x>": 1e9}}, r"added_tokens\.json: 1000000000\.0 is no token id"),
    "config": (BERT | {"config.json": b"\xff"}, r"config\.json is not JSON"),
    "merge": (GPT2 | {"merges.txt": b"#version\na b c\n"}, r"merges\.txt, line 2: 'a b c' is no merge"),
    "same id": (GPT2 | {"vocab.json": {"a": 0, "b": 1, "ab": 1}}, r"vocab\.json: 'b' and 'ab' both have the id 1"),
    "text id": (GPT2 | {"vocab.json": {"a": 0, "b": 1, "ab": "2"}}, r"vocab\.json: the id of 'ab' is '2'"),
    "list of words": (GPT2 | {"vocab.json": ["a", "b"]}, r"vocab\.json holds a list"),
    "no pieces": ({"spm.model": b"\x12\x00"}, r"spm\.model is no SentencePiece model \(2 bytes\): it has no pieces"),
    "huge": (
        {"spm.model": b"\x0a\xff\xff\xff\xff\xff\xff\xff\x7f"},
        r"spm\.model is no SentencePiece model.* before its end",
    ),
    "endless": ({"spm.model": b"\xff" * 20}, r"spm\.model is no SentencePiece model.*has no end"),
    "cut short": ({"spm.model": pieces("brackets")[:-100]}, r"spm\.model is no SentencePiece model"),
    "tiktoken": ({"tokenizer.model": b"IQ== 0\nIg== 1\n"}, r"tokenizer\.model is no SentencePiece model"),
    "algorithm": (
        {"tokenizer.model": pieces("unigram")},
        r"tokenizer\.model holds a Unigram vocabulary; its class needs",
    ),
    "other algorithm": ({"spm.model": pieces("bpe")}, r"spm\.model holds no Unigram vocabulary"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_folders_are_refused(case, tmp_path):
    files, message = BROKEN[case]
    with pytest.raises(DataError, match=message):
        TextTokenizer.load(write(tmp_path / "x", files))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"No tokenizer in .*nowhere: looked for tokenizer\.json"):
        TextTokenizer.load(tmp_path / "nowhere")
