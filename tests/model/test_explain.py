"""A trace of any model holds what its net did: the same maps as a plain look, the tokens it read, what it said."""

import base64
import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import qkv
from model.small_models import TEXTS, given_to, model_of
from models.tiny import SMALL
from qkv.base.errors import ConfigError, ShapeError, UnsupportedError
from qkv.data.pairs import Link, Pair
from qkv.inside.trace import Trace
from qkv.model import Reader, Translator, Viewer
from qkv.model.explain import explain as explain_model

SENTENCE = TEXTS[0]
explain: Any = explain_model


def weights_in(trace: Trace, name: str) -> np.ndarray:
    return trace.tensors[f"{name}.weights"] / 255.0 * trace.tensors[f"{name}.rowmax"].astype(np.float64)[..., None]


@pytest.mark.parametrize("small", SMALL.values(), ids=SMALL)
def test_every_model_s_trace_holds_what_a_look_sees(small):
    model = model_of(small)
    trace = explain(model, given_to(model), n_tokens=3)
    shown = model.show_input(given_to(model), n_tokens=3, beams=4)
    with torch.inference_mode(), qkv.look(model) as seen:
        shown.run()
    assert len(trace.maps) == len(seen.maps)
    for one, spec in zip(trace.maps, seen.maps, strict=True):
        assert (one.layer, one.kind, one.query, one.heads) == (spec.layer, spec.kind, spec.query_stream, spec.heads)
        exact = seen.weights(spec.layer, spec.kind, spec.query_stream).double().numpy()
        exact = exact.swapaxes(0, 1) if spec.window else exact[0]
        error = np.abs(weights_in(trace, one.id) - exact)
        assert (error <= exact.max(-1, keepdims=True) / 255).all()
    assert Trace.from_bytes(trace.to_bytes()).to_bytes() == trace.to_bytes(), "reading is strict: all parts fit"
    assert trace.model.parameters == sum(p.numel() for p in model.net.parameters())
    assert trace.model.family == small.family.name


def whole_map(trace: Trace, one: Any) -> np.ndarray:
    """Return the weights (h, t, s) of a map, windows put back where they were cut."""
    weights = weights_in(trace, one.id)
    if one.store != "windows":
        return weights
    laid = np.zeros((one.heads, one.rows, one.columns))
    for i, places in enumerate(trace.tensors[f"{one.id}.places"]):
        real = places >= 0
        laid[:, places[real][:, None], places[real]] = weights[:, i][:, real][:, :, real]
    return laid


@pytest.mark.parametrize("small", SMALL.values(), ids=SMALL)
def test_from_queries_and_keys_come_the_weights(small):
    """What the page works through by hand: softmax(q k * scale + bias), keys shared by groups of heads."""
    model = model_of(small)
    if isinstance(model, Viewer):  # six rows and columns: whole windows in every stage
        model.preprocessing = type(model.preprocessing)(
            size=(24, 24), mean=(0.5,) * small.cfg.n_channels, std=(0.5,) * small.cfg.n_channels
        )
    trace = explain(model, given_to(model), n_tokens=3, qk=True)
    for one in trace.maps:
        assert one.qk == (small.family.name != "seq2seq")
        if not one.qk:
            continue
        q, k, v = (trace.tensors[f"{one.id}.{name}"].astype(np.float64) for name in "qkv")
        assert k.shape[0] == v.shape[0] == one.kv_heads and q.shape[2] == one.d_head
        group = np.arange(one.heads) * one.kv_heads // one.heads
        scores = q @ k[group].swapaxes(1, 2) * one.scale + trace.tensors.get(f"{one.id}.bias", np.zeros(1))
        if one.causal:
            scores[:, ~np.tri(one.rows, one.columns, dtype=bool)] = -np.inf
        found = torch.from_numpy(scores).softmax(-1).numpy()
        assert np.abs(found - whole_map(trace, one)).max() < 0.02, "fp16 of q and k, bytes of the weights"


def test_a_text_s_tokens_know_their_places_and_words():
    trace = explain(model_of(SMALL["bert-tiny"]), "The catbird sees")
    (text,) = trace.streams
    assert (text.tokens[0], text.tokens[-1]) == ("[CLS]", "[SEP]")
    assert text.special == (True, *[False] * (len(text) - 2), True)
    for token, (start, end), special in zip(text.tokens, text.offsets, text.special, strict=True):
        assert special or text.text[start:end].lower() == token
    assert text.words[0] == text.words[-1] == -1
    assert [w for w in text.words if w >= 0] == sorted(text.words[1:-1]) and max(text.words) == 2


def test_of_a_pair_the_second_text_stands_below_the_first():
    (text,) = explain(model_of(SMALL["bert-tiny"]), ("the cat", "a bird")).streams
    assert text.text == "the cat\na bird"
    said = [text.text[a:b] for (a, b), special in zip(text.offsets, text.special, strict=True) if not special]
    assert "".join(said) == "thecatabird"


