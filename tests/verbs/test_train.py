"""A training leaves a folder that says everything, goes on from any point of it, and refuses other data."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import qkv
from qkv.base import files
from qkv.base.errors import ConfigError, DataError
from qkv.data.pairs import Pair
from qkv.data.parallel import write_pairs
from qkv.data.report import CheckReport
from qkv.training.checkpoint import load_newest
from qkv.training.loop import Noticed, Saved, Stepped
from qkv.verbs.train import Trained, share_unknown, train
from training.crash.killing import differences
from verbs.small_runs import PAIRS, narrow_sizes, write_words

SHORT: dict[str, Any] = {"steps": 6, "warmup": 2, "budget": 200, "validate_every": 3, "checkpoint_every": 2}


@pytest.fixture(autouse=True)
def narrow(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    narrow_sizes(monkeypatch)
    write_words(tmp_path / "words.tsv")


def train_words(out: str, model: str = "bahdanau-tiny", on_event=None, **options: Any) -> Trained:
    done = train(model, "words.tsv", out=out, on_event=on_event, **SHORT | options)
    assert isinstance(done, Trained)
    return done


def stop_at(step: int):
    """Return a listener that leaves a training as a crash would, after a step."""

    def listen(event):
        if isinstance(event, Stepped) and event.step == step:
            raise KeyboardInterrupt

    return listen


def test_a_run_folder_says_everything(tmp_path):
    done = train_words("run", dropout=0.25, ema=0.9, patience=4)
    run = tmp_path / "run"
    assert {path.name for path in run.iterdir()} == {
        "run.json",
        "metrics.jsonl",
        "checkpoints",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "README.md",
    }
    settings = json.loads((run / "run.json").read_text())["settings"]
    assert settings["recipe"]["steps"] == 6
    assert settings["dropout"] == 0.25
    assert settings["data"] == "words.tsv"
    assert [path.name for path in sorted((run / "checkpoints").iterdir())] == ["step-00000004", "step-00000006"]
    card = (run / "README.md").read_text()
    assert card.startswith("# bahdanau-tiny trained on words.tsv\n")
    assert f"{sum(p.numel() for p in done.model.net.parameters()):,} parameters" in card
    assert "to translate as the pairs of words.tsv do" in card
    assert ", averaged with decay 0.9 |" in card
    assert "qkv train --config run/run.json --out ANOTHER" in card
    loaded = qkv.load("run")
    assert loaded.card == {"data": "words.tsv"}
    assert loaded.net.cfg.dropout == 0.25
    for name, tensor in done.model.net.state_dict().items():
        assert torch.equal(tensor, loaded.net.state_dict()[name]), name
    text = PAIRS[0].source
    assert loaded.translate([text])[0].text == done.model.translate([text])[0].text


def test_a_card_of_built_in_data_names_its_locales():
    done = train("rnn-tiny", "cldr:names", target="de", n_examples=120, out="run", **SHORT)
    assert done.model.card == {"data": "cldr:names", "source": "en", "target": "de", "items": "1-1"}
    card = Path("run/README.md").read_text()
    assert "to translate lists of 1-1 items of cldr:names from en to de" in card
    assert "qkv evaluate run cldr:names" in card


def test_a_training_learns():
    """Enough steps to know the words: the loop, the schedule, the search and the score, end to end."""
    options = {"steps": 160, "validate_every": 160, "checkpoint_every": 160, "budget": 1500, "lr": 1e-2, "warmup": 20}
    done = train_words("run", "transformer-tiny", dropout=0.0, smoothing=0.0, **options)
    report = qkv.evaluate(done.model, "words.tsv", beams=1)
    assert report.exact > 50


def test_events_tell_the_story():
    events: list = []
    train_words("run", on_event=events.append)
    assert isinstance(events[0], CheckReport)
    assert events[0].used == 206
    assert [event.step for event in events if isinstance(event, Stepped)] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in events if isinstance(event, Saved)] == [2, 4, 6]
    assert not [event for event in events if isinstance(event, Noticed)]


@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_run_goes_on_where_it_was_left(at, tmp_path):
    train_words("whole", ema=0.9)
    with pytest.raises(KeyboardInterrupt):
        train_words("broken", ema=0.9, on_event=stop_at(at))
    notes: list = []
    train(resume="broken", on_event=lambda event: notes.append(event) if isinstance(event, Noticed) else None)
    assert differences(tmp_path / "whole", tmp_path / "broken") == []
    assert [note.text for note in notes] == [f"Going on after step {(at - 1) // 2 * 2} of 6."]
    before = (tmp_path / "broken/model.safetensors").read_bytes()
    train(resume="broken")
    assert (tmp_path / "broken/model.safetensors").read_bytes() == before, "a finished run stays as it is"


def test_a_start_that_was_killed_before_its_tokenizer_goes_on(tmp_path):
    train_words("whole")
    with pytest.raises(KeyboardInterrupt):
        train_words("broken", on_event=stop_at(1))
    (tmp_path / "broken/tokenizer.json").unlink()
    train(resume="broken")
    assert differences(tmp_path / "whole", tmp_path / "broken") == []
    assert (tmp_path / "broken/tokenizer.json").read_bytes() == (tmp_path / "whole/tokenizer.json").read_bytes()


def test_the_newest_sound_checkpoint_is_taken_and_the_damaged_one_named(tmp_path):
    train_words("whole")
    with pytest.raises(KeyboardInterrupt):
        train_words("broken", on_event=stop_at(5))
    path = tmp_path / "broken/checkpoints/step-00000004/net.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-5] ^= 4
    path.write_bytes(damaged)
    notes: list = []
    train(resume="broken", on_event=lambda event: notes.append(event) if isinstance(event, Noticed) else None)
    assert "step-00000004" in notes[0].text
    assert notes[1].text == "Going on after step 2 of 6."
    assert differences(tmp_path / "whole", tmp_path / "broken") == []


def test_surroundings_that_changed_are_said_once():
    with pytest.raises(KeyboardInterrupt):
        train_words("run", on_event=stop_at(5))
    notes: list = []
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        train(resume="run", on_event=lambda event: notes.append(event) if isinstance(event, Noticed) else None)
    finally:
        torch.set_num_threads(threads)
    assert len(notes) == 2
    assert f"not bit for bit as it would have: threads {threads} -> {threads + 1}." in notes[0].text


@pytest.mark.parametrize("which", ["train", "valid"])
def test_other_data_is_refused_on_resume(which, tmp_path):
    write_pairs(tmp_path / "valid.tsv", PAIRS[:9])
    with pytest.raises(KeyboardInterrupt):
        train_words("run", valid="valid.tsv", on_event=stop_at(3))
    changed = tmp_path / ("words.tsv" if which == "train" else "valid.tsv")
    changed.write_text(changed.read_text().replace("six blue", "six bleu").replace("one red", "one rad"))
    with pytest.raises(ConfigError, match=r"words\.tsv is not the data that run was trained on; put it back"):
        train(resume="run")


def test_resume_takes_nothing_beside_it():
    with pytest.raises(ConfigError, match="--resume takes the run's own settings"):
        train(resume="run", steps=3)


def test_two_runs_are_equal_and_a_run_json_repeats_one(tmp_path):
    train_words("one", "transformer-tiny", seed=3)
    train_words("two", "transformer-tiny", seed=3)
    train(config="one/run.json", out="three")
    train_words("four", "transformer-tiny", seed=4)
    assert differences(tmp_path / "one", tmp_path / "two") == []
    assert differences(tmp_path / "one", tmp_path / "three") == []
    assert differences(tmp_path / "one", tmp_path / "four")


def test_a_mistake_leaves_nothing_behind(tmp_path):
    before = set(tmp_path.iterdir())
    mistakes: list[dict[str, Any]] = [{"model": "rnn-tny"}, {"schedule": "paper"}, {"budget": 5}, {"dropout": 3.0}]
    for options in mistakes:
        with pytest.raises((ConfigError, DataError)):
            train_words("run", **options)
    assert set(tmp_path.iterdir()) == before


def test_pairs_longer_than_the_model_are_refused_or_left_out_and_said(tmp_path):
    long = Pair("one " * 300, "une " * 300)
    write_pairs(tmp_path / "words.tsv", [*PAIRS, long])
    write_pairs(tmp_path / "valid.tsv", [long, PAIRS[0]])
    with pytest.raises(
        DataError, match=r"^1 of 217 pairs are too long, first 'one one .*302 tokens.*256 positions"
    ) as e:
        train_words("run", valid="valid.tsv")
    assert str(e.value).endswith("leave such pairs out: --on-bad skip")
    notes: list = []
    train_words(
        "run",
        valid="valid.tsv",
        on_bad="skip",
        on_event=lambda event: notes.append(event.text) if isinstance(event, Noticed) else None,
    )
    assert [note.split(" pairs")[0] for note in notes] == ["1 of 217", "1 of 2"]
    assert all(note.endswith("They are left out.") for note in notes)
    write_pairs(tmp_path / "valid.tsv", [long])
    with pytest.raises(DataError, match="1 of 1 pairs are too long"):
        train_words("other", valid="valid.tsv", on_bad="skip")


def test_words_that_validation_alone_has_are_told(tmp_path):
    write_pairs(tmp_path / "valid.tsv", [Pair("seven red cars", "sept voitures rouges")])
    notes: list = []
    done: Any = train_words(
        "run", valid="valid.tsv", on_event=lambda event: notes.append(event) if isinstance(event, Noticed) else None
    )
    assert share_unknown(done.model.source, [Pair("seven red cars", "sept voitures rouges")]) == 5 / 6
    assert [note.text for note in notes] == [
        "83% of the validation tokens are unknown words: --tokenizer bpe knows them all."
    ]
    notes.clear()
    train_words(
        "bpe",
        valid="valid.tsv",
        tokenizer="bpe",
        on_event=lambda event: notes.append(event) if isinstance(event, Noticed) else None,
    )
    assert notes == []


def test_a_full_disk_ends_with_a_sentence_and_a_sound_checkpoint(tmp_path, monkeypatch):
    real, calls = files.append_line, []

    def full(path, line):
        calls.append(line)
        if len(calls) > 4:
            raise qkv.base.errors.QkvError(f"{path} could not be written: No space left on device.")
        real(path, line)

    monkeypatch.setattr(files, "append_line", full)
    with pytest.raises(qkv.base.errors.QkvError, match="No space left on device"):
        train_words("run", log_every=1)
    state, notes = load_newest(tmp_path / "run")
    assert state is not None
    assert (state.step, notes) == (2, [])
