"""What may be asked of the model: read strictly, refused with a sentence."""

import json

import pytest

from qkv.base.errors import QkvError
from qkv.web.wishes import Ablation, Look, read_wish

DEEP = 100_000


def test_a_look_is_read():
    body = json.dumps({"text": "a cat", "pair": "a dog", "layers": [0, 2], "exact": True, "top": 4, "target": None})
    wish = read_wish(Look, body.encode())
    assert wish.given == ("a cat", "a dog")
    assert wish.options == {"layers": (0, 2), "exact": True, "top": 4}
    assert read_wish(Look, b'{"text": ""}').given == ""


def test_an_ablation_is_read():
    assert read_wish(Ablation, b'{"heads": [[0, 3], [1, 1]], "mask": [5]}') == Ablation(
        heads=((0, 3), (1, 1)), mask=(5,)
    )
    assert read_wish(Ablation, b"{}") == Ablation()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "object"),
        (b"null", "object"),
        (b'{"text": NaN}', "NaN"),
        (b'{"text": -Infinity}', "Infinity"),
        (b'{"text": "a\xff"}', "not UTF-8: byte 11"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ('{"text": "a"}'.encode("utf-16"), "not UTF-8"),
        (b'{"text": "\\ud800"}', "half a character"),
        (b'{"\\udc00": 1, "text": "a"}', "half a character"),
        (b"[" * DEEP + b"]" * DEEP, "nested"),
        (b'{"text": ' + b"[" * DEEP + b"]" * DEEP + b"}", "nested"),
        (b'{"text": "a", "n_tokens": 1' + b"0" * 5000 + b"}", "not JSON"),
        (b'{"text": "a", "n_tokens": 1e400}', "n_tokens"),
        (b'{"text": "a", "n_tokens": true}', "n_tokens"),
        (b'{"text": "a", "n_tokens": 0}', "from 1 to 1,024"),
        (b'{"text": "a", "top": 65}', "from 1 to 64"),
        (b'{"text": "a", "layers": [-1]}', "layers holds -1"),
        (b'{"text": "a", "layers": [4294967296]}', "layers holds"),
        (b'{"text": "a", "heads": []}', "heads is empty"),
        (b'{"text": 1}', '"text" is 1, wanted str'),
        (b'{"txt": "a"}', 'Did you mean "text"'),
        (json.dumps({str(i): i for i in range(10_000)}).encode(), "10,000 keys"),
    ],
)
def test_anything_else_is_refused_with_a_sentence(body, says):
    with pytest.raises(QkvError) as caught:
        read_wish(Look, body)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "body", [b'{"heads": [[0]]}', b'{"heads": [0, 1]}', b'{"heads": {"0": 1}}', b'{"mask": [1.5]}']
)
def test_heads_are_pairs_and_tokens_whole_numbers(body):
    with pytest.raises(QkvError, match="wanted tuple"):
        read_wish(Ablation, body)


def test_nesting_that_json_reads_but_python_cannot_spell_is_refused():
    for depth in range(100, 1200, 25):
        with pytest.raises(QkvError):
            read_wish(Look, b'{"text": ' + b"[" * depth + b"]" * depth + b"}")
