"""A model called inside a look: one pass is seen, its tokens are known, and its page can be shown."""

import pytest
import torch

import qkv
from model.small_models import TEXTS, given_to, model_of
from models.tiny import SMALL
from qkv.base.errors import UnsupportedError
from qkv.inside.trace import Trace
from qkv.model.explain import explain

SENTENCE = TEXTS[0]


@pytest.mark.parametrize(
    "size", ["bert-tiny", "gpt-tiny", "bahdanau-tiny", "transformer-tiny", "vit-digits", "swin-digits"]
)
def test_a_look_around_a_call_shows_its_page(size):
    model = model_of(SMALL[size])
    with qkv.look(model) as seen:
        said = model(given_to(model))
    assert said.isfinite().all()
    page = seen.show(name="runs/a", random=True)
    trace = Trace.from_bytes(page.trace)
    assert trace.model.name == "runs/a" and trace.model.random
    wanted = explain(model, given_to(model), n_tokens=0, qk=False, name="runs/a", random=True)
    assert trace.to_bytes() == wanted.to_bytes()
    assert page._repr_html_().startswith("<iframe srcdoc=") and seen._repr_html_()


def test_what_a_search_tries_is_not_what_is_seen():
    model = model_of(SMALL["transformer-tiny"])
    with qkv.look(model) as seen:
        logits = model(SENTENCE, n_tokens=4)
    assert seen.weights(0, "self", "target").shape == (1, 4, logits.size(1), logits.size(1))
    (done,) = model.translate([SENTENCE], beams=4, max_tokens=4)
    assert seen.trace().stream("target").tokens == tuple(
        "</s>" if i == model.net.cfg.end_id else model.target.decode([i]) for i in done.ids
    )


def test_without_a_look_a_call_says_the_same():
    model = model_of(SMALL["bert-tiny"])
    alone = model(SENTENCE)
    with qkv.look(model):
        assert torch.equal(model(SENTENCE), alone)


def test_of_a_net_alone_no_page_is_made_and_of_two_inputs_none_either(tmp_path):
    model = model_of(SMALL["bert-tiny"])
    with qkv.look(model) as seen:
        model.net(torch.tensor([[1, 2, 3]]))
    assert seen._repr_html_() is None
    with pytest.raises(UnsupportedError, match=r"0 inputs went through the model, and one can be shown"):
        seen.show()
    with qkv.look(model) as seen:
        model(SENTENCE)
        model(TEXTS[1])
    with pytest.raises(UnsupportedError, match=r"2 inputs went through the model"):
        seen.show()
    with qkv.look(model) as seen:
        model(SENTENCE)
    seen.show().save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
