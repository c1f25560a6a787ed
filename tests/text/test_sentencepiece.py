"""Marian's tokenizers: the ids and strings of transformers' MarianTokenizer, from folders laid out as OPUS-MT's."""

import json
import pickle
import shutil
import sys
from pathlib import Path

import pytest
from transformers import MarianTokenizer

from qkv.base import seeds
from qkv.base.errors import DataError, ShapeError, UnsupportedError
from qkv.text.sentencepiece import load_marian, save_marian
from qkv.text.tokenizer import train_tokenizer
from text.opus import LINES, RUSSIAN, lay_out, models, pieces

SCRIPTS = (
    "The quick brown fox, 1,234.50 €! ",
    "àéîõüßøłžșāğıŉ ﬁ ﬂ Å Å ½ ² № ™ ",
    "αβγδ ΑΒΓΔ ώ ",
    "привет Ёлка ",
    "שלום ",
    "مرحبا بكم ",
    "नमस्ते ",
    "สวัสดี ",
    "你好，世界。 ＡＢＣ１２３ ",
    "こんにちは カタカナ ",
    "안녕하세요 ",
    "😀👩‍👩‍👧🇫🇷 ",
    "\u0301\u0308e\u0301 \u200b\u200d\u00a0\u2003\t\n\u0000\ufeff▁ ",
)


@pytest.fixture(params=["shared", "separate", "multilingual"])
def folder(request, tmp_path) -> Path:
    return lay_out(tmp_path / "opus", request.param)


@pytest.fixture
def shared(tmp_path) -> Path:
    return lay_out(tmp_path / "opus", "shared")


def strings(n: int) -> list[str]:
    """Draw lines of prose, and random mixtures of many scripts with every kind of space."""
    draw = seeds.draw("strings", n)
    drawn = ["", " ", "  a  b  ", "Hello , it 's not ! He do n't say ' x ' .", ">", ">> ", "<<", *SCRIPTS]
    while len(drawn) < n:
        line = draw.choice(LINES)
        mixed = "".join(draw.choice(draw.choice(SCRIPTS)) for _ in range(draw.randrange(1, 40)))
        drawn += [line, line.strip().lower().translate(RUSSIAN), mixed, mixed + line[: draw.randrange(60)]]
    return drawn[:n]


def compare(folder: Path, texts: list[str]) -> None:
    """Compare ids and the strings they make with the reference's, on both sides."""
    source, target = load_marian(folder)
    theirs = MarianTokenizer.from_pretrained(folder, split_special_tokens=True)
    n_unknown = n_known = 0
    for text in texts:
        ids = source.encode(text).ids
        assert [*ids, source.eos_id] == theirs(text)["input_ids"], text
        wanted = theirs(text_target=text)["input_ids"]
        ours = target.encode(text).ids
        assert [*ours, target.eos_id] == wanted, text
        decoded = theirs.decode(wanted, skip_special_tokens=True)
        assert target.decode([target.pad_id, *ours, target.eos_id]) == decoded, text
        if not theirs.separate_vocabs:
            assert source.decode(ids) == theirs.decode(ids, skip_special_tokens=True), text
        n_unknown, n_known = n_unknown + ids.count(source.unk_id), n_known + len(set(ids))
    assert n_unknown > len(texts) / 4 and n_known > len(texts)  # both cases were met


def test_ids_and_strings_equal_the_references(folder):
    compare(folder, strings(1_200))


@pytest.mark.slow
def test_ids_and_strings_equal_the_references_on_many(folder):
    compare(folder, strings(10_000))


def test_the_numbers_of_the_special_tokens(folder):
    source, target = load_marian(folder)
    theirs = MarianTokenizer.from_pretrained(folder)
    assert source.vocab_size == theirs.vocab_size == len(json.loads((folder / "vocab.json").read_bytes()))
    for side in (source, target):
        assert (side.pad_id, side.unk_id, side.eos_id) == (
            theirs.pad_token_id,
            theirs.unk_token_id,
            theirs.eos_token_id,
        )
        assert side.bos_id == side.pad_id == side.vocab_size - 1


def test_spans_are_the_characters_of_the_text(folder):
    source, _ = load_marian(folder)
    text = "  Hello  there, ﬁne wörld: 中文 e\u0301 ½ end "
    encoded = source.encode(text)
    assert len(encoded.ids) == len(encoded.spans)
    assert "".join(source.pieces(text)).replace(" ", "") == "".join(text.split())
    assert all(piece == piece.lstrip() or not piece.strip() for piece in source.pieces(text))
    ends = [end for _, end in encoded.spans]
    assert ends == sorted(ends)


def test_known_text_survives_the_way_there_and_back(shared):
    names = ["</s>", "<unk>", *pieces(models()[0]), "<pad>"]
    (shared / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(names)}), "utf-8")
    (shared / "target.spm").write_bytes((shared / "source.spm").read_bytes())
    source, _ = load_marian(shared)
    n_known = 0
    for line in (" ".join(line.split()) for line in LINES[:300]):
        ids = source.encode(line).ids
        if source.unk_id not in ids:
            assert source.decode(ids) == line
            n_known += 1
    assert n_known > 200


def test_a_special_token_in_a_text_is_text(shared):
    source, _ = load_marian(shared)
    for token in ("</s>", "<pad>"):
        ids = source.encode(f"a {token} b").ids
        assert source.eos_id not in ids and source.pad_id not in ids and len(ids) > 3


