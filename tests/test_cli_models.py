"""Models at the command line, as a new user meets them: folders of transformers in, answers and folders out."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import qkv
from model.public_folders import bert_folder, gpt_folder, vit_folder
from verbs.command_line import in_process

MAKE = {
    "BERT": bert_folder,
    "TEXTS": lambda folder: bert_folder(folder, "ForSequenceClassification"),
    "GPT": gpt_folder,
    "VIT": vit_folder,
}


@pytest.fixture
def run(capsys, monkeypatch, tmp_path, made):
    """Run a command that must succeed, without a word beside its results."""
    command = in_process(capsys, monkeypatch, tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 36, 3), dtype=np.uint8)).save(tmp_path / "p q.png")

    def run(*arguments: str, err: str | None = "", **rest: Any) -> str:
        said = command(*(made.get(one, one) for one in arguments), **rest)
        assert (said.code, said.err) == (0, said.err if err is None else err), said
        return said.out

    return run


def test_a_text_goes_on_as_it_does_in_python(run, made):
    model: Any = qkv.load(made["GPT"])
    (wanted,) = model.generate(["the small"], n_tokens=8)
    assert run("generate", "GPT", "the small", "--n-tokens", "8") == f"the small{wanted.text}\n"
    told = json.loads(run("generate", "GPT", "the small", "a", "--n-tokens", "8", "--json"))
    assert [one["prompt"] for one in told] == ["the small", "a"]
    assert (told[0]["text"], told[0]["ids"], told[0]["why"]) == (wanted.text, wanted.ids, wanted.why)
    assert run("generate", "GPT", "--n-tokens", "8", stdin=b"the small\n") == f"the small{wanted.text}\n"
    beams = json.loads(run("generate", "GPT", "the small", "--n-tokens", "8", "--beams", "3", "--json"))
    assert beams[0]["ids"] == model.generate(["the small"], n_tokens=8, beams=3)[0].ids


def test_what_is_drawn_is_drawn_again_with_its_seed(run):
    drawn = ("generate", "GPT", "the small", "--n-tokens", "12", "--temperature", "3", "--top-k", "50", "--seed")
    assert run(*drawn, "1") == run(*drawn, "1") != run(*drawn, "2")
    stopped = json.loads(run(*drawn, "1", "--json"))[0]["text"]
    part = stopped[len(stopped) // 2 :][:2]
    told = json.loads(run(*drawn, "1", "--stop", part, "--json"))[0]
    assert (told["text"], told["why"]) == (stopped[: stopped.index(part)], "stop")


def test_gaps_are_filled_and_shown(run, made):
    text = "the [MASK] cat sees a [MASK] bird"
    told = json.loads(run("fill", "BERT", text, "--top", "3", "--json"))
    model: Any = qkv.load(made["BERT"])
    wanted = [[guess.token for guess in gap] for gap in model.fill(text, top=3)]
    assert [[guess["token"] for guess in gap] for gap in told[0]["gaps"]] == wanted
    shown = run("fill", "BERT", text, "--top", "3")
    assert all(token in shown for gap in wanted for token in gap)
    assert "(gap 1 of 2)" in shown and "(gap 2 of 2)" in shown


@pytest.mark.parametrize(("model", "given"), [("TEXTS", "a red bird"), ("VIT", "p q.png")])
def test_texts_and_pictures_get_labels_and_vectors(model, given, run, made, tmp_path):
    loaded: Any = qkv.load(made[model])
    inputs = [str(tmp_path / given)] if model == "VIT" else [given]
    (wanted,) = loaded.predict(inputs)
    (told,) = json.loads(run("predict", model, given, "--json"))
    assert told["input"] == given
    assert [one["label"] for one in told["labels"]] == [one.label for one in wanted]
    assert [one["probability"] for one in told["labels"]] == pytest.approx(
        [one.probability for one in wanted], abs=1e-5
    )
    assert wanted[0].label in run("predict", model, given, "--top", "1")
    assert wanted[-1].label not in run("predict", model, given, "--top", "1")

    run("embed", model, given, given, "--save", "v.npy", err="2 vectors of 24 numbers in v.npy.\n")
    vectors = np.load(tmp_path / "v.npy")
    torch.testing.assert_close(torch.from_numpy(vectors[:1]), loaded.embed(inputs), rtol=0, atol=1e-5)
    assert vectors.dtype == np.float32
    assert "1.000" in run("embed", model, given, given)
    np.testing.assert_allclose(json.loads(run("embed", model, given, "--json"))["vectors"], vectors[:1], atol=1e-5)


def test_long_texts_are_cut_or_read_in_pieces(run):
    long = "the small house sees a red bird " * 8
    cut, pieces = (run("predict", "TEXTS", long, *how, "--json") for how in (["--truncate"], ["--stride", "4"]))
    assert json.loads(cut)[0]["input"] == json.loads(pieces)[0]["input"] == long
    assert cut != pieces
    assert run("embed", "TEXTS", long, "--truncate", "--json") != run("embed", "TEXTS", long, "--stride", "4", "--json")


def test_a_folder_is_converted_there_and_back(run, made, tmp_path):
    assert run("convert", "VIT", "--to", "timm", "--out", "timm") == "Written: timm\n"
    assert json.loads(run("convert", "timm", "--to", "hf", "--out", "back", "--json")) == {"folder": "back"}
    run("convert", "back", "--to", "qkv", "--out", "own")
    weights = [folder / "model.safetensors" for folder in (made["VIT"], tmp_path / "back")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert run("predict", "own", "p q.png") == run("predict", "VIT", "p q.png")


def test_a_folder_is_told_apart_and_proved(run, made, tmp_path):
    told = json.loads(run("info", "VIT", "--json"))
    assert told["family"] == "vit" and told["card"]["labels"] == ["cat", "dog", "fish"]
    assert told["parameters"] == sum(p.numel() for p in qkv.load(made["VIT"]).net.parameters())
    assert f"{told['parameters']:,}" in run("info", "VIT")
    proof = json.loads(
        run("verify", "GPT", "--save", "proof.json", "--json", err=None)
    )  # transformers tells its progress
    assert proof["differing"] == [] and max(proof["layers"]) <= 1e-5
    assert json.loads((tmp_path / "proof.json").read_text())["holds"] is True


def test_sizes_are_counted_compared_and_worked_through(run):
    tables = json.loads(run("tables", "gpt", "--json"))
    assert {one["family"] for one in tables} == {"gpt"} and {"model", "parameters"} <= tables[0].keys()
    assert "gpt2" in run("tables", "gpt", "llama")
    diff = json.loads(run("diff", "bert-base-uncased", "roberta-base", "--json"))
    assert {row["what"] for row in diff["parameters"]} <= {"token.weight", "position.weight", "segment.weight"}
    assert "segment.weight" in run("diff", "bert-base-uncased", "roberta-base")
    trace = json.loads(run("trace", "BERT", "a red bird", "--layer", "1", "--head", "2", "--json"))
    assert trace["tokens"][0] == "[CLS]" and len(trace["weights"]) == len(trace["tokens"])
    assert all(abs(sum(row) - 1) < 1e-5 for row in trace["weights"])
    assert all(word in run("trace", "BERT", "a red bird") for word in ("bird", "softmax"))


def test_bf16_says_nearly_the_same(run):
    fast, exact = (
        json.loads(run("predict", "TEXTS", "a bird", "--json", "--dtype", dtype)) for dtype in ("bf16", "fp32")
    )
    told = [{one["label"]: one["probability"] for one in found[0]["labels"]} for found in (fast, exact)]
    assert told[0] == pytest.approx(told[1], abs=0.05)
