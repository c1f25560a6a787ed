"""Weight files: read exactly, written as the reference writes them, and refused with a sentence that helps."""

import json
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch

from qkv.base.errors import WeightsError
from qkv.weights.files import read_safetensors, write_safetensors


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return {
        "b.weight": torch.randn(3, 5),
        "a.half": torch.randn(4).half(),
        "z.bf16": torch.randn(2, 2).bfloat16(),
        "double": torch.randn(3).double(),
        "steps": torch.tensor(7),
        "flags": torch.tensor([True, False]),
        "none": torch.zeros(0, 4),
    }


@pytest.fixture
def path(tmp_path, tensors) -> Path:
    write_safetensors(tmp_path / "model.safetensors", tensors)
    return tmp_path / "model.safetensors"


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError) as raised:
        read_safetensors(path)
    message = str(raised.value)
    assert len(message.splitlines()) <= 5
    return message


def test_what_is_written_is_read_from_the_file_and_from_its_folder(path, tensors):
    assert same(read_safetensors(path), tensors)
    assert same(read_safetensors(path.parent), tensors)


def test_the_bytes_are_the_librarys_own(path, tensors, tmp_path):
    safetensors.torch.save_file(tensors, tmp_path / "theirs.safetensors", {"format": "pt"})
    assert path.read_bytes() == (tmp_path / "theirs.safetensors").read_bytes()
    write_safetensors(path, tensors, {"format": "pt", "note": "mine"})
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", "note": "mine"}


def test_views_transposes_and_ties_are_written_whole(tmp_path):
    whole = torch.randn(6, 4)
    parts = {"q": whole[:2], "k": whole[2:4], "t": whole.T, "w": whole, "tied": whole, "p": torch.nn.Parameter(whole)}
    write_safetensors(tmp_path / "x.safetensors", parts)
    assert same(read_safetensors(tmp_path / "x.safetensors"), {name: x.detach() for name, x in parts.items()})


def shards(folder: Path, tensors: dict[str, torch.Tensor], **changes: str) -> Path:
    """Lay tensors out in two files with an index, as large models are published."""
    names = sorted(tensors)
    places = {name: f"model-0000{1 + (i % 2)}-of-00002.safetensors" for i, name in enumerate(names)}
    for place in set(places.values()):
        write_safetensors(folder / place, {name: tensors[name] for name in names if places[name] == place})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places | changes}))
    return index


def test_shards_are_read_through_their_index(tmp_path, tensors):
    index = shards(tmp_path, tensors)
    assert same(read_safetensors(index), tensors)
    assert same(read_safetensors(tmp_path), tensors)


@pytest.mark.parametrize(
    "name", ["../x.safetensors", "/etc/x.safetensors", "..\\x.safetensors", "a/b.safetensors", ".."]
)
def test_shards_outside_the_folder_are_not_opened(tmp_path, tensors, name):
    folder = tmp_path / "inner"
    folder.mkdir()
    write_safetensors(tmp_path / "x.safetensors", {"b.weight": tensors["b.weight"]})
    assert "only .safetensors files of its own folder" in refusal(shards(folder, tensors, **{"b.weight": name}))


