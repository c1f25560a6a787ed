"""Bad models, texts and pictures at the command line and in Python: one sentence that says what to do, an exit code."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import qkv
from model.public_folders import MODELS, bert_folder, gpt_folder, vit_folder
from qkv.base.errors import QkvError
from verbs.command_line import in_process

WEIGHTS = "model.safetensors"
MAKE = {
    "BERT": bert_folder,
    "TEXTS": lambda folder: bert_folder(folder, "ForSequenceClassification"),
    "LONG": lambda folder: bert_folder(folder, "ForSequenceClassification", max_position_embeddings=512),
    "GPT": gpt_folder,
    "VIT": vit_folder,
    "LLAMA": MODELS["llama"],
    "OWN": MODELS["llama in qkv"],
}


@pytest.fixture
def run(capsys, monkeypatch, tmp_path, made):
    """Run a command, the names of models in it replaced; what it says comes without folders and line ends."""
    command = in_process(capsys, monkeypatch, tmp_path)

    def run(*arguments: str, **rest: Any) -> Any:
        said = command(*(made.get(one, one) for one in arguments), **rest)
        return said._replace(err=" ".join(said.err.replace(f"{tmp_path}/", "").split()))

    return run


@pytest.fixture
def copied(made, tmp_path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(made[name], tmp_path / "model"))


def refused(message: str, act: Callable[[], Any], folder: Path = Path("/")) -> QkvError:
    """Check that Python says what the command line says, where a folder is named by its own name."""
    with pytest.raises(QkvError) as error:
        act()
    said = str(error.value).replace(f"{folder.parent}/", "")
    assert re.search(message, " ".join(said.split())), said
    assert str(error.value).count("\n") <= 4
    return error.value


HTML = b"<!DOCTYPE html><html><body>404</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4" * 64 + b"\nsize 548110336\n"
BOMB = (2**63).to_bytes(8, "little") + b"{}"
STRIDE = b'{"truncation": {"stride": 5, "max_length": 2}, "model": {}}'
Damage = Callable[[Path, dict[str, Path]], Any]


def written(data: bytes, name: str = WEIGHTS) -> Damage:
    return lambda to, _: (to / name).write_bytes(data)


def gone(*kept: str, name: str = "*") -> Damage:
    return lambda to, _: [path.unlink() for path in to.glob(name) if path.name not in kept]


def told(**changes: Any) -> Damage:
    def change(to: Path, _: Any) -> None:
        config = json.loads((to / "config.json").read_text())
        (to / "config.json").write_text(json.dumps(config | changes))

    return change


def tensor(name: str, x: torch.Tensor | None) -> Damage:
    """Put another tensor in the place of one, or take it away."""

    def change(to: Path, _: Any) -> None:
        tensors = {**load_file(to / WEIGHTS), name: x}
        save_file({name: x for name, x in tensors.items() if x is not None}, to / WEIGHTS)

    return change


def cut(to: Path, _: Any) -> None:
    (to / WEIGHTS).write_bytes((to / WEIGHTS).read_bytes()[:-1000])


def flipped(to: Path, _: Any) -> None:
    data = (to / WEIGHTS).read_bytes()
    (to / WEIGHTS).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def renamed(to: Path, _: Any) -> None:
    (to / WEIGHTS).rename(to / "pytorch_model.bin")


def gpt_s(to: Path, made: dict[str, Path]) -> None:
    shutil.copy(made["GPT"] / WEIGHTS, to / WEIGHTS)


def grown(to: Path, _: Any) -> None:
    words = json.loads((to / "vocab.json").read_text())
    (to / "vocab.json").write_text(json.dumps(words | {"more": max(words.values()) + 1}))


NORM = "bert.encoder.layer.1.output.LayerNorm.weight"
QUERY = "bert.encoder.layer.0.attention.self.query.weight"
WIDE = {"hidden_size": 2**20, "num_attention_heads": 1024, "intermediate_size": 2**20, "num_hidden_layers": 48}
HALF = torch.zeros(24, dtype=torch.float16)
# fmt: off
BAD_FOLDERS: dict[str, tuple[str, Damage, int, str]] = {
    "a Git LFS pointer": ("BERT", written(POINTER), 1,
        r"^model/model\.safetensors is a Git LFS pointer \(134 bytes\), not weights: run git lfs pull in"),
    "an HTML page": ("GPT", written(HTML), 1, r"model\.safetensors is an HTML page: the download was an error page"),
    "a truncated file": ("LLAMA", cut, 1, r"is cut short: header needs [\d,]+ bytes, file has [\d,]+\. Download"),
    "a missing weight": ("BERT", tensor(NORM, None), 1, f"1 of 42 tensors missing.* missing: {NORM}$"),
    "GPT-2's file": ("BERT", gpt_s, 1,
        r'holds no bert weights: 0 of 37 bert names found; its names are like "transformer\.h\.0'),
    "another shape": ("BERT", tensor(QUERY, torch.zeros(3, 3)), 1, rf"{QUERY}: file \[3, 3\], model \[24, 24\]"),
    "mixed types": ("GPT", tensor("transformer.ln_f.bias", HALF), 1,
        r"mixes types of numbers: .*float16 \(stack\.norm\.bias\).* Save the model in one of them"),
    "a header without end": ("VIT", written(BOMB), 1,
        "its header would have 9,223,372,036,854,775,808 bytes, the format allows 100,000,000"),
    "more than memory": ("BERT", told(**WIDE), 2,
        r"config.json asks for \d{3}(,\d{3}){4} parameters, [\d,]+ bytes; the memory of this machine has [\d,]+\."),
    "no weights": ("BERT", gone(name=WEIGHTS), 1, r"No weights in model: looked for"),
    "a pickle": ("BERT", renamed, 1, r"pytorch_model\.bin is a pickle, which can run code when it is opened"),
    "no tokenizer": ("GPT", gone("config.json", WEIGHTS), 65,
        r"No tokenizer in model: looked for tokenizer\.json, vocab\.json \+ merges\.txt, vocab\.txt"),
    "a crafted tokenizer": ("BERT", written(STRIDE, "tokenizer.json"), 65,
        r"tokenizer\.json: truncation\.stride \(5\) must be smaller than max_length \(2\)\."),
    "a tokenizer with more tokens": ("GPT", grown, 65,
        r"model: the tokenizer has 296 tokens, the net 295\. Is the tokenizer of another model\?"),
    "no preprocessor": ("VIT", gone(name="preprocessor_config.json"), 2,
        "Nothing in model says how its pictures are scaled: looked for"),
    "an unknown kind": ("GPT", told(model_type="mamba"), 2, 'model_type "mamba" is none that qkv reads'),
    "a setting of no meaning": ("LLAMA", told(n_embed=3), 2, r'unknown key "n_embed"\. Check that it is a LlamaModel'),
    "code to run": ("GPT", told(auto_map={"AutoModel": "evil.Model"}), 2, 'unknown key "auto_map"'),
    "an activation that is none": ("GPT", told(activation_function="gel"), 2, "is 'gel', not one of gelu_new"),
    "a file less than its header lists": ("OWN", gone(name="tokenizer_config.json"), 1,
        r"tokenizer_config\.json is not the file that config\.json was written with"),
    "a flipped bit": ("OWN", flipped, 1,
        r"model\.safetensors is not the file that config\.json was written with \(its SHA-256 differs\)"),
}
# fmt: on


@pytest.mark.parametrize("what", BAD_FOLDERS)
def test_a_bad_folder_is_refused_by_every_command_and_in_python(what, run, copied, made, tmp_path):
    name, damage, code, message = BAD_FOLDERS[what]
    folder = copied(name)
    damage(folder, made)
    verbs = {"VIT": ("predict", "embed"), "BERT": ("fill", "embed")}.get(name, ("generate", "embed"))
    for command in (
        [verbs[0], folder, "a"],
        [verbs[1], folder, "a"],
        ["convert", folder, "--to", "hf", "--out", "new"],
    ):
        said = run(*command)
        assert (said.code, said.out) == (code, ""), said
        assert re.search(message, said.err), said.err
    assert [path.name for path in tmp_path.iterdir()] == ["model"], "nothing is left behind"
    refused(message, lambda: qkv.load(folder), folder)


LENGTH = r"Text 1 of 1: Input has 602 tokens; this model has 512 positions\. Use --truncate, or --stride 128 to split\."
MISTAKES: list[tuple[list[str], int, str]] = [
    (["predict", "LONG", "bird " * 600], 1, LENGTH),
    (["embed", "LONG", "bird " * 600], 1, LENGTH),
    (["embed", "LONG", "bird " * 600, "--truncate", "--stride", "8"], 2, "neither with truncate nor"),
    (
        ["predict", "LONG", "bird " * 600, "--stride", "510"],
        1,
        "A stride of 510 does not fit: it must be from 0 to 509",
    ),
    (["predict", "VIT", "p.png", "--truncate"], 2, "truncate and stride are for texts; this model looks at pictures."),
    (["fill", "BERT", "[MASK] " + "bird " * 60], 1, "Input has 63 tokens; this model has 32 positions"),
    (["generate", "GPT", "bird " * 60, "--n-tokens", "30"], 1, "Prompt and output may have"),
    (["generate", "GPT", ""], 1, "^Prompt is empty: give text, or --bos.$"),
    (["generate", "GPT", "a bird", ""], 1, "Prompt is empty: give text, or --bos."),
    (["generate", "GPT", "a", "--n-tokens", "0"], 2, "is 0; it must be at least 1"),
    (["generate", "GPT", "a", "--beams", "3", "--top-k", "2"], 2, "--beams searches, --top-k draws: not both"),
    (["generate", "GPT", "a", "--temperature", "-1"], 2, "temperature is -1"),
    (["generate", "BERT", "a"], 1, "A bert model cannot generate; it can fill, embed, predict"),
    (["fill", "GPT", "a"], 1, "A gpt model cannot fill; it can generate, embed, predict"),
    (["fill", "BERT", "a bird"], 65, r"There is no \[MASK\] in the text: put it where a word is to be guessed"),
    (["fill", "TEXTS", "a [MASK]"], 1, "has no head for masked tokens"),
    (["predict", "BERT", "a"], 1, "has no head for labels: fine-tune it with qkv finetune"),
    (["predict", "TEXTS", "a", " "], 65, "Text 2 of 2 is empty"),
    (["embed", "GPT", ""], 65, "Text 1 of 1 is empty"),
    (["generate", "gpt2-mediun", "a"], 2, r'No model "gpt2-mediun".* Did you mean "gpt2-medium"\?'),
    (["fill", "bert-base-uncasd", "a"], 2, r'No model "bert-base-uncasd".* Did you mean "bert-base-uncased"\?'),
    (["predict", "gpt2", "a"], 2, 'No model "gpt2".* It is a size: make one of your own with qkv train'),
    (["embed", "there/is/none", "a"], 2, "There is no there/is/none. Give a folder with a config.json"),
    (["generate", "empty", "a"], 2, "No model in empty: looked for config.json"),
    (["predict", "VIT", "cat.png"], 65, r'There is no picture cat\.png\. Did you mean "cut\.png"\?'),
    (["predict", "VIT", "."], 65, "is a folder; give a picture"),
    (["predict", "VIT", "cut.png"], 65, r"cut\.png is damaged or cut short"),
    (["predict", "VIT", "page.jpg"], 65, r"page\.jpg is an HTML page: the download was an error page"),
    (["predict", "VIT", "pointer.jpg"], 65, r"pointer\.jpg is a Git LFS pointer, not the picture: run git lfs pull"),
    (["embed", "VIT", "nothing.png"], 65, r"nothing\.png is empty \(0 bytes\)"),
    (
        ["embed", "VIT", "huge.png"],
        65,
        r"huge\.png has 6,000 x 4,001 pixels, more than 24 million: scale it down first",
    ),
    (["embed", "VIT", "words.txt"], 65, r"words\.txt is no picture that is read here"),
    (["embed", "VIT", "moving.gif"], 65, r"moving\.gif has several frames or pages"),
    (["tables", "brt"], 2, 'No family "brt".*Did you mean "bert"'),
    (
        ["diff", "bert-base-cased", "robert-base"],
        2,
        'No model "robert-base": see qkv models.* Did you mean "roberta-base"',
    ),
    (["trace", "VIT", "a"], 1, "trace follows a text through one stack; a vit model has no such"),
    (["trace", "BERT", "a bird", "--layer", "7"], 2, "layer is 7; this model has layers 0 to 1."),
    (["trace", "BERT", "a bird", "--head", "3"], 2, "head is 3; this model has heads 0 to 2."),
    (["trace", "BERT", "a bird", "--head", "-1"], 2, "head is -1; this model has heads 0 to 2."),
    (["trace", "BERT", "bird " * 60], 1, "Input has 62 tokens; this model has 32 positions"),
    (["convert", "BERT", "--to", "timm", "--out", "new"], 1, 'bert has no public format "timm"'),
    (["convert", "BERT", "--to", "hf", "--out", "full"], 2, "full exists and is not empty: remove it, or name another"),
    (["convert", "BERT", "--to", "hf"], 2, "--out"),
    (["verify", "OWN"], 1, "is qkv's own: verify compares what transformers or timm wrote"),
    (["verify", "empty"], 2, "No model in empty"),
]


@pytest.fixture
def around(tmp_path, monkeypatch) -> Path:
    """Lay out what the mistakes speak of."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("mine")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 36, 3), dtype=np.uint8))
    picture.save(tmp_path / "p.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "p.png").read_bytes()[:900])
    (tmp_path / "page.jpg").write_bytes(HTML)
    (tmp_path / "pointer.jpg").write_bytes(POINTER)
    (tmp_path / "nothing.png").touch()
    (tmp_path / "words.txt").write_text("a bird")
    Image.new("1", (6000, 4001)).save(tmp_path / "huge.png")
    picture.save(tmp_path / "moving.gif", save_all=True, append_images=[picture.transpose(Image.Transpose.ROTATE_180)])
    return tmp_path


@pytest.mark.parametrize(("arguments", "code", "message"), MISTAKES, ids=[" ".join(one[0])[:60] for one in MISTAKES])
def test_a_mistake_gets_a_sentence_and_its_exit_code(arguments, code, message, run, around):
    before = sorted(path.name for path in around.iterdir())
    said = run(*arguments)
    assert said.code == code, said
    assert re.search(message, said.err), said.err
    assert said.out.strip() in ("", arguments[2].strip() if len(arguments) > 2 else ""), (
        "no more than the prompt itself"
    )
    assert sorted(path.name for path in around.iterdir()) == before, "nothing is left behind"
