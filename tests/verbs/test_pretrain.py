"""Pretraining on raw text: from the command line to a model that writes or fills, stopped, gone on with, repeated."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import qkv as library
from qkv.base.errors import ConfigError, DataError
from qkv.data.text_report import TextReport
from qkv.model import Reader, Writer
from qkv.training.loop import Stepped
from qkv.training.signals import RESUME_ME
from qkv.verbs.pretrain import pretrain
from training.crash.killing import differences, function, kill_and_compare
from training.crash.learning import pretrain_texts
from verbs.command_line import in_process
from verbs.small_runs import narrow_sizes

SUBJECTS, VERBS, OBJECTS = (
    ("the cat", "a dog", "my aunt"),
    ("sees", "hears", "likes"),
    ("milk", "rain", "songs", "bread"),
)
SENTENCES = [f"{subject} {verb} {thing}" for subject in SUBJECTS for verb in VERBS for thing in OBJECTS]
DOCUMENTS = [". ".join(SENTENCES[i : i + 4]) + "." for i in range(len(SENTENCES) - 4)]
SHORT: dict[str, Any] = {
    "steps": 6, "warmup": 2, "budget": 256, "validate_every": 3, "checkpoint_every": 2, "vocab_size": 300, "window": 24,
}  # fmt: skip


@pytest.fixture
def qkv(capsys, monkeypatch, tmp_path):
    write_documents(tmp_path / "corpus.txt")
    return in_process(capsys, monkeypatch, tmp_path)


@pytest.fixture
def place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    narrow_sizes(monkeypatch)
    write_documents(tmp_path / "corpus.txt")
    return tmp_path


def write_documents(path: Path) -> None:
    path.write_text("\n\n".join(DOCUMENTS))


def spelled(options: dict[str, Any]) -> list[str]:
    return [word for k, v in options.items() for word in (f"--{k.replace('_', '-')}", str(v))]


@pytest.mark.parametrize(
    ("size", "verb"), [("gpt-tiny", "generate"), ("llama-tiny", "generate"), ("bert-tiny", "fill")]
)
def test_a_text_of_ones_own_becomes_a_model(qkv, tmp_path, size, verb):
    done = qkv("pretrain", size, "corpus.txt", "--out", "RUN", *spelled(SHORT))
    assert done.code == 0, done.err
    assert "rows read" in done.err, "the first screen is what the data is like"
    assert "RUN: step 6, validation loss" in done.err
    assert f"Trained. Next: qkv {verb} RUN" in done.out
    names = {path.name for path in (tmp_path / "RUN").iterdir()}
    assert names >= {"run.json", "metrics.jsonl", "checkpoints", "config.json", "model.safetensors", "README.md"}
    prompt = "the cat" if verb == "generate" else "the cat [MASK] milk"
    used = qkv(verb, "RUN", prompt, "--json")
    assert used.code == 0, used.err
    assert json.loads(used.out)
    assert "corpus.txt" in qkv("info", "RUN").out


def test_json_holds_figures_and_a_sample(qkv):
    said = json.loads(qkv("pretrain", "gpt-tiny", "corpus.txt", *spelled(SHORT), "--json", "-q").out)
    assert said["folder"] == "runs/gpt-tiny-corpus"
    assert set(said["validation"]) == {"loss", "perplexity", "bits_per_byte"}
    assert [set(one) for one in said["sample"]] == [{"prompt", "text", "ids", "why", "score"}]


def test_text_comes_from_stdin_jsonl_and_folders(qkv, tmp_path):
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps({"text": one}) + "\n" for one in DOCUMENTS))
    (tmp_path / "texts").mkdir()
    for i, one in enumerate(DOCUMENTS):
        (tmp_path / "texts" / f"{i:02}.txt").write_text(one)
    options = [*spelled(SHORT), "-q"]
    for out, data in (("file", "corpus.txt"), ("lines", "corpus.jsonl"), ("folder", "texts")):
        assert qkv("pretrain", "gpt-tiny", data, "--out", out, *options).code == 0
    stdin = (tmp_path / "corpus.txt").read_bytes()
    assert qkv("pretrain", "gpt-tiny", "-", "--out", "stdin", *options, stdin=stdin).code == 0
    for other in ("lines", "folder", "stdin"):
        assert differences(tmp_path / "file", tmp_path / other) == [], other


def test_a_tokenizer_is_learned_from_the_training_split_or_taken(place):
    first = pretrain("gpt-tiny", "corpus.txt", out="first", **SHORT)
    second = pretrain("gpt-tiny", "corpus.txt", out="second", tokenizer="first", **SHORT | {"vocab_size": None})
    assert isinstance(first.model, Writer)
    assert isinstance(second.model, Writer)
    assert first.model.tokenizer.vocab_size <= 300
    assert first.model.net.cfg.vocab_size == first.model.tokenizer.vocab_size
    assert differences(place / "first", place / "second") == []


def test_what_is_saved_is_what_was_trained(place):
    done = pretrain("bert-tiny", "corpus.txt", out="run", dropout=0.25, **SHORT)
    assert isinstance(done.model, Reader)
    loaded = library.load("run")
    assert loaded.net.cfg.dropout == 0.25
    assert loaded.net.cfg.dropout_attention == 0.0
    for name, tensor in done.model.net.state_dict().items():
        assert torch.equal(tensor, loaded.net.state_dict()[name]), name
    (again,) = library.fill("run", [done.sample[0].text], top=3)
    for shown, guess in zip(done.sample[0].gaps[0], again.gaps[0], strict=True):
        assert shown.text == guess.text
        assert shown.probability == pytest.approx(guess.probability, rel=1e-5)
    card = Path("run/README.md").read_text()
    assert card.startswith("# bert-tiny trained on corpus.txt\n")
    assert "nats per masked token" in card
    assert "qkv pretrain --config run/run.json --out ANOTHER" in card


def test_it_learns(place):
    """Enough steps to know the few words: a text is then far from as likely as any other."""
    events: list[Any] = []
    long: dict[str, Any] = {"steps": 120, "lr": 1e-2, "validate_every": 120, "checkpoint_every": 120, "budget": 1024}
    done = pretrain("gpt-tiny", "corpus.txt", out="run", on_event=events.append, **SHORT | long)
    first = next(event for event in events if isinstance(event, Stepped))
    assert isinstance(events[0], TextReport)
    assert done.figures["loss"] < first.plain / 2


def stop_at(step: int):
    def listen(event):
        if isinstance(event, Stepped) and event.step == step:
            raise KeyboardInterrupt

    return listen


@pytest.mark.parametrize("size", ["gpt-tiny", "bert-tiny"])
def test_a_run_goes_on_where_it_was_left_and_is_repeated(place, size):
    pretrain(size, "corpus.txt", out="whole", **SHORT)
    with pytest.raises(KeyboardInterrupt):
        pretrain(size, "corpus.txt", out="broken", on_event=stop_at(3), **SHORT)
    pretrain(resume="broken")
    pretrain(config="whole/run.json", out="again")
    assert differences(place / "whole", place / "broken") == []
    assert differences(place / "whole", place / "again") == []
    assert (place / "whole/config.json").read_bytes() == (place / "broken/config.json").read_bytes()


def test_a_recipe_in_toml_is_run(qkv, tmp_path):
    settings = SHORT | {"model": "gpt-tiny", "data": "corpus.txt"}
    (tmp_path / "r.toml").write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in settings.items()))
    assert qkv("pretrain", "--config", "r.toml", "--out", "one", "-q").code == 0
    assert qkv("pretrain", "gpt-tiny", "corpus.txt", "--out", "two", *spelled(SHORT), "-q").code == 0
    assert differences(tmp_path / "one", tmp_path / "two") == []


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("gpt-tny corpus.txt", 2, 'No model "gpt-tny"'),
        ("vit-digits corpus.txt", 2, "vit-digits does not learn from raw text; train it with qkv train"),
        (
            "bert-tiny corpus.txt --objective causal",
            2,
            "sees a text from both sides: its objective is mlm, not causal.",
        ),
        ("gpt-tiny corpus.txt --objective mlm", 2, "its objective is causal, not mlm."),
        ("gpt-tiny one.txt", 65, "one.txt is one document, so that none can be held out"),
        ("gpt-tiny words.tsv", 65, "words.tsv is no plain text: give .txt, or .jsonl"),
        ("gpt-tiny corpus.txt --vocab-size 300 --window 4000", 2, "A window of 4000 tokens is longer than the model"),
        ("gpt-tiny corpus.txt --vocab-size 99", 2, "vocab_size is 99; byte pairs need at least 257."),
        ("gpt-tiny corpus.txt --tokenizer nowhere", 65, "No tokenizer in nowhere"),
        ("gpt-tiny", 2, "no data, as in: qkv pretrain gpt-tiny pydoc"),
        ("--resume nowhere", 2, "nowhere is no run"),
        ("gpt-tiny --resume nowhere", 2, "--resume takes the run's own settings"),
    ],
)
def test_a_mistake_gets_a_sentence_and_leaves_nothing_behind(qkv, tmp_path, line, code, said):
    (tmp_path / "one.txt").write_text("a text")
    before = sorted(tmp_path.iterdir())
    done = qkv("pretrain", *line.split())
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert sorted(tmp_path.iterdir()) == before


def test_other_data_and_other_verbs_are_refused_on_resume(place):
    with pytest.raises(KeyboardInterrupt):
        pretrain("gpt-tiny", "corpus.txt", out="run", on_event=stop_at(3), **SHORT)
    with pytest.raises(ConfigError, match="run is a run of qkv pretrain: go on with qkv pretrain --resume run"):
        library.train(resume="run")
    (place / "corpus.txt").write_text("\n\n".join(DOCUMENTS).replace("milk", "mice"))
    with pytest.raises(ConfigError, match=r"corpus\.txt is not the data that run was trained on"):
        pretrain(resume="run")


def test_bad_documents_are_left_out_when_asked(place):
    with (place / "corpus.txt").open("ab") as file:
        file.write(b"\n\ncaf\xe9")
    with pytest.raises(DataError, match="not UTF-8"):
        pretrain("gpt-tiny", "corpus.txt", out="run", **SHORT)
    events: list[Any] = []
    pretrain("gpt-tiny", "corpus.txt", out="run", on_bad="skip", on_event=events.append, **SHORT)
    assert events[0].dropped == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", [{}, {"number": 15, "codes": [RESUME_ME]}])
def test_kills_change_no_bit(tmp_path, monkeypatch, how):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    write_documents(tmp_path / "corpus.txt")

    def start(run: Path) -> Any:
        return function(pretrain_texts, run, str(tmp_path / "corpus.txt"))

    kill_and_compare(tmp_path, start, 10, longest=0.2, watch="metrics.jsonl", **how)