def test_gaps_are_filled_as_fill_fills_them():
    model = model_of(SMALL["bert-tiny"], head="mlm")
    trace = explain(model, "the [MASK] cat sees a [MASK]")
    (gaps,) = trace.outputs
    found = model.fill("the [MASK] cat sees a [MASK]", top=10)
    assert [trace.streams[0].tokens[gap.at] for gap in gaps.gaps] == ["[MASK]"] * 2
    for gap, wanted in zip(gaps.gaps, found, strict=True):
        assert [token for token, _ in gap.top] == [guess.token for guess in wanted]
        assert [p for _, p in gap.top] == pytest.approx([guess.probability for guess in wanted], rel=1e-5)


@pytest.mark.parametrize("size", ["bert-tiny", "gpt-tiny", "vit-digits", "swin-digits", "deberta-v3-base"])
def test_labels_are_those_that_predict_gives(size):
    model = model_of(SMALL[size], head="classify")
    (labels,) = explain(model, given_to(model)).outputs
    (wanted,) = model.predict([given_to(model)])
    assert [name for name, _ in labels.labels] == [one.label for one in wanted]
    assert [p for _, p in labels.labels] == pytest.approx([one.probability for one in wanted], rel=1e-5)


@pytest.mark.parametrize("size", ["gpt-tiny", "llama-tiny"])
def test_what_a_decoder_writes_is_what_generate_writes(size):
    model = model_of(SMALL[size])
    trace = explain(model, SENTENCE, n_tokens=6)
    (found,) = model.generate([SENTENCE], n_tokens=6)
    (text,), (steps,) = trace.streams, trace.outputs
    assert text.text == SENTENCE + found.text and [step.id for step in steps.steps] == found.ids
    assert text.generated == steps.first == len(model.tokenizer.encode(SENTENCE).ids)
    assert len(text) == steps.first + len(found.ids)
    for step in steps.steps:
        assert len(step.top) == 10 and step.top[0][0] == step.token, "greedy takes the likeliest"
    joined = "".join(text.text[a:b] for a, b in text.offsets[steps.first :])
    assert joined == found.text
    log_probability = sum(np.log(step.top[0][1]) for step in steps.steps)
    assert log_probability / len(found.ids) == pytest.approx(found.score, abs=1e-4)


def test_a_decoder_that_is_not_to_write_is_watched_on_the_text_alone():
    trace = explain(model_of(SMALL["gpt-tiny"]), SENTENCE, n_tokens=0)
    assert trace.streams[0].generated is None and not trace.outputs
    assert trace.maps[0].rows == len(trace.streams[0])


@pytest.mark.parametrize("size", ["bahdanau-tiny", "luong-tiny", "transformer-tiny"])
def test_the_map_is_the_one_behind_the_best_translation(size):
    """One pass over the best hypothesis has the weights of the steps that found it, stitched."""
    model = model_of(SMALL[size])
    trace = explain(model, SENTENCE, n_tokens=5)
    (done,) = model.translate([SENTENCE], beams=4, max_tokens=5, weights=True)
    for one in trace.maps:
        if one.kind == "cross":
            wanted = done.weights[one.layer]
            assert np.abs(weights_in(trace, one.id) - wanted).max() <= 1 / 255 + 1e-4
    beams = trace.outputs[-1].hypotheses
    assert beams[0].text == done.text == trace.stream("target").text
    assert beams[0].score == pytest.approx(done.score) and len(beams) > 1
    assert [one.score for one in beams] == sorted((one.score for one in beams), reverse=True)
    assert trace.stream("target").generated == 0


def test_what_a_decoder_has_read_is_a_stream_of_its_own():
    trace = explain(model_of(SMALL["transformer-tiny"]), SENTENCE, target="le petit chat")
    target, prefix = trace.stream("target"), trace.stream("prefix")
    assert target.tokens == ("le", "petit", "chat", "</s>") and prefix.tokens == ("<s>", "le", "petit", "chat")
    assert target.special == (False, False, False, True) and prefix.special == (True, False, False, False)
    keys = {(one.query, one.kind): one.key for one in trace.maps}
    assert keys == {("source", "self"): "source", ("target", "self"): "prefix", ("target", "cross"): "source"}
    assert [target.text[a:b] for a, b in target.offsets] == ["le", "petit", "chat", ""]
    assert trace.stream("source").tokens[-1] == "</s>" and [o.kind for o in trace.outputs] == ["steps"]


def test_gold_links_come_with_the_pair_they_are_of():
    pair = Pair("small cat", "chat petit", (Link((0, 5), (5, 10)), Link((6, 9), (0, 4))))
    model = model_of(SMALL["bahdanau-tiny"])
    (gold,) = explain(model, pair, target=pair.target).gold
    assert (gold.query, gold.key, gold.links) == ("target", "source", ((0, 1), (1, 0)))
    assert explain(model, pair, n_tokens=3).gold == (), "another translation has another alignment"


