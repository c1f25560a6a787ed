"""Models that exist learn labels or go on with text; sizes learn labels from nothing; texts and pictures alike."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import qkv as library
from qkv.base.errors import ConfigError, DataError
from qkv.data.picture_report import PictureReport
from qkv.model import Reader, Viewer
from qkv.training.loop import Noticed, Stepped
from qkv.verbs.finetune import finetune
from qkv.verbs.running import Learned
from qkv.verbs.train import train
from training.crash.killing import differences, function, kill_and_compare
from training.crash.learning import train_pictures
from verbs.command_line import in_process
from verbs.small_runs import narrow_sizes
from verbs.test_pretrain import SENTENCES, write_documents

SHORT: dict[str, Any] = {"steps": 6, "warmup": 2, "budget": 256, "validate_every": 3, "checkpoint_every": 2, "lr": 1e-3}
PICTURES: dict[str, Any] = SHORT | {"budget": 8}
TEXT: dict[str, Any] = {"vocab_size": 300, "window": 24}


@pytest.fixture
def qkv(capsys, monkeypatch, tmp_path):
    return in_process(capsys, monkeypatch, tmp_path)


@pytest.fixture
def place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    narrow_sizes(monkeypatch)
    return tmp_path


@pytest.fixture(autouse=True)
def _data(tmp_path):
    write_documents(tmp_path / "corpus.txt")
    write_rows(tmp_path / "rows.tsv")


def write_rows(path: Path, labels: tuple[str, str] = ("1", "2"), more: str = "") -> None:
    rows = [f"{one}\t{labels['milk' in one or 'rain' in one]}\n" for one in [*SENTENCES, *(f"{s}!" for s in SENTENCES)]]
    path.write_text("text\tlabel\n" + "".join(rows) + more)


def write_pictures(folder: Path, n: int = 24) -> None:
    """Dark and light pictures of noise, in a folder for each."""
    draw = np.random.default_rng(0)
    for label, high in (("dark", 100), ("light", 255)):
        (folder / label).mkdir(parents=True)
        for i in range(n):
            pixels = draw.integers(high - 90, high, (30, 26, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{i}.png")


def pretrained(size: str) -> Any:
    return library.pretrain(size, "corpus.txt", out="base", **SHORT | TEXT).model


def spelled(options: dict[str, Any]) -> list[str]:
    return [word for k, v in options.items() for word in (f"--{k.replace('_', '-')}", str(v))]


def listen_to(events: list[Any]) -> Any:
    return lambda event: events.append(event.text) if isinstance(event, Noticed) else None


def stop_at(step: int) -> Any:
    def listen(event):
        if isinstance(event, Stepped) and event.step == step:
            raise KeyboardInterrupt

    return listen


@pytest.mark.parametrize("size", ["bert-tiny", "gpt-tiny"])
def test_a_model_learns_the_labels_of_a_tsv(qkv, tmp_path, size):
    assert qkv("pretrain", size, "corpus.txt", "--out", "base", *spelled(SHORT | TEXT)).code == 0
    done = qkv("finetune", "base", "rows.tsv", "--task", "classify", "--out", "RUN", *spelled(SHORT))
    assert done.code == 0, done.err
    assert "labels are {1, 2}; mapped to 0, 1 and saved" in done.err
    assert "Drawn anew: " in done.err
    assert "head.out.weight" in done.err
    assert done.out.splitlines()[0].split()[1:] == ["accuracy", "macro_f1", "majority"]
    assert "majority: the accuracy of always giving the most frequent label" in done.out
    assert 'Next: qkv predict RUN "..."' in done.out
    said = json.loads(qkv("predict", "RUN", "the cat sees milk", "--json").out)
    assert {one["label"] for one in said[0]["labels"]} == {"1", "2"}
    public = library.load("RUN")
    public.save(tmp_path / "hf", format="hf")
    assert library.load(tmp_path / "hf").labels == ["1", "2"], "labels travel in public files too"


def test_labels_are_learned_better_than_always_saying_one(place):
    more: dict[str, Any] = {
        "steps": 150,
        "lr": 5e-3,
        "budget": 600,
        "validate_every": 150,
        "checkpoint_every": 150,
        "dropout": 0.0,
    }
    done = train("bert-tiny", "rows.tsv", out="run", vocab_size=200, **SHORT | more)
    assert isinstance(done, Learned)
    assert done.figures["majority"] < 0.8
    assert done.figures["accuracy"] > 0.9


def test_the_body_is_kept_and_the_head_is_new(place):
    base = pretrained("bert-tiny")
    done = finetune("base", "rows.tsv", out="run", freeze="body", **SHORT)
    before, after = base.net.state_dict(), done.model.net.state_dict()
    body = [name for name in before if name in after and not name.startswith("head.")]
    assert len(body) > 20
    for name in body:
        assert torch.equal(before[name], after[name]), name
    assert after["head.out.weight"].shape[0] == 2
    assert done.model.labels == ["1", "2"]


def test_what_a_pattern_freezes_leaves_the_optimiser_and_stays_bit_for_bit(place):
    base = pretrained("gpt-tiny")
    notes: list[str] = []
    done = finetune(
        "base", "corpus.txt", objective="causal", window=24, out="run", freeze="stack.blocks.0.*", ema=0.9,
        on_event=listen_to(notes), **SHORT,
    )  # fmt: skip
    before, after = base.net.state_dict(), done.model.net.state_dict()
    for name in before:
        frozen = name.startswith("stack.blocks.0.")
        assert torch.equal(before[name], after[name]) == frozen, name
    n = sum(p.numel() for name, p in before.items() if name.startswith("stack.blocks.0."))
    total = sum(p.numel() for p in done.model.net.parameters())
    assert f"Frozen: {n:,} of {total:,} parameters." in notes
    assert "The model's own head is trained on." in notes
    state = json.loads(next(Path("run/checkpoints").glob("step-00000006/state.json")).read_text())
    listed = dict(dict(state["facts"]["optimiser"]["dict"])["state"]["dict"])
    assert len(listed) == sum(1 for name in before if not name.startswith("stack.blocks.0."))


def test_a_model_goes_on_with_raw_text(place):
    base = pretrained("bert-tiny")
    done = finetune("base", "corpus.txt", objective="mlm", window=24, out="run", **SHORT)
    assert isinstance(done.model, Reader)
    assert done.model.net.cfg == base.net.cfg
    labelled = finetune("run", "rows.tsv", out="labelled", **SHORT)
    assert labelled.model.net.cfg.pooler, "BERT's labels are read through a pooler, which masked words have not trained"
    back = finetune("labelled", "corpus.txt", objective="mlm", window=24, out="back", **SHORT)
    assert back.sample


def test_a_head_for_just_these_labels_is_kept(place):
    pretrained("bert-tiny")
    first = finetune("base", "rows.tsv", out="first", **SHORT)
    notes: list[str] = []
    still: dict[str, Any] = SHORT | {"lr": 1e-9}
    finetune("first", "rows.tsv", out="second", on_event=listen_to(notes), **still)
    assert "The model's own head is trained on." in notes
    second: Any = library.load("second")
    close = (first.model.net.state_dict()["head.out.weight"] - second.net.state_dict()["head.out.weight"]).abs().max()
    assert close < 1e-6
    write_rows(place / "rows.tsv", ("no", "yes"))
    notes.clear()
    finetune("first", "rows.tsv", out="third", on_event=listen_to(notes), **SHORT)
    assert any(note.startswith("Drawn anew: head.") for note in notes)


@pytest.mark.parametrize("model", ["bert-tiny", "gpt-tiny"])
def test_long_texts_are_refused_cut_or_split(place, model):
    pretrained(model)
    room = library.load("base").net.cfg.max_len
    write_rows(place / "rows.tsv", more=f"{'cat ' * 2 * room}\t1\n{'dog ' * 2 * room}\t2\n")
    wanted = rf"rows\.tsv: 1 of .* texts are too long, first 'cat cat .*this model has {room} positions\. "
    with pytest.raises(DataError, match=wanted + "Use --truncate, or --stride 128 to split."):
        finetune("base", "rows.tsv", out="run", **SHORT)
    wide = SHORT | {"budget": 2 * room}
    finetune("base", "rows.tsv", out="cut", truncate=True, **wide)
    notes: list[str] = []
    finetune("base", "rows.tsv", out="split", stride=8, on_event=listen_to(notes), **wide)
    assert any(note.startswith("Long texts are split: ") for note in notes)
    with pytest.raises(ConfigError, match="give one of them"):
        finetune("base", "rows.tsv", out="run", truncate=True, stride=8, **wide)


def test_pictures_in_folders_are_learned_from_nothing_and_on(qkv, tmp_path):
    write_pictures(tmp_path / "photos")
    first = qkv("train", "vit-tiny-patch16-224", "photos", "--out", "one", "--flip", *spelled(PICTURES | {"steps": 40}))
    assert first.code == 0, first.err
    assert "dark" in first.err
    assert first.out.splitlines()[2].startswith("test "), "a test split is scored at the end"
    said = json.loads(qkv("predict", "one", "photos/light/0.png", "--json").out)
    assert said[0]["labels"][0]["label"] == "light"
    (tmp_path / "photos/light").rename(tmp_path / "photos/bright")
    second = qkv("finetune", "one", "photos", "--freeze", "body", "--out", "two", *spelled(PICTURES))
    assert second.code == 0, second.err
    assert "Drawn anew: heads.0." in second.err
    assert library.load("two").labels == ["bright", "dark"]


def test_digits_come_with_their_folds(place):
    events: list[Any] = []
    done = train("vit-digits", "digits", out="run", fold=2, on_event=events.append, **PICTURES)
    assert isinstance(events[0], PictureReport)
    assert isinstance(done.model, Viewer)
    assert done.model.preprocessing.size == done.model.net.cfg.picture_size
    assert set(done.figures) == set(done.test) == {"loss", "accuracy", "macro_f1", "majority"}  # type: ignore[union-attr]
    card = Path("run/README.md").read_text()
    assert "trained by qkv to tell 10 labels apart" in card
    assert "best validation accuracy" in card
    assert "steps of at most 8 pictures" in card


@pytest.mark.parametrize("kind", ["texts", "pictures", "finetuned"])
def test_a_run_goes_on_where_it_was_left_and_is_repeated(place, kind):
    def run(out: str, **more: Any) -> None:
        if kind == "texts":
            train("bert-tiny", "rows.tsv", out=out, vocab_size=200, **SHORT | more)
        elif kind == "pictures":
            train("swin-digits", "digits", out=out, degrees=5.0, **PICTURES | more)
        else:
            finetune("base", "rows.tsv", out=out, freeze="token.*", **SHORT | more)

    verb = finetune if kind == "finetuned" else train
    if kind == "finetuned":
        pretrained("bert-tiny")
    run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("broken", on_event=stop_at(3))
    verb(resume="broken")
    verb(config="whole/run.json", out="again")
    assert differences(place / "whole", place / "broken") == []
    assert differences(place / "whole", place / "again") == []


def test_another_base_is_refused_on_resume(place):
    pretrained("bert-tiny")
    with pytest.raises(KeyboardInterrupt):
        finetune("base", "rows.tsv", out="run", on_event=stop_at(3), **SHORT)
    for path in (place / "base").rglob("*"):
        if path.is_file():
            path.unlink()
    (place / "base").rename(place / "old")
    library.pretrain("bert-tiny", "corpus.txt", out="base", **SHORT | TEXT | {"seed": 1})
    with pytest.raises(ConfigError, match=r"is not the data that run was trained on"):
        finetune(resume="run")


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("train bert-tiny digits", 2, "bert-tiny reads texts, and digits are pictures: take vit-digits"),
        ("train vit-digits rows.tsv", 65, "rows.tsv is a file; give a folder with a folder for each class."),
        ("train vit-digits digits --columns 1,2 --truncate", 2, "it takes no --columns and no --truncate."),
        ("train bert-tiny rows.tsv --degrees 5", 2, "bert-tiny reads texts: it takes no --degrees."),
        ("train vit-digits digits --fold 5", 2, "fold is 5; there are 5, from 0 to 4."),
        ("train vit-digits digits --from de", 2, 'qkv train vit-digits: there is no setting "source"'),
        ("train transformer-tiny rows.tsv --columns 1,2", 2, 'there is no setting "columns"'),
        ("finetune base rows.tsv --freeze steck.*", 2, '--freeze "steck.*" names no parameter of this net.'),
        ("finetune base rows.tsv --freeze *", 2, "names all parameters: nothing is left to train."),
        ("finetune base corpus.txt --task causal", 2, "its objective is mlm, not causal."),
        ("finetune base digits", 2, "base reads texts, and digits are pictures"),
        ("finetune base one.tsv", 65, "one.tsv has one label, good: there is nothing to tell apart."),
        ("finetune base rows.tsv --columns text,kind", 65, 'rows.tsv has no column "kind": it has text, label.'),
        ("finetune nowhere/at/all rows.tsv", 2, "There is no nowhere/at/all."),
        ("finetune base", 2, "no data, as in: qkv finetune MODEL reviews.tsv"),
    ],
)
def test_a_mistake_gets_a_sentence_and_leaves_nothing_behind(qkv, tmp_path, line, code, said):
    qkv("pretrain", "bert-tiny", "corpus.txt", "--out", "base", *spelled(SHORT | TEXT))
    (tmp_path / "one.tsv").write_text("text\tlabel\n" + "a\tgood\n" * 30)
    before = sorted(tmp_path.iterdir())
    done = qkv(*line.split())
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert sorted(tmp_path.iterdir()) == before


def test_what_a_model_does_not_learn_is_told(place):
    train("vit-digits", "digits", out="eye", **PICTURES)
    with pytest.raises(ConfigError, match="eye reads pictures: it learns labels alone"):
        finetune("eye", "corpus.txt", objective="mlm", out="run", **SHORT)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_kills_change_no_bit(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))

    def start(run: Path) -> Any:
        return function(train_pictures, run)

    kill_and_compare(tmp_path, start, 10, longest=0.2, watch="metrics.jsonl")
