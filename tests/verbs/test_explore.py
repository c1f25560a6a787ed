"""Explore: any model and input become a page, a trace, or a session that looks again."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

import qkv
from inside.traces import trace_in
from model.small_models import model_of
from models.tiny import SMALL
from qkv.base.errors import ConfigError, UnsupportedError
from qkv.inside.trace import Trace
from qkv.verbs.explore import SENTENCE
from qkv.web.wishes import Ablation, Look

TEXT = "the small cat sees a red bird"
GIVEN = {"bert-tiny": TEXT, "gpt-tiny": TEXT, "transformer-tiny": TEXT, "bahdanau-tiny": TEXT, "vit-digits": None}


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "one.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8), dtype=np.uint8)).save(path)
    return path


@pytest.mark.parametrize("name", GIVEN)
def test_a_page_holds_the_trace_that_was_made(name, tmp_path, picture):
    model, page = model_of(SMALL[name]), tmp_path / "page.html"
    done = qkv.explore(model, GIVEN[name] or picture, save=page, n_tokens=3)
    assert done.path == page and done.server is None
    assert trace_in(page).to_bytes() == done.trace.to_bytes()
    assert {one.layer for one in done.trace.maps} == {spec.layer for spec in model.family.maps(model.net.cfg)}


def test_a_trace_is_written_and_becomes_a_page_later(tmp_path):
    trace, page = tmp_path / "look.safetensors", tmp_path / "page.html"
    qkv.explore(model_of(SMALL["bert-tiny"]), TEXT, save=trace)
    qkv.explore(trace, save=page)
    assert trace_in(page).to_bytes() == Trace.read(trace).to_bytes() == trace.read_bytes()
    with pytest.raises(UnsupportedError, match="as it is"):
        qkv.explore(trace, "other words", save=page)


def test_without_a_text_it_is_the_lectures_sentence():
    model = model_of(SMALL["bert-tiny"])
    done = qkv.explore(model)
    assert done.title == SENTENCE and done.server is not None
    done.server._socket.close()


def test_what_cannot_be_shown_is_refused_before_anything_runs(tmp_path):
    model = model_of(SMALL["vit-digits"])
    with pytest.raises(ConfigError, match=r"neither a page \(\.html\) nor a trace"):
        qkv.explore(model, "x.png", save=tmp_path / "page.pdf")
    with pytest.raises(ConfigError, match="give the file of one"):
        qkv.explore(model)
    assert not [*tmp_path.iterdir()]


def session_of(name: str, given: Any, **options: Any) -> Any:
    server: Any = qkv.explore(model_of(SMALL[name]), given, **options).server
    server._socket.close()
    return server._session


def weights_of(trace: Trace, name: str = "0") -> np.ndarray:
    return trace.tensors[f"{name}.weights"]


def test_a_session_looks_again_and_switches_heads_and_words_off():
    session = session_of("bert-tiny", TEXT, heads=[0, 1])
    first = session.trace
    without = Trace.from_bytes(session.switch_off(Ablation(mask=(2,))).body)
    assert (weights_of(without)[..., 2] == 0).all() and session.trace is first
    assert (weights_of(Trace.from_bytes(first.body))[..., 2] > 0).any()
    headless = Trace.from_bytes(session.switch_off(Ablation(heads=((0, 0), (0, 1)))).body)
    assert (weights_of(headless) == weights_of(Trace.from_bytes(first.body))).all(), "the first layer sees the same"
    assert (weights_of(headless, "1") != weights_of(Trace.from_bytes(first.body), "1")).any()
    session.look(Look(text="a red bird"))
    again = Trace.from_bytes(session.trace.body)
    assert again.title == "a red bird" and {one.heads for one in again.maps} == {2}, "of the heads that were chosen"


def test_a_session_of_pictures_takes_pictures(picture):
    session, data = session_of("vit-digits", picture), io.BytesIO()
    Image.fromarray(np.full((8, 8), 200, dtype=np.uint8)).save(data, "PNG")
    first = session.trace.body
    assert session.look_at(data.getvalue()).body != first
