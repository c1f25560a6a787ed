"""Public tokenizers equal transformers' from the same folder, in every layout: ids, spans, words, segments, text."""

import json
import shutil
from dataclasses import replace

import pytest
from transformers import AutoTokenizer

from qkv.base import seeds
from qkv.text.public import Encoding, TextTokenizer
from qkv.text.recipes import RECIPES
from text.public_layouts import NAMES, lay_out, strings

ALL = [*NAMES, *(f"{name}.json" for name in NAMES)]
FLAGS = ("handle_chinese_chars", "strip_accents", "lowercase")
MANY, FEW = 10_000, 240


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    kept = {}

    def folder(name):
        if name not in kept:
            kept[name] = lay_out(tmp_path_factory.mktemp("layouts") / name, name)
        return kept[name]

    return folder


def theirs(tokenizer, texts, pairs=None, **options) -> list[Encoding]:
    """Return what transformers says of texts, in our words."""
    found = tokenizer(
        texts,
        pairs,
        return_token_type_ids=True,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        **options,
    )
    return [
        Encoding(
            found["input_ids"][i],
            found["token_type_ids"][i],
            found["offset_mapping"][i],
            found.word_ids(i),
            [mark == 1 for mark in found["special_tokens_mask"][i]],
        )
        for i in range(len(found["input_ids"]))
    ]


def compare(folder, texts) -> None:
    """Compare texts, pairs, cut texts and pairs, pieces of texts, and what is made of the ids again."""
    ours, reference = TextTokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
    pairs = texts[1:] + texts[:1]
    assert [ours.encode(text) for text in texts] == theirs(reference, texts)
    assert [ours.encode(*both) for both in zip(texts, pairs, strict=True)] == theirs(reference, texts, pairs)
    plain = theirs(reference, texts, add_special_tokens=False)
    assert [ours.encode(text, special=False) for text in texts] == plain
    draw = seeds.draw("cut", str(len(texts)))
    for first in range(0, len(texts), 100):
        some, others, max_len = texts[first : first + 100], pairs[first : first + 100], draw.randrange(6, 40)
        cut = {"max_length": max_len, "truncation": True}
        settings = {"max_len": max_len, "truncate": True}
        assert [ours.encode(text, **settings) for text in some] == theirs(reference, some, **cut)
        both = [ours.encode(*pair, **settings) for pair in zip(some, others, strict=True)]
        assert both == theirs(reference, some, others, **cut)
        reference.truncation_side, side = "right", reference.truncation_side  # pieces come in the order of reading
        stride = draw.randrange(max_len - 5)
        parts = [part for text in some for part in ours.split(text, max_len=max_len, stride=stride)]
        assert parts == theirs(reference, some, return_overflowing_tokens=True, stride=stride, **cut)
        reference.truncation_side = side
    for encoding in plain:
        assert ours.decode(encoding.ids) == reference.decode(encoding.ids, skip_special_tokens=True)
        assert ours.decode(encoding.ids, keep_special=True) == reference.decode(encoding.ids)


@pytest.mark.parametrize("name", ALL)
def test_texts_equal_the_references(folders, name):
    compare(folders(name), strings(FEW))


FAULTS = {
    "qkv.text.public._longest_first": lambda lengths, room: [room // len(lengths)] * len(lengths),
    "qkv.text.assembly.RECIPES": RECIPES | {"BertTokenizer": replace(RECIPES["BertTokenizer"], surround=None)},
}


@pytest.mark.parametrize("place", FAULTS)
def test_planted_faults_are_found(folders, place, monkeypatch):
    monkeypatch.setattr(place, FAULTS[place])
    with pytest.raises(AssertionError):
        compare(folders("bert"), strings(FEW))


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_many_texts_equal_the_references(folders, name):
    texts = strings(MANY)
    for first in range(0, MANY, 1000):
        compare(folders(name), texts[first : first + 1000])


OLDER = {
    "llama2": {
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
        "pre_tokenizer": None,
    },
    "bert-cased": {"normalizer": {"type": "BertNormalizer", "clean_text": True} | dict.fromkeys(FLAGS, True)},
}


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("name", OLDER)
def test_a_class_prevails_over_its_tokenizer_json_as_in_the_reference(name, declared, folders, tmp_path):
    folder = shutil.copytree(folders(f"{name}.json"), tmp_path / "older")
    whole = json.loads((folder / "tokenizer.json").read_bytes())
    (folder / "tokenizer.json").write_text(json.dumps(whole | OLDER[name]))
    if not declared:
        (folder / "tokenizer_config.json").unlink()
    compare(folder, strings(150))


@pytest.mark.parametrize("name", ALL)
def test_special_tokens_have_the_references_ids(folders, name):
    ours, reference = TextTokenizer.load(folders(name)), AutoTokenizer.from_pretrained(folders(name))
    assert ours.vocab_size == len(reference)
    assert ours.mask_id == reference.mask_token_id
    assert ours.unknown_id == reference.unk_token_id
    assert ours.start_id == (reference.cls_token_id if reference.cls_token else reference.bos_token_id)
    assert ours.end_id == (reference.sep_token_id if reference.sep_token else reference.eos_token_id)
    filler = ours.end_id if reference.pad_token is None else reference.pad_token_id
    assert ours.pad_id == (filler or 0)
