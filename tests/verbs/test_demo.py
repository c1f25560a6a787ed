"""The demo runs end to end, writes all that it names, and two of them give the same table."""

import functools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import qkv
from inside.traces import trace_in
from qkv.base.errors import ConfigError
from qkv.data import translation
from qkv.data.pairs import Pair, token_links
from qkv.data.report import CheckReport
from qkv.evaluation.translation import Translated
from qkv.model import Translator
from qkv.models import get_size
from qkv.text.tokenizer import train_tokenizer
from qkv.training.loop import Began, Stepped
from qkv.verbs import demo as module
from qkv.verbs.demo import CONTESTANTS, N_SAMPLES, WIDEST, demo
from qkv.verbs.settings import TrainSettings
from qkv.verbs.train import learn_tokenizer, open_settings_data
from verbs.small_runs import make_model, narrow_sizes

SETTINGS = TrainSettings(model="bahdanau-tiny", data="cldr:dates", items="1-3", dropout=0.0)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Few data and narrow nets; the data is made once. Return what makes the demo's own data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(translation, "N_HELD_OUT", 24)
    cached = functools.cache(lambda settings: open_settings_data(replace(settings, n_examples=300)))
    monkeypatch.setattr(module, "open_settings_data", cached)
    narrow_sizes(monkeypatch)
    return lambda: cached(SETTINGS)


def test_a_demo_writes_all_that_it_says_and_repeats(small, tmp_path):
    events: list = []
    one = demo(scale=0.01, on_event=events.append)
    assert one.folder == Path("runs/demo-en-fr")
    names = [contestant.name for contestant in one.contestants]
    assert names == list(CONTESTANTS) == ["rnn-tiny", "bahdanau-tiny", "transformer-tiny"]
    assert isinstance(events[0], CheckReport)
    assert [(event.name, event.steps) for event in events if isinstance(event, Began)] == [
        (name, max(1, round(CONTESTANTS[name].steps / 100))) for name in names
    ]
    for contestant in one.contestants:
        model = qkv.load(contestant.folder)
        assert contestant.parameters == sum(p.numel() for p in model.net.parameters())
        assert contestant.report.n_pairs == 24
        assert (contestant.folder / "metrics.jsonl").exists()
        assert (contestant.report.best_head is None) == (contestant.name == "rnn-tiny")
        assert model.card.get("alignment_head") == (contestant.report.best_head and list(contestant.report.best_head))
        trained = [e.seconds for e in events if isinstance(e, Stepped)]
        assert 0 < contestant.seconds < sum(trained)
        assert model.net.cfg.dropout == 0.0
    assert [picture.name for picture in one.pictures] == ["alignment.png", "alignment.svg"]
    assert all(picture.stat().st_size > 1000 for picture in one.pictures)
    assert [page.name for page in one.pages] == ["bahdanau-tiny.html", "transformer-tiny.html"]
    for page, alignment in zip(one.pages, one.alignments.values(), strict=True):
        shown: Any = trace_in(page)
        assert [*shown.stream("source").tokens] == [*alignment.source]
        assert {"source", "target"} <= {stream.name for stream in shown.streams}
    assert len(one.samples) == N_SAMPLES
    for sample in one.samples:
        assert sample.translations.keys() == set(names)
    sources = [pair.source for pair in small().test]
    for name in names:
        again = qkv.translate(one.folder / name, sources, beams=1)
        assert [done.text for done in again[:N_SAMPLES]] == [sample.translations[name] for sample in one.samples]
    for name, alignment in one.alignments.items():
        assert name in ("bahdanau-tiny", "transformer-tiny")
        assert 5 < len(alignment.source) <= WIDEST + 1
        assert alignment.weights.shape == (len(alignment.target), len(alignment.source))

    two = demo(scale=0.01)
    assert two.folder == Path("runs/demo-en-fr-2"), "the first is not written into"
    for a, b in zip(one.contestants, two.contestants, strict=True):
        assert (a.name, a.parameters, a.report) == (b.name, b.parameters, b.report)
        assert (a.folder / "model.safetensors").read_bytes() == (b.folder / "model.safetensors").read_bytes()
    assert one.samples == two.samples
    for a, b in zip(one.pictures, two.pictures, strict=True):
        assert a.read_bytes() == b.read_bytes()
    for a, b in zip(one.pages, two.pages, strict=True):
        assert {k: x.tobytes() for k, x in trace_in(a).tensors.items()} == {
            k: x.tobytes() for k, x in trace_in(b).tensors.items()
        }


def test_threads_are_given_back(small, monkeypatch):
    threads = torch.get_num_threads()
    seen = []

    def stop(*_):
        seen.append(torch.get_num_threads())
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        demo(scale=0.01)
    assert seen == [1]
    assert torch.get_num_threads() == threads


def test_gold_is_drawn_where_the_translation_is_right(small, monkeypatch):
    """A perfect translator's picture marks the alignment of the very tokens it shows; a wrong one's marks nothing."""
    splits = small()
    tokenizer = learn_tokenizer(SETTINGS, splits)
    pair = module._telling(tokenizer, splits.test)
    wanted = token_links(pair.links or (), tokenizer.encode(pair.source).spans, tokenizer.encode(pair.target).spans)
    ids = [*tokenizer.encode(pair.target).ids, 3]
    weights = {0: np.zeros((1, len(ids), len(tokenizer.encode(pair.source).ids) + 1), np.float32)}
    for text, gold in ((pair.target, wanted), ("wrong", set())):
        model = make_model("bahdanau-tiny")
        model.source = model.target = tokenizer
        done = Translated(text=text, score=0.0, ids=ids, weights=weights)
        monkeypatch.setattr(Translator, "translate", lambda self, texts, done=done, **_: [done])
        assert module._align(model, tokenizer, pair).gold == gold
    assert len(wanted) > 5


def test_the_longest_that_fits_is_shown():
    tokenizer = train_tokenizer("words", ["a"])
    pairs = [Pair("a " * n + "a", "b") for n in (40, 3, 20, 25, 25, 30)]
    assert module._telling(tokenizer, pairs) is pairs[3]
    assert module._telling(tokenizer, pairs[:1]) is pairs[0], "where nothing fits, the first"


@pytest.mark.parametrize("target", ["fr", "hu"])
def test_the_fixed_context_has_as_many_parameters_as_bahdanau(target):
    """Within 10 %, with the demo's own vocabulary."""
    settings = TrainSettings(model="rnn-tiny", data="cldr:dates", target=target, items="1-3", n_examples=2000)
    size = learn_tokenizer(settings, open_settings_data(settings)).vocab_size
    counts = []
    for name in ("rnn-tiny", "bahdanau-tiny"):
        family, cfg = get_size(name)
        with torch.device("meta"):
            net = family.net(replace(cfg, vocab_size=size, target_vocab_size=size))
        counts.append(sum(p.numel() for p in net.parameters()))
    assert abs(counts[0] / counts[1] - 1) < 0.1, counts


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
def test_a_scale_that_is_none(scale, tmp_path):
    with pytest.raises(ConfigError, match=r"scale is .*; it must be above 0"):
        demo(scale=scale, out=tmp_path / "demo")
