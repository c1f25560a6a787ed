"""Small traces for the tests of this folder."""

import base64
import gzip
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qkv.inside.condense import condense
from qkv.inside.contents import About, Gold, Map
from qkv.inside.streams import TextStream, text_stream
from qkv.inside.trace import Trace
from qkv.ops.tiles import Weighed


def words_stream(n: int, name: str = "text") -> TextStream:
    """Return n tokens of one letter each; the first is special."""
    text = " ".join("abcdefghij"[i % 10] for i in range(n))
    return text_stream(name, text, text.split(" "), [(2 * i, 2 * i + 1) for i in range(n)], [i == 0 for i in range(n)])


def random_weights(b: int, h: int, t: int, s: int, *, causal: bool = False) -> Tensor:
    """Return weights as spread as a trained net's: some rows flat, some with one large weight."""
    scores = torch.randn(b, h, t, s) * torch.linspace(0.1, 6, h)[:, None, None]
    if causal:
        scores = scores.masked_fill(torch.ones(t, s, dtype=torch.bool).triu(1), float("-inf"))
    return scores.softmax(-1)


def make_trace(n: int = 7, store: Any = "weights", **changes: Any) -> Trace:
    """Return a trace of one map of two heads over n tokens."""
    weights = random_weights(1, 2, n, n)
    stream = words_stream(n)
    found = condense(Weighed(weights), store, stream, stream, top=4)
    one = Map(
        id="0", layer=0, kind="self", query="text", key="text", heads=2, kv_heads=2, store=store, rows=n, columns=n
    )
    parts: dict[str, Any] = {
        "model": About(name="small", family="bert", parameters=9, random=True),
        "title": "a b c",
        "code": "import qkv\n",
        "streams": (stream,),
        "maps": (one,),
        "tensors": {f"0.{name}": x for name, x in found.items()},
        "gold": (Gold(query="text", key="text", links=((0, 1),)),),
    }
    return Trace(**parts | changes)


def trace_in(page: Path) -> Trace:
    """Return the trace that a saved page holds."""
    packed = page.read_text(encoding="utf-8").split('id="trace">')[1].split("</script>")[0]
    return Trace.from_bytes(gzip.decompress(base64.b64decode(packed, validate=True)))