def test_an_index_must_agree_with_its_shards(tmp_path, tensors):
    index = shards(tmp_path, tensors, **{"ghost": "model-00001-of-00002.safetensors"})
    assert "disagree on 1 tensors: ghost" in refusal(index)
    index = shards(tmp_path, tensors, **{"steps": "model-00001-of-00002.safetensors"})
    assert "disagree on 1 tensors: steps" in refusal(index)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    assert "names 2 files, of which 1 are missing: model-00002-of-00002.safetensors" in refusal(index)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": []}}', "[" * 100_000])
def test_an_index_that_is_none(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    assert "is no index of weight files" in refusal(tmp_path)


def test_a_missing_file_tells_what_was_looked_for(tmp_path):
    assert "looked for model.safetensors and model.safetensors.index.json" in refusal(tmp_path)
    assert refusal(tmp_path / "nowhere").startswith(f"There is no {tmp_path / 'nowhere'}.")


def test_pickles_are_refused_unopened(tmp_path):
    sly = tmp_path / "model.safetensors"
    with zipfile.ZipFile(tmp_path / "pytorch_model.bin", "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02cos\nsystem\n")
    for place in (tmp_path, tmp_path / "pytorch_model.bin"):
        message = refusal(place)
        assert "pytorch_model.bin is a pickle" in message and "save_pretrained()" in message
    for content in (
        (tmp_path / "pytorch_model.bin").read_bytes(),
        b"\x80\x02}q\x00X\x06\x00\x00\x00weightq\x01K\x00s.",
    ):
        sly.write_bytes(content)
        assert "model.safetensors is a pickle" in refusal(sly)


def test_a_header_as_long_as_a_pickle_is_signed_is_no_pickle(tmp_path):
    """0x280 bytes of header begin with the bytes 80 02, the signature of a pickle."""
    tensors = {"w": torch.zeros(1)}
    pad = next(n for n in range(700) if len(safetensors.torch.save(tensors, {"x": "y" * n})) == 8 + 0x280 + 4)
    write_safetensors(tmp_path / "x.safetensors", tensors, {"x": "y" * pad})
    assert (tmp_path / "x.safetensors").read_bytes().startswith(b"\x80\x02")
    assert same(read_safetensors(tmp_path / "x.safetensors"), tensors)


def test_things_that_lie_in_the_place_of_weights(path):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "4" * 64 + "\nsize 548105171\n"
    cases = {
        pointer.encode(): f"is a Git LFS pointer ({len(pointer)} bytes), not weights: run git lfs pull",
        b"\n<!DOCTYPE html>\n<html><body>404</body></html>": "is an HTML page: the download was an error page",
        b"<html lang=en>": "is an HTML page",
        b"": "is empty (0 bytes)",
        b"\x01\x00": "is cut short: header alone needs more than 8 bytes, file has 2",
        b"Entry not found, sorry about that": "is no safetensors file: its header would have",
        (100_000_001).to_bytes(8, "little") + b"{}": "would have 100,000,001 bytes, the format allows 100,000,000",
        (2).to_bytes(8, "little") + b"[]": "its header is damaged",
        (90_000).to_bytes(8, "little") + b"[" * 90_000: "its header is damaged",
        (9).to_bytes(8, "little") + b'{"a":"b"}': "its header is damaged",
    }
    for content, message in cases.items():
        path.write_bytes(content)
        assert message in refusal(path), content[:40]


def test_a_file_is_cut_short_at_any_byte(path):
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert f"file has {size:,}" in refusal(path) or size == 0
    path.write_bytes(whole + b"..")
    assert "2 bytes follow its last tensor" in refusal(path)


def test_the_message_of_a_cut_download_has_both_sizes(tmp_path):
    path = tmp_path / "gpt2.safetensors"
    write_safetensors(path, {"w": torch.zeros(1000, 1000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    wanted = (
        f"is cut short: header needs {len(whole):,} bytes, file has {len(whole) // 2:,}. Download or copy it again."
    )
    assert wanted in refusal(path)


def forged(path: Path, **changes: object) -> Path:
    """Write a file whose header lies."""
    entry = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]} | changes
    header = json.dumps({"w": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    return path


def test_headers_that_lie(tmp_path):
    path = tmp_path / "x.safetensors"
    assert read_safetensors(forged(path))["w"].shape == (2, 2)
    assert '"w" has type F8_E4M3; qkv reads F64, F32' in refusal(forged(path, dtype="F8_E4M3"))
    for changes in (
        {"shape": [2, 3]},
        {"shape": [-2, -2]},
        {"shape": [2.0, 2]},
        {"shape": [10**30, 10**30]},
        {"data_offsets": [4, 16]},
        {"data_offsets": [16, 0]},
        {"data_offsets": [-16, 0]},
        {"data_offsets": ["0", "16"]},
        {"data_offsets": [0]},
        {"dtype": ["F32"]},
        {"dtype": None},
    ):
        message = refusal(forged(path, **changes))
        assert "damaged" in message or "has type None" in message, changes
    twice = forged(path).read_bytes()[8:-16].decode()
    twice = f"{twice[:-1]}, {twice[1:].replace('w', 'v')}".encode()
    path.write_bytes(len(twice).to_bytes(8, "little") + twice + bytes(16))
    assert "is damaged" in refusal(path)  # two tensors in one place


def test_every_flipped_bit_of_a_header_is_refused_or_harmless(tmp_path, tensors):
    """No flip makes another error than ours; most are refused, a few change a name or a type of the same size."""
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"w": tensors["b.weight"]})
    whole = path.read_bytes()
    for place in range(8 + int.from_bytes(whole[:8], "little")):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                read_safetensors(path)
            except WeightsError:
                continue


def test_a_file_that_may_not_be_read(path, monkeypatch):
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    assert refusal(path).endswith("model.safetensors could not be read: Permission denied.")
