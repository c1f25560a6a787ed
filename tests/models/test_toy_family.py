"""Adding a family takes one file and one line: here a toy, written by the test, that all the rest then works on."""

import importlib
import inspect
import json
import sys
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import qkv
from models import test_every_model as every
from models.tiny import Small, shrink
from qkv.base.errors import ConfigError, WeightsError
from qkv.model import Reader
from qkv.models import FAMILIES, get_family
from qkv.text.train import train_wordpiece

FILE = '''
"""A toy: one attention without an MLP or positions, so that it sees a text as a set of words."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from qkv.base.config import check_ranges, from_dict
from qkv.models.family import Encoder, Family, Format, MapSpec
from qkv.nn.attention import Attention
from qkv.nn.heads import LabelHead, first_of
from qkv.nn.table import TokenTable
from qkv.nn.where import Where
from qkv.ops.masks import keys_mask
from qkv.weights.configs import ConfigTable
from qkv.weights.rules import same


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """One toy."""

    vocab_size: int = 1000
    d_model: int = 64
    n_heads: int = 4
    max_len: int = 128
    n_labels: int = 2
    pad_id: int = 0
    head: str = "classify"

    def __post_init__(self) -> None:
        check_ranges(self)


class Toy(Encoder):
    """Words that look at each other once."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.token = TokenTable(cfg.vocab_size, cfg.d_model)
        self.attention, self.norm = Attention(cfg.d_model, cfg.n_heads), nn.LayerNorm(cfg.d_model)
        self.head = LabelHead(cfg.d_model, cfg.n_labels)

    def encode(self, ids, mask=None, segments=None):
        x = self.token(ids)
        return self.norm(x + self.attention(x, Where(mask=None if mask is None else keys_mask(mask))))

    def summary(self, states, mask=None):
        return first_of(states, mask)

    def forward(self, ids, mask=None, segments=None, keep=None):
        return self.head(self.summary(self.encode(ids, mask), mask))


TABLE = ConfigTable(
    architecture="ToyModel",
    plain={"vocab": "vocab_size", "width": "d_model", "heads": "n_heads", "longest": "max_len", "labels": "n_labels"},
    fixed={"model_type": "toy"},
)
NAMES = {"words": "token", "mix": "attention.qkv", "back": "attention.out", "norm": "norm", "label": "head.out"}

HF = Format(
    names=("toy",),
    read_config=lambda config: from_dict(Config, TABLE.read(config), "config.json"),
    write_config=lambda cfg: {"model_type": "toy", **TABLE.write(cfg)},
    rules=lambda cfg: [same("words.weight", "token.weight")] + [
        same(f"{theirs}.{part}", f"{ours}.{part}")
        for theirs, ours in NAMES.items() if theirs != "words" for part in ("weight", "bias")
    ],
)

FAMILY = Family(
    name="toy",
    config=Config,
    net=Toy,
    sizes={"toy-base": Config(), "toy-large": Config(d_model=128)},
    maps=lambda cfg: (MapSpec(0, "self", "text", "text", cfg.n_heads),),
    formats={"hf": HF},
)
'''
LINE = {"toy": "toy_family"}
GENERIC = {
    name: f
    for name, f in vars(every).items()
    if name.startswith("test_") and "small" in inspect.signature(f).parameters
}


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Small:
    (tmp_path / "toy_family.py").write_text(FILE)
    monkeypatch.syspath_prepend(tmp_path)
    for name, module in LINE.items():
        monkeypatch.setitem(FAMILIES, name, module)
    importlib.invalidate_caches()
    monkeypatch.delitem(sys.modules, "toy_family", raising=False)
    family = get_family("toy")
    return Small(family, shrink(family.sizes["toy-base"]))


@pytest.mark.parametrize("name", GENERIC)
def test_the_generic_tests_cover_it(name, toy, tmp_path):
    given: dict[str, Any] = {"small": toy, "tmp_path": tmp_path, "assign": True}
    GENERIC[name](**{key: given[key] for key in inspect.signature(GENERIC[name]).parameters})


def test_the_generic_tests_are_many():
    assert len(GENERIC) >= 9


def make(toy: Small) -> Reader:
    tokenizer = train_wordpiece([f"the {colour} bird sees a cat" for colour in ("red", "blue", "green")], 80)
    torch.manual_seed(0)
    cfg = shrink(toy.cfg, vocab_size=tokenizer.vocab_size, n_labels=3)
    return Reader(toy.family.net(cfg).eval(), tokenizer, card={"labels": ["a", "b", "c"]})


def test_it_is_counted_described_and_compared(toy):
    assert {one.model: one.parameters for one in qkv.tables(["toy"])} == {
        "toy-base": 80898,
        "toy-large": 194562,
    }
    told = qkv.info("toy-base")
    assert (told.family, told.about, len(told.maps)) == ("toy", "Words that look at each other once.", 1)
    assert {"toy-base", "toy-large"} <= {one.name for one in qkv.list_models()}
    assert [row.what for row in qkv.diff("toy-base", "toy-large").settings] == ["d_model"]
    with pytest.raises(ConfigError, match='Did you mean "toy-base"'):
        qkv.info("toy-bas")


@pytest.mark.parametrize("format", ["qkv", "hf"])
def test_it_is_saved_loaded_and_asked(format, toy, tmp_path):
    model, texts = make(toy), ["the red bird", "a cat"]
    model.save(tmp_path / "saved", format=format)
    again: Any = qkv.load(tmp_path / "saved")
    assert again.net.cfg == model.net.cfg and isinstance(again, Reader)
    assert torch.equal(again.embed(texts), model.embed(texts))
    found = model.predict(texts)
    assert [[one.probability for one in row] for row in again.predict(texts)] == [
        [one.probability for one in row] for row in found
    ]
    if format == "hf":
        names = load_file(tmp_path / "saved/model.safetensors").keys()
        assert set(names) == {"words.weight"} | {
            f"{x}.{part}" for x in ("mix", "back", "norm", "label") for part in ("weight", "bias")
        }
        path = tmp_path / "saved/config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"widht": 3}))
        with pytest.raises(ConfigError, match=r'unknown key "widht"\. Did you mean "width"'):
            qkv.load(tmp_path / "saved")
    else:
        assert again.labels == ["a", "b", "c"]


def test_a_file_that_does_not_fit_it_is_refused(toy, tmp_path):
    make(toy).save(tmp_path / "saved", format="hf")
    path = tmp_path / "saved/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"labels": 4}))
    with pytest.raises(WeightsError, match=r"(?s)2 unfit.*label\.\w+: file \[3"):
        qkv.load(tmp_path / "saved")


def test_it_is_looked_into(toy):
    model = make(toy)
    with qkv.look(model) as seen:
        model.predict(["the red bird sees a cat"])
    weights = seen.weights(0, "self", "text")
    assert weights.shape[:2] == (1, 4) and torch.allclose(weights.sum(-1), torch.ones(()))


def test_it_is_packed(toy):
    model = make(toy)
    torch.testing.assert_close(model.packed("fp32").embed(["a cat"]), model.embed(["a cat"]), rtol=0, atol=1e-5)  # type: ignore[attr-defined]