def test_the_picture_is_what_the_net_saw():
    model = model_of(SMALL["vit-digits"], n_channels=3)
    model.preprocessing = type(model.preprocessing)(size=(24, 20), how="short side", crop=(24, 20))
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    (picture,) = explain(model, pixels).streams
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.image.partition(",")[2]))))
    assert (shown == pixels).all() and picture.grid == (6, 5) and picture.prefix == ("[CLS]",)


@pytest.mark.parametrize("size", [(24, 20), (26, 31), (13, 9)])
def test_swin_of_any_size_lays_its_windows_over_the_whole_picture(size):
    model = model_of(SMALL["swin-digits"])
    model.preprocessing = type(model.preprocessing)(size=size, mean=(0.5,), std=(0.5,))
    trace = explain(model, np.random.default_rng(0).random((*size, 1), dtype=np.float32))
    rows, columns = trace.streams[0].grid
    assert (rows, columns) == (-(-size[0] // 4), -(-size[1] // 4))
    for one in trace.maps:
        stage = 2 ** (one.layer // 2)
        assert one.grid == (-(-rows // stage), -(-columns // stage)) and one.rows == one.grid[0] * one.grid[1]
        places = trace.tensors[f"{one.id}.places"]
        assert sorted(places[places >= 0].tolist()) == list(range(one.rows))
    Trace.from_bytes(trace.to_bytes())


def test_registers_and_both_tokens_of_deit_have_names():
    model = model_of(SMALL["deit-tiny-distilled-patch16-224"])
    assert explain(model, given_to(model)).streams[0].prefix == ("[CLS]", "[DIST]")
    model = model_of(SMALL["dinov2-with-registers-small"])
    names = explain(model, given_to(model)).streams[0].prefix
    assert names[:2] == ("[CLS]", "register 1")


def test_layers_and_heads_can_be_chosen():
    model = model_of(SMALL["bert-tiny"])
    whole, part = explain(model, SENTENCE), explain(model, SENTENCE, layers=[1], heads=[3, 0])
    (one,) = part.maps
    assert (one.layer, one.heads, one.numbers) == (1, 2, (3, 0))
    np.testing.assert_array_equal(part.tensors[f"{one.id}.weights"], whole.tensors["1.weights"][[3, 0]])
    with pytest.raises(ConfigError, match=r"Layers \[7\] are not in this net"):
        explain(model, SENTENCE, layers=[7])


def test_long_inputs_keep_the_largest_weights_unless_all_are_asked_for(monkeypatch):
    monkeypatch.setattr("qkv.inside.recorded.BUDGET", 10_000)
    model = model_of(SMALL["gpt-tiny"], max_len=400)
    text = " ".join(TEXTS[0] for _ in range(20))
    ids = model.tokenizer.encode(text).ids
    trace = explain(model, text, n_tokens=0, top=3)
    assert len(ids) >= 128 and {one.store for one in trace.maps} == {"top"}
    assert trace.tensors["0.top.values"].shape == (4, len(ids), 3)
    assert {one.store for one in explain(model, text, n_tokens=0, exact=True).maps} == {"weights"}


def test_nets_that_learned_nothing_are_called_random():
    model = model_of(SMALL["bert-tiny"])
    assert not explain(model, SENTENCE).model.random, "its norms are drawn"
    for module in model.net.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.reset_parameters()
    assert explain(model, SENTENCE).model.random
    assert not explain(model, SENTENCE, random=False).model.random
    model.card["random"] = False
    assert not explain(model, SENTENCE).model.random
    model.card["random"] = True
    assert explain(model, SENTENCE).model.random


def test_the_title_is_short_and_the_code_looks_again():
    trace = explain(model_of(SMALL["bert-tiny"]), 'a "cat"\n' * 9, name="runs/a")
    assert len(trace.title) <= 60 and "\n" not in trace.title
    assert "model = qkv.load('runs/a')\n" in trace.code and compile(trace.code, "code", "exec")


def test_what_cannot_be_shown_is_said():
    bert, gpt = model_of(SMALL["bert-tiny"]), model_of(SMALL["gpt-tiny"])
    with pytest.raises(ConfigError, match="A bert model takes no target; only translators do"):
        explain(bert, SENTENCE, target="a")
    with pytest.raises(ConfigError, match="reads a text or a pair of texts; int was given"):
        explain(bert, 3)
    with pytest.raises(ConfigError, match="A decoder goes on with one text; two were given"):
        explain(gpt, ("a", "b"))
    with pytest.raises(ShapeError, match="The text is empty"):
        explain(gpt, "")
    with pytest.raises(ShapeError, match="this model has 40 positions"):
        explain(bert, SENTENCE * 20)
    with pytest.raises(UnsupportedError, match=r"call net\.eval\(\)"):
        explain(Reader(bert.net.train(), bert.tokenizer), SENTENCE)
    bert.net.eval()
    with pytest.raises(ConfigError, match="One picture is shown at a time"):
        explain(model_of(SMALL["vit-digits"]), [np.zeros((8, 8, 1))])
    assert isinstance(model_of(SMALL["rnn-tiny"]), Translator)
