"""A trace is written and read without loss, and one that is not sound is refused with a sentence."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load, save

from inside.traces import make_trace, words_stream
from qkv.base.errors import DataError, QkvError, WeightsError
from qkv.inside.contents import Beams, Found, Gap, Gaps, Gold, Labels, Step, Steps
from qkv.inside.streams import PictureStream, text_stream
from qkv.inside.trace import Trace

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\u2028\u2029",
    "\u202eabc",
    "🦊",
    "\x00",
    "",
]
OUTPUTS = (
    Labels(labels=(("cat", 0.75), ("</b>", 0.25))),
    Steps(first=2, steps=(Step(token="a", id=5, top=(("a", 0.5), ("b", 0.25))),)),
    Beams(hypotheses=(Found(text="a b", score=-0.5, tokens=("a", "b")),)),
    Gaps(gaps=(Gap(at=1, top=(("a", 0.5),)),)),
)


def header_of(data: bytes) -> dict:
    n = int.from_bytes(data[:8], "little")
    return json.loads(json.loads(data[8 : 8 + n])["__metadata__"]["qkv"])


def with_header(data: bytes, header: object) -> bytes:
    return save(load(data), {"qkv": header if isinstance(header, str) else json.dumps(header)})


@pytest.mark.parametrize("store", ["weights", "top"])
def test_what_is_read_is_what_was_written(store, tmp_path):
    trace = make_trace(130, store, outputs=OUTPUTS)
    trace.write(tmp_path / "a.safetensors")
    again = Trace.read(tmp_path / "a.safetensors")
    assert replace(again, tensors={}) == replace(trace, tensors={})
    assert again.tensors.keys() == trace.tensors.keys()
    for name, x in trace.tensors.items():
        assert again.tensors[name].dtype == x.dtype and (again.tensors[name] == x).all(), name
    assert again.to_bytes() == trace.to_bytes() == (tmp_path / "a.safetensors").read_bytes()


def test_hostile_tokens_come_back_as_they_were():
    n = len(HOSTILE)
    stream = text_stream("text", "".join(HOSTILE), HOSTILE, [(0, 0)] * n, [False] * n)
    again = Trace.from_bytes(make_trace(n, streams=(stream,), title=HOSTILE[0]).to_bytes())
    assert again.streams == (stream,) and again.title == HOSTILE[0]


def test_any_safetensors_reader_finds_the_tensors():
    found = load(make_trace(7).to_bytes())
    assert {name: str(x.dtype) for name, x in found.items()} == {
        "0.weights": "uint8",
        "0.rowmax": "float16",
        "0.entropy": "float32",
        "0.received": "float32",
        "0.distance": "float32",
        "0.special": "float32",
        "0.diagonal": "float32",
    }


@pytest.mark.parametrize("cut", [0, 4, 8, 100, -1])
def test_a_file_that_is_cut_short_is_refused(cut):
    with pytest.raises(WeightsError, match="is damaged, or no trace"):
        Trace.from_bytes(make_trace().to_bytes()[:cut])


def test_any_flipped_byte_of_the_header_is_refused_or_harmless():
    """Never a traceback: each either reads, a letter of some token being another one, or is refused."""
    data = make_trace(3).to_bytes()
    n = int.from_bytes(data[:8], "little")
    for i in range(0, 8 + n):
        for flip in (1, 32, 255):
            try:
                Trace.from_bytes(data[:i] + bytes([data[i] ^ flip]) + data[i + 1 :])
            except QkvError as error:
                assert len(str(error)) < 2000


def test_weights_of_a_model_are_no_trace(tmp_path):
    with pytest.raises(DataError, match='no trace: its header has no "qkv"'):
        Trace.from_bytes(save({"a": np.zeros(3, np.float32)}))
    with pytest.raises(WeightsError, match=r"none\.safetensors cannot be read: No such file"):
        Trace.read(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h | {"format": "other"}, 'does not say "format": "qkv-trace"'),
        (lambda h: h | {"version": 2}, "has version 2; this qkv reads 1"),
        (lambda h: h | {"more": 1}, "lacks, or should not have, .'more'."),
        (lambda h: {k: v for k, v in h.items() if k != "maps"}, "lacks, or should not have, .'maps'."),
        (lambda h: h | {"title": 1}, '"title" and "code" must be text'),
        (lambda h: h | {"model": []}, "where an object should be"),
        (lambda h: h | {"model": h["model"] | {"name": 3}}, '"name" is 3, wanted str'),
        (lambda h: h | {"streams": {}}, '"streams" is {}, wanted a list'),
        (lambda h: h | {"streams": [h["streams"][0] | {"kind": "sound"}]}, 'kind "sound" is not one of text, picture'),
        (lambda h: h | {"streams": [h["streams"][0] | {"words": [0]}]}, 'Stream "text" has 7 tokens'),
        (lambda h: h | {"maps": [h["maps"][0] | {"store": "half"}]}, '"store" is .half., wanted'),
        (lambda h: h | {"maps": [h["maps"][0] | {"key": "source"}]}, 'a stream "source" that is not there'),
        (lambda h: h | {"maps": [h["maps"][0] | {"rows": 6}]}, 'map 0 is of 6 tokens, stream "text" has 7'),
        (lambda h: h | {"maps": [h["maps"][0] | {"heads": 3}]}, r"wanted float32 \(3,\)"),
        (lambda h: h | {"maps": [*h["maps"], h["maps"][0]]}, "two maps, have one name"),
        (lambda h: h | {"maps": []}, 'tensor "0.diagonal" is of no map'),
        (lambda h: h | {"maps": [h["maps"][0] | {"qk": True}]}, 'tensor "0.k" is missing'),
        (
            lambda h: h | {"gold": [{"query": "text", "key": "text", "links": [[0, 7]]}]},
            "a gold link lies outside text",
        ),
        (lambda h: [h], 'does not say "format"'),
        (lambda h: "{", "is no JSON"),
        (lambda h: "[" * 100_000, "is no JSON"),
    ],
)
def test_a_header_that_says_something_else_is_refused(change, message):
    data = make_trace().to_bytes()
    with pytest.raises(DataError, match=message):
        Trace.from_bytes(with_header(data, change(header_of(data))))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("0.entropy", np.zeros((2, 8), np.float32), r'"0.entropy" is float32 \(2, 8\), wanted float32 \(2, 7\)'),
        ("0.weights", np.zeros((2, 7, 7), np.float32), r"wanted uint8 \(2, 7, 7\)"),
        ("0.entropy", np.full((2, 7), np.nan, np.float32), "numbers that are not finite"),
        ("1.entropy", np.zeros((2, 7), np.float32), '"1.entropy" is of no map'),
        ("0.weights", None, '"0.weights" is missing'),
    ],
)
def test_tensors_that_do_not_fit_are_named(name, value, message):
    trace = make_trace()
    tensors = {k: x for k, x in ({**trace.tensors} | {name: value}).items() if x is not None}
    with pytest.raises(DataError, match=message):
        Trace.from_bytes(replace(trace, tensors=tensors).to_bytes())


def test_an_index_outside_the_keys_is_refused():
    trace = make_trace(130, "top")
    indices = trace.tensors["0.top.indices"].copy()
    indices[1, 2, 0] = 130
    with pytest.raises(DataError, match=r'"0.top.indices" names key 130 of 130'):
        Trace.from_bytes(replace(trace, tensors={**trace.tensors} | {"0.top.indices": indices}).to_bytes())


def test_a_stream_is_found_by_its_name():
    trace = make_trace(
        streams=(words_stream(7), PictureStream(name="p", grid=(1, 1), prefix=(), size=(1, 1), image=""))
    )
    assert len(trace.stream("p")) == 1 and trace.stream("text") == trace.streams[0]
    assert Gold(query="text", key="text", links=((0, 1),)) in trace.gold