def test_languages_are_one_token(tmp_path):
    source, _ = load_marian(lay_out(tmp_path / "opus", "multilingual"))
    theirs = MarianTokenizer.from_pretrained(tmp_path / "opus")
    for text in (">>fra<< Good morning", ">>deu<<Good", ">>zho_Hans<<", ">>fra<<  >>fra<< x", " >>fra<< x"):
        assert [*source.encode(text).ids, source.eos_id] == theirs(text)["input_ids"], text
    encoded = source.encode(">>fra<< Good")
    assert encoded.ids[0] == theirs.convert_tokens_to_ids(">>fra<<")
    assert encoded.spans[0] == (0, 7) and encoded.spans[-1][1] == 12 and source.pieces(">>fra<< Good")[0] == ">>fra<<"


def test_an_unknown_language_raises_and_a_quotation_is_text(tmp_path, shared):
    plain, _ = load_marian(shared)
    many, _ = load_marian(lay_out(tmp_path / "many", "multilingual"))
    with pytest.raises(DataError, match=r"not translate into >>frz<<; it knows 3 .* Did you mean \">>fra<<\""):
        many.encode(">>frz<< Good morning")
    for side in (plain, many):
        assert len(side.encode(">> said he <<").ids) > 4
    assert len(plain.encode(">>fra<<").ids) > 1


def test_ids_outside_the_vocabulary_raise(folder):
    _, target = load_marian(folder)
    for wrong in (-1, target.vocab_size):
        with pytest.raises(ShapeError, match=rf"Token id {wrong} at \[1\] is outside the vocabulary"):
            target.decode([0, wrong])


def test_half_a_character_raises(folder):
    with pytest.raises(DataError, match="half a character"):
        load_marian(folder)[0].encode("a\ud800b")


def test_folders_are_saved_bit_for_bit(folder, tmp_path):
    save_marian(tmp_path / "copy", *load_marian(folder))
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir()} == kept
    MarianTokenizer.from_pretrained(tmp_path / "copy")


def test_what_the_reference_saves_is_read(folder, tmp_path):
    MarianTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "theirs")
    ours, again = load_marian(folder), load_marian(tmp_path / "theirs")
    for text in strings(60):
        assert [side.encode(text).ids for side in ours] == [side.encode(text).ids for side in again]


def test_tokenizers_travel_to_other_processes(shared):
    source, _ = load_marian(shared)
    assert pickle.loads(pickle.dumps(source)).encode("Good morning") == source.encode("Good morning")


def test_only_marians_own_tokenizers_are_saved_as_such(shared, tmp_path):
    _, target = load_marian(shared)
    words = train_tokenizer("words", ["a b c"])
    with pytest.raises(UnsupportedError, match="SentencePiece models; this model has Tokenizer"):
        save_marian(tmp_path / "x", words, words)
    other, _ = load_marian(lay_out(tmp_path / "other", "multilingual"))
    with pytest.raises(UnsupportedError, match="come from two folders"):
        save_marian(tmp_path / "x", other, target)
    assert not (tmp_path / "x").exists()


def test_without_the_package_a_sentence_says_what_to_install(shared, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(UnsupportedError, match=r'pip install "qkv\[sentencepiece\]"'):
        load_marian(shared)


BROKEN = [
    ("vocab.json", None, "vocab.json missing"),
    ("source.spm", None, "source.spm missing"),
    ("source.spm", b"", r"source.spm is no SentencePiece model \(0 bytes\)"),
    ("target.spm", b"version https://git-lfs.github.com/spec/v1\n", "target.spm is no SentencePiece model"),
    ("vocab.json", b"{", "vocab.json is not JSON"),
    ("vocab.json", b"\xff\xfe", "vocab.json is not JSON"),
    ("vocab.json", b"[1, 2]", "vocab.json holds a list, wanted an object"),
    ("vocab.json", b'{"</s>": 0, "<unk>": 1, "<pad>": 3}', "ids must be the numbers from 0 to 2, each once"),
    ("vocab.json", b'{"</s>": 0, "<unk>": 1, "<pad>": "2"}', "ids must be the numbers from 0 to 2, each once"),
    ("vocab.json", b'{"</s>": 0, "<unk>": true, "<pad>": 2}', "ids must be the numbers from 0 to 2, each once"),
    ("vocab.json", b'{"</s>": 0, "<unk>": 1}', "vocab.json lacks the special tokens <pad>"),
    ("vocab.json", b'{"</s>": 0, "<unk>": 1, "<pad>": 2}', "2 of the 400 pieces .* different models"),
    ("tokenizer_config.json", b"nonsense", "tokenizer_config.json is not JSON"),
    ("tokenizer_config.json", b'{"separate_vocabs": true}', "no target_vocab.json"),
    ("tokenizer_config.json", b'{"sp_model_kwargs": {"enable_sampling": true}}', "never cut at random"),
    ("tokenizer_config.json", b'{"added_tokens_decoder": {"9": {"content": "<new>"}}}', r"adds tokens .*<new>"),
    ("tokenizer_config.json", b'{"pad_token": {"content": "[PAD]"}}', r"lacks the special tokens \[PAD\]"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN)
def test_broken_folders_are_refused(shared, name, content, message):
    if content is None:
        (shared / name).unlink()
    else:
        (shared / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_marian(shared)


def test_a_damaged_model_never_gives_a_traceback_of_another_kind(shared):
    whole = (shared / "source.spm").read_bytes()
    draw = seeds.draw("damaged")
    for _ in range(40):
        damaged = bytearray(whole[: draw.randrange(1, len(whole) + 1)])
        damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        (shared / "source.spm").write_bytes(bytes(damaged))
        try:
            load_marian(shared)[0].encode("Good morning")
        except DataError:
            continue


def test_without_settings_the_usual_ones_hold(shared):
    before = load_marian(shared)[0].encode("Good morning").ids
    (shared / "tokenizer_config.json").unlink()
    assert load_marian(shared)[0].encode("Good morning").ids == before
    shutil.rmtree(shared)
    with pytest.raises(DataError, match="No Marian tokenizer"):
        load_marian(shared)
