"""What accident or malice makes of a model's configuration and weights."""

import json
import struct
from collections.abc import Iterator
from random import Random
from typing import Any

import torch
from safetensors.torch import load, save

CONFIG, WEIGHTS = "config.json", "model.safetensors"
Files = dict[str, bytes]


# fmt: off
ODD: list[Any] = [
    None, True, False, -1, 0, 1, 2, 3, 7, 24, 48, 511, 1024, 2**20, 2**31, 2**63, 2**64, 10**30, -(2**70), 0.5, 1e-30,
    1e308, float("nan"), float("inf"), "", "a", "24", "gelu", "\ud800", "x" * 5000, [], {}, [[]], [24], [2, 2],
    [1] * 5000,
    {"type": "Nope"}, {"0": "a", "5": "b"}, "posix.system", "../../etc/passwd", "bert", "swin", "BertForPreTraining",
]
KEYS = [
    "x", "model_type", "architectures", "auto_map", "num_labels", "id2label", "is_decoder", "n_embd", "hidden_size",
    "quantization_config", "torch_dtype", "layer_norm_eps", "image_size", "rope_scaling", "format", "format_version",
    "trust_remote_code", "architecture", "model_args", "head_dim", "d_model", "num_channels", "pruned_heads",
]
# fmt: on


def mutate_config(data: bytes, draw: Random) -> bytes:
    """Change, add, rename or remove settings, or spoil the text of them."""
    if draw.randrange(8) == 0:
        return mutate_bytes(data, draw)
    config = json.loads(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        node, key = draw.choice(list(_places(config)))
        match draw.randrange(7):
            case 0:
                del node[key]
                if not config:
                    break
            case 1 if isinstance(node, dict):
                node[draw.choice(KEYS)] = draw.choice(ODD)
            case 2 if isinstance(node, dict):
                node[draw.choice(KEYS)] = node.pop(key)
            case 3 if type(node[key]) in (int, float):
                node[key] *= draw.choice((-1, 0, 2, 3, 4, 0.5, 1000, 2**20, 10**12))
            case _:
                node[key] = draw.choice(ODD)
    text = json.dumps(config)
    if draw.randrange(20) == 0:
        deep = draw.choice((100, 100_000))
        text = text[:-1] + ', "deep": ' + draw.choice(("[", '{"a":')) * deep + "1" + "]" * deep + "}"
    return text.encode()


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from _places(node[key])


def mutate_bytes(data: bytes, draw: Random) -> bytes:
    """Flip a bit, overwrite, cut out, insert, double, cut off."""
    at, size = draw.randrange(len(data)), draw.choice((1, 1, 4, 40, 2000))
    match draw.randrange(6):
        case 0:
            return data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]
        case 1:
            return data[:at] + draw.choice((bytes(size), b"\xff" * size, draw.randbytes(size))) + data[at + size :]
        case 2:
            return data[:at] + data[at + size :]
        case 3:
            return data[:at] + draw.randbytes(size) + data[at:]
        case 4:
            return data[: at + size] + data[at:]
        case _:
            return data[:at]


def mutate_weights(data: bytes, draw: Random) -> bytes:
    """Damage a file's bytes, mostly in its header, or write other tensors into a sound one."""
    n = struct.unpack("<Q", data[:8])[0]
    match draw.randrange(10):
        case 0:
            return mutate_bytes(data, draw)
        case 1:
            head = mutate_bytes(data[: 8 + n], draw)
            return head + data[8 + n :]
        case 2:
            at = 8 + n + draw.randrange(len(data) - 8 - n)
            return data[:at] + bytes([data[at] ^ (1 << draw.randrange(8))]) + data[at + 1 :]
        case 3:
            return struct.pack("<Q", draw.choice((0, 1, n - 1, n + 1, 10**8, 10**8 + 1, 2**63, 2**64 - 1))) + data[8:]
        case 4:
            return data + draw.randbytes(draw.choice((1, 8, 100_000)))
        case 5 | 6:
            head = _mutate_header(data[8 : 8 + n], draw)
            return struct.pack("<Q", len(head)) + head + data[8 + n :]
        case _:
            return save(_mutate_tensors(load(data), draw), {"format": "pt"})


def _mutate_header(text: bytes, draw: Random) -> bytes:
    header = json.loads(text)
    names = [name for name in header if name != "__metadata__"]
    entry = header[draw.choice(names)]
    match draw.randrange(7):
        case 0:
            entry["dtype"] = draw.choice(("F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "C64", "X", 7, None))
        case 1:
            entry["shape"] = draw.choice(([], [0], [-1], [2**62], [2**31, 2**31], [1] * 100, ["a"], None, 3, [0.5]))
        case 2:
            entry["shape"] = entry["shape"][::-1]
        case 3:
            entry["data_offsets"] = draw.choice(([0, 4], [4, 0], [-4, 0], [0, 2**62], [0], [], None, ["a", "b"]))
        case 4:
            other = header[draw.choice(names)]
            entry["data_offsets"], other["data_offsets"] = other["data_offsets"], entry["data_offsets"]
        case 5:
            header = draw.choice(([], {}, 3, None, {"__metadata__": 3}, {"a": 3}, {"a": {}}))
        case _:
            return b'{"a":' * 50_000 + b"1" + b"}" * 50_000
    return json.dumps(header).encode()


def _mutate_tensors(tensors: dict[str, torch.Tensor], draw: Random) -> dict[str, torch.Tensor]:
    name, other = draw.sample(sorted(tensors), 2)
    x = tensors[name]
    match draw.randrange(11):
        case 0:
            del tensors[name]
        case 1:
            tensors[draw.choice((name + "x", "", "x", f"model.{name}", name.replace("weight", "gamma")))] = tensors.pop(
                name
            )
        case 2:
            tensors[name], tensors[other] = tensors[other], x
        case 3:
            tensors[name] = x.to(draw.choice((torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool)))
        case 4:
            tensors = {
                key: y.to(draw.choice((torch.float16, torch.bfloat16, torch.float64))) for key, y in tensors.items()
            }
        case 5:
            dtype = draw.choice((torch.bfloat16, torch.float16, torch.float64, torch.int32))
            tensors = {key: y.to(dtype) for key, y in tensors.items()}
        case 6:
            tensors[name] = x.reshape(draw.choice(([-1], [1, *x.shape], [*x.shape, 1]))).clone()
        case 7:
            tensors[name] = torch.cat((x, x))
        case 8:
            tensors[name] = x.mT.contiguous() if x.dim() > 1 else x[:0]
        case 9:
            tensors[draw.choice(("extra.weight", f"{name}.weight", "h.0.attn.bias", "lm_head.weight"))] = x.clone()
        case _:
            tensors[name] = torch.full_like(x, draw.choice((0.0, 1e30, float("nan"), float("inf"))))
    return tensors


def mutated(files: Files, kind: str, draw: Random) -> Files:
    """Return the files of a model with one of them changed: its "config" or its "weights"."""
    name, change = (CONFIG, mutate_config) if kind == "config" else (WEIGHTS, mutate_weights)
    return files | {name: change(files[name], draw)}
