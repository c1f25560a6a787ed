"""Traces written by hand, byte by byte as docs/trace.md says, so that the page is tested against the format itself."""

import base64
import io
import json
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save

Arrays = dict[str, np.ndarray]
HOSTILE = ["</script>", "<img src=x onerror=alert(1)>", "مرحبا", "😀", "\u200b", "", "\n", "{@html x}", "a" * 300]
STEPS = [
    {"token": token, "id": i, "top": [[token, 0.5], ["dog", 0.25], ["cow", 0.125]]}
    for i, token in enumerate(["sat", "down"])
]
WRITTEN = [
    {"kind": "steps", "first": 3, "steps": STEPS},
    {"kind": "beams", "hypotheses": [{"text": "sat down", "score": -0.7, "tokens": ["sat", "down"]}]},
]


def text(name: str, tokens: list[str], special: tuple[int, ...] = ()) -> dict[str, Any]:
    """Return a stream of tokens, each a word of its own."""
    whole = " ".join(tokens)
    starts = np.cumsum([0, *(len(token) + 1 for token in tokens)])[: len(tokens)]
    return {
        "name": name,
        "kind": "text",
        "text": whole,
        "tokens": tokens,
        "offsets": [[int(start), int(start) + len(token)] for start, token in zip(starts, tokens, strict=True)],
        "words": [-1 if i in special else i for i in range(len(tokens))],
        "special": [i in special for i in range(len(tokens))],
        "generated": None,
    }


def weights_of(heads: int, rows: int, columns: int, *, seed: int = 0, causal: bool = False) -> np.ndarray:
    """Return weights whose rows sum to 1, sharper from head to head."""
    scores = np.random.default_rng(seed).normal(size=(heads, rows, columns)) * np.linspace(1, 5, heads)[:, None, None]
    if causal:
        scores = np.where(np.tri(rows, columns, dtype=bool), scores, -np.inf)
    shares = np.exp(scores - scores.max(-1, keepdims=True, initial=-1e9))
    return (shares / shares.sum(-1, keepdims=True)).astype(np.float32)


def one_map(
    name: str, weights: np.ndarray, *, query: str, key: str, layer: int = 0, **more: Any
) -> tuple[dict, Arrays]:
    """Return a map with all its weights as bytes, and the facts that come with it."""
    heads, rows, columns = weights.shape
    told = {
        "id": name, "layer": layer, "kind": "self" if query == key else "cross", "query": query, "key": key,
        "heads": heads, "numbers": None, "kv_heads": heads, "d_head": 8, "scale": 8**-0.5, "causal": False,
        "window": None, "shift": None, "grid": None, "store": "weights", "qk": False, "rows": rows, "columns": columns,
        "missing_rows": 0,
    }  # fmt: skip
    top = weights.max(-1, initial=0).astype(np.float16)
    safe = np.maximum(top.astype(np.float32), 1e-30)[..., None]
    arrays = {"weights": np.round(weights / safe * 255).clip(0, 255).astype(np.uint8), "rowmax": top}
    return told | more, {f"{name}.{key}": x for key, x in (arrays | facts(weights)).items()}


def facts(weights: np.ndarray) -> Arrays:
    """Return the facts of weights; no token counts as special."""
    heads, rows, columns = weights.shape
    apart = np.abs(np.arange(rows)[:, None] - np.arange(columns))
    found = {
        "entropy": -(weights * np.log(np.maximum(weights, 1e-30))).sum(-1),
        "received": weights.sum(1),
        "distance": (weights * apart).sum(-1),
        "special": np.zeros((heads, rows)),
        "diagonal": (weights * (apart <= 1)).sum((1, 2)) / max(rows, 1),
    }
    return {name: x.astype(np.float32) for name, x in found.items()}


def long_map(name: str, heads: int, n: int, *, top: int = 16, layer: int = 0, seed: int = 0) -> tuple[dict, Arrays]:
    """Return a map beyond the byte budget over n tokens: the largest of each row, and means of 128 x 128 cells."""
    rng = np.random.default_rng(seed)
    indices = np.sort(rng.integers(0, n, (heads, n, top)), -1).astype(np.uint32)
    indices[..., 0] = np.maximum(np.arange(n) - 1, 0)
    values = np.tile(0.6 * 0.55 ** np.arange(top), (heads, n, 1)).astype(np.float16)
    told, _ = one_map(name, np.zeros((heads, 1, 1), np.float32), query="text", key="text", layer=layer)
    pooled = rng.integers(0, 40, (heads, 128, 128)).astype(np.uint8) + (np.eye(128) * 200).astype(np.uint8)
    arrays = {
        "top.values": values, "top.indices": indices, "pooled": pooled,
        "pooledmax": np.full((heads, 128), 0.02, np.float16), "entropy": rng.random((heads, n), np.float32),
        "distance": rng.random((heads, n), np.float32) * n, "special": np.zeros((heads, n), np.float32),
        "received": np.ones((heads, n), np.float32), "diagonal": rng.random(heads, np.float32),
    }  # fmt: skip
    return told | {"rows": n, "columns": n, "store": "top"}, {f"{name}.{key}": x for key, x in arrays.items()}


