"""Folders of pictures are read whole or refused with a list of what is wrong; no class and no file is lost."""

import io
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from qkv.base.errors import DataError
from qkv.base.seeds import mix
from qkv.data.folders import read_folder
from qkv.data.picture_report import check_pictures
from qkv.data.pictures import Prepared, split_of
from qkv.image.preprocessing import Preprocessing


def draw(path: Path, seed: int | None = None, size: tuple[int, int] = (6, 5)) -> Path:
    """Write a picture of its own, or that of a seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(mix(path.name) if seed is None else seed)
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(path, path.suffix[1:] or "png")
    return path


def lay_out(folder: Path, splits: Iterable[str] = ("",), classes: Iterable[str] = ("cat", "dog"), n: int = 30) -> Path:
    for s, split in enumerate(splits):
        for c, label in enumerate(classes):
            for i in range(n):
                draw(folder / split / label / f"{i:03}.png", seed=10_000 * s + 1000 * c + i)
    return folder


def test_a_folder_of_classes_is_split_by_content(tmp_path):
    data = read_folder(lay_out(tmp_path / "pets"))
    assert data.labels == ("cat", "dog") and data.name.endswith("pets")
    assert sum(map(len, data.splits.values())) == 60 and min(map(len, data.splits.values())) > 2
    for split, found in data.splits.items():
        for one in found:
            assert isinstance(one.image, Path) and one.image.parent.name == data.labels[one.label]
            assert split_of(one.content) == split and one.size == (5, 6)
    (tmp_path / "pets").rename(tmp_path / "moved")
    moved = read_folder(tmp_path / "moved")
    assert [one.content for one in moved.test] == [one.content for one in data.test]


@pytest.mark.parametrize("names", [("train", "validation", "test"), ("Training", "val", "test"), ("train", "valid")])
def test_splits_that_are_laid_out_stay(tmp_path, names):
    data = read_folder(lay_out(tmp_path, names, n=4))
    sizes = [len(found) for found in data.splits.values()]
    assert sizes == [8, 8, 8 if "test" in names else 0]
    assert all(one.image.parts[-3] == names[0] for one in data.train)  # type: ignore[union-attr]


def test_without_validation_some_of_training_is_held_out(tmp_path):
    data = read_folder(lay_out(tmp_path, ("train", "test")))
    assert len(data.train) + len(data.validation) == 60 and 3 < len(data.validation) < 20 and len(data.test) == 60
    assert not {one.content for one in data.train} & {one.content for one in data.validation}


def test_a_class_may_be_called_train(tmp_path):
    data = read_folder(lay_out(tmp_path, classes=("train", "test")))
    assert data.labels == ("test", "train")
    assert read_folder(lay_out(tmp_path, classes=("car",))).labels == ("car", "test", "train")


def test_classes_must_be_the_same_in_all_splits(tmp_path):
    lay_out(tmp_path, ("train", "val", "test"), n=2)
    (tmp_path / "val" / "dog").rename(tmp_path / "val" / "Dog")
    draw(tmp_path / "test" / "fish" / "a.png")
    with pytest.raises(DataError) as caught:
        read_folder(tmp_path)
    told = str(caught.value)
    assert "has not the same classes in all splits: " in told
    assert "test lacks Dog; train lacks Dog, fish; val lacks dog, fish." in told


def spoil(folder: Path) -> dict[str, str]:
    """Add every kind of bad file; return what is said of each."""
    (folder / "cat" / "empty.jpg").write_bytes(b"")
    (folder / "cat" / "page.jpg").write_text("<!doctype html><p>404")
    (folder / "cat" / "pointer.png").write_text("version https://git-lfs.github.com/spec/v1\n")
    (folder / "dog" / "notes.txt").write_text("these are dogs")
    (folder / "dog" / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    draw(folder / "beside.png")
    return {
        "beside.png": "lies in no class folder",
        "empty.jpg": "is empty",
        "page.jpg": "HTML page",
        "pointer.png": "Git LFS pointer",
        "gone.jpg": "no picture",
        "notes.txt": "is no picture",
    }


def test_bad_files_are_listed_together(tmp_path):
    bad = spoil(lay_out(tmp_path))
    with pytest.raises(DataError) as caught:
        read_folder(tmp_path)
    told = str(caught.value)
    assert "6 of 66 rows cannot be used" in told and "--on-bad skip" in told and "and 1 more" in told
    shown = [(name, why) for name, why in bad.items() if name in told]
    assert len(shown) == 5 and all(why in told for _, why in shown)


def test_bad_files_are_left_out_and_told(tmp_path):
    bad = spoil(lay_out(tmp_path))
    data = read_folder(tmp_path, on_bad="skip")
    assert sum(map(len, data.splits.values())) == 60
    assert data.reading is not None and data.reading.rows == 66
    assert {
        name: why for name, why in bad.items() for one in data.reading.dropped if name in one.why and why in one.why
    } == bad
    report = check_pictures(data)
    assert (report.rows, report.used, report.dropped) == (66, 60, 6)
    assert "6 rows left out" in report.warnings[0]


def test_hidden_files_and_what_is_no_picture_beside_the_classes_are_passed_over(tmp_path):
    lay_out(tmp_path)
    for name in (".DS_Store", "cat/.DS_Store", "cat/._000.png", "cat/Thumbs.db", "dog/desktop.ini", "README.md"):
        (tmp_path / name).write_text("x")
    draw(tmp_path / ".cache" / "a.png")
    data = read_folder(tmp_path)
    assert data.labels == ("cat", "dog") and sum(map(len, data.splits.values())) == 60


def test_links_are_followed_and_loops_end(tmp_path):
    store = lay_out(tmp_path / "store", n=40)
    folder = tmp_path / "linked"
    (folder / "dog" / "more").mkdir(parents=True)
    (folder / "cat").symlink_to(store / "cat")
    for i in range(30):
        os.link(store / "dog" / f"{i:03}.png", folder / "dog" / f"{i:03}.png")
    (folder / "dog" / "more" / "extra.png").symlink_to(store / "dog" / "035.png")
    (folder / "dog" / "more" / "up").symlink_to(folder / "dog")
    (folder / "dog" / "all").symlink_to(folder)
    (folder / "dog" / "again").symlink_to(folder / "dog" / "more")
    data = read_folder(folder)
    assert sum(map(len, data.splits.values())) == 40 + 31
    (folder / "dog" / "round.png").symlink_to(folder / "dog" / "round.png")
    with pytest.raises(DataError, match=r"round\.png"):
        read_folder(folder)


def test_pictures_in_two_splits_and_under_two_labels_are_told(tmp_path):
    lay_out(tmp_path, ("train", "val", "test"), n=4)
    for place in ("test/cat/a.png", "test/cat/b.png", "val/dog/a.png"):
        draw(tmp_path / place, seed=0)  # train/cat/000.png
    report = check_pictures(read_folder(tmp_path))
    assert [(one.split, one.other, one.same) for one in report.overlaps] == [
        ("validation", "train", 1),
        ("test", "train", 2),
        ("test", "validation", 2),
    ]
    assert report.repeated == 3 and report.majority == 4 / 9
    assert "1 picture with another label than the same one elsewhere" in report.warnings[0]
    assert "2 of 10 pictures in test stand in train too: figures there will flatter" in report.warnings


def test_names_in_a_report_are_text(tmp_path):
    data = read_folder(lay_out(tmp_path / "[red]x", ("train", "val"), ("[bold]cat", "dog"), n=2))
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(check_pictures(data))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]x" in text and "[bold]cat" in text and "6 x 5" in text


def test_pictures_are_decoded_when_asked_for(tmp_path):
    data = read_folder(lay_out(tmp_path, ("train", "val"), n=2))
    prepared = Prepared(data.train, Preprocessing(size=(8, 8)))
    (tmp_path / "train" / "dog" / "001.png").unlink()
    pictures = [prepared[i] for i in range(3)]
    assert torch.stack([picture for picture, _ in pictures]).shape == (3, 3, 8, 8)
    assert [label for _, label in pictures] == [0, 0, 1]
    with pytest.raises(DataError, match=r"no picture .*001\.png"):
        prepared[3]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda at: None, "does not exist; give a folder"),
        (lambda at: at.write_text("x"), "is a file; give a folder"),
        (lambda at: at.mkdir(), "has no folders: give one for each class"),
        (lambda at: draw(at / "a.png"), "has no folders"),
        (lambda at: (at / "cat").mkdir(parents=True), "1 class folder, and no pictures"),
        (lambda at: lay_out(at, classes=("cat",)), "has one label, cat"),
        (lambda at: lay_out(at, ("train", "val", "valid"), n=1), "two folders for validation: val and valid"),
        (lambda at: lay_out(at, ("val", "test"), n=1), "has test, val, but no folder train"),
        (lambda at: lay_out(at, n=1), "leaves nothing for"),
    ],
)
def test_folders_that_say_nothing_are_refused(tmp_path, make, message):
    make(tmp_path / "pets")
    with pytest.raises(DataError, match=message):
        read_folder(tmp_path / "pets")


def test_a_misspelt_folder_is_guessed(tmp_path):
    lay_out(tmp_path / "pictures", n=1)
    with pytest.raises(DataError, match='Did you mean "pictures"'):
        read_folder(tmp_path / "picturs")


def test_a_class_without_a_sound_picture_is_refused(tmp_path):
    lay_out(tmp_path, ("train", "val"), n=2)
    for path in (tmp_path / "train" / "dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="no picture of dog to train on"):
        read_folder(tmp_path, on_bad="skip")