def trace(streams: list[dict], maps: list[tuple[dict, Arrays]], **more: Any) -> bytes:
    """Return the file of a trace."""
    said = {
        "format": "qkv-trace", "version": 1, "title": "a small trace", "code": "import qkv\n",
        "model": {"name": "specimen", "family": "bert", "parameters": 4_200_000, "random": False},
        "streams": streams, "maps": [told for told, _ in maps], "gold": [], "outputs": [],
    }  # fmt: skip
    tensors = {name: np.ascontiguousarray(x) for _, arrays in maps for name, x in arrays.items()}
    return save(tensors, {"qkv": json.dumps(said | more)})


def sentence(
    tokens: list[str] | None = None, *, heads: int = 2, layers: int = 2, causal: bool = False, **more: Any
) -> bytes:
    """Return the trace of one sentence that looks at itself."""
    tokens = ["[CLS]", "the", "cat", "sat", "down", "[SEP]"] if tokens is None else tokens
    special = tuple(i for i, token in enumerate(tokens) if token in ("[CLS]", "[SEP]"))
    maps = []
    for layer in range(layers):
        weights = weights_of(heads, len(tokens), len(tokens), seed=layer, causal=causal)
        maps.append(one_map(str(layer), weights, query="text", key="text", layer=layer, causal=causal))
    return trace([text("text", tokens, special)], maps, **more)


def translation(*, depths: tuple[int, int] = (3, 1), gold: bool = True) -> bytes:
    """Return the trace of a translation, five source tokens to three, by nets of unequal depth."""
    source, target = (
        text("source", ["le", "chat", "est", "la", "</s>"], (4,)),
        text("target", ["the", "cat", "</s>"], (2,)),
    )
    encoder, decoder = depths
    maps = [
        one_map(f"e{i}", weights_of(2, 5, 5, seed=i), query="source", key="source", layer=i) for i in range(encoder)
    ]
    for i in range(decoder):
        maps.append(
            one_map(
                f"d{i}", weights_of(4, 3, 3, seed=9, causal=True), query="target", key="target", layer=i, causal=True
            )
        )
        maps.append(one_map(f"x{i}", weights_of(4, 3, 5, seed=7 + i), query="target", key="source", layer=i))
    links = [{"query": "target", "key": "source", "links": [[0, 0], [1, 1]]}] if gold else []
    return trace([source, target], maps, gold=links)


def written() -> bytes:
    """Return the trace of a decoder that wrote "sat down" after four tokens."""
    made = sentence(["a", "cat", "that", "sat", "down", "."], causal=True, outputs=WRITTEN)
    return made.replace(b'"generated\\": null', b'"generated\\": 3   ')


def picture(rows: int = 3, columns: int = 5, *, prefix: tuple[str, ...] = ("[CLS]",), windows: bool = False) -> bytes:
    """Return the trace of a picture that is wider than high; `windows`: shifted by one, two columns wide."""
    png = io.BytesIO()
    Image.fromarray(np.arange(rows * columns, dtype=np.uint8).reshape(rows, columns) * 9).save(png, "PNG")
    stream = {
        "name": "picture", "kind": "picture", "grid": [rows, columns], "prefix": list(prefix), "size": [rows, columns],
        "image": "data:image/png;base64," + base64.b64encode(png.getvalue()).decode(),
    }  # fmt: skip
    n = rows * columns + len(prefix)
    if not windows:
        return trace([stream], [one_map("0", weights_of(2, n, n, seed=3), query="picture", key="picture")])
    places = np.roll(np.arange(n).reshape(rows, columns), -1, 1).reshape(rows, -1, 2).reshape(-1, 2).astype(np.int32)
    inside = weights_of(2, len(places) * 2, 2, seed=4).reshape(2, len(places), 2, 2)
    kept, arrays = one_map("0", np.full((2, n, n), 1 / n, np.float32), query="picture", key="picture")
    arrays |= {"0.places": places, "0.rowmax": inside.max(-1).astype(np.float16)}
    arrays["0.weights"] = np.round(inside / inside.max(-1, keepdims=True) * 255).astype(np.uint8)
    more = {"store": "windows", "window": [1, 2], "shift": [0, 1], "grid": [rows, columns]}
    return trace([stream], [(kept | more, arrays)])
