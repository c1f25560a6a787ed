"""Real nets behind the server: whatever is asked of them is answered by a trace or by a sentence."""

import io
import json
from functools import partial
from typing import Any

import pytest
from PIL import Image

from model.small_models import TEXTS, model_of
from models.tiny import SMALL
from qkv.inside.hiding import hide_tokens
from qkv.inside.surgery import edit_heads
from qkv.inside.trace import Trace
from qkv.model import Viewer
from qkv.model.explain import explain
from qkv.web.app import make_app
from qkv.web.session import Kept, Session
from web.asking import PAGE, PORT, TOKEN, ask

ONE_OF_EACH = {small.family.name: small for small in reversed(SMALL.values())} | {"bahdanau": SMALL["bahdanau-tiny"]}
look: Any = partial(explain, name="small")
ODD_TEXTS = ["", " \n\t", "\x00\u200b\U0001f600", "a " * 5000]
ODD_OPTIONS = [
    {"pair": ""}, {"pair": "b" * 9000}, {"target": ""}, {"target": "b"}, {"layers": [99]}, {"heads": [99]},
    {"layers": []}, {"heads": []}, {"layers": [0, 0]}, {"heads": [1, 0, 1]}, {"exact": True, "top": 1},
    {"n_tokens": 100},
]  # fmt: skip
ODD_LOOKS = [{"text": text} for text in ODD_TEXTS] + [{"text": "a", **options} for options in ODD_OPTIONS]
ODD_ABLATIONS = [
    {"heads": [[99, 0]]}, {"heads": [[0, 99]]}, {"heads": [[0, 0], [0, 0]]}, {"mask": [9999]}, {"mask": [0, 0]},
    {"mask": list(range(2000))}, {"heads": [[0, 0]], "mask": [0]}, {},
]  # fmt: skip


def switch_off(model, given, *, off, hidden, **options):
    with edit_heads(model, dict.fromkeys(off, 0.0)), hide_tokens(model, hidden):
        return look(model, given, **options)


def png(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 50).save(file, "png")
    return file.getvalue()


@pytest.mark.parametrize("small", ONE_OF_EACH.values(), ids=ONE_OF_EACH)
def test_odd_wishes_are_answered_by_every_model(small):
    model = model_of(small)
    views = isinstance(model, Viewer)
    session = Session(
        model=model,
        given=Image.effect_noise((40, 30), 50).convert("RGB") if views else TEXTS[0],
        trace=Kept(b""),
        takes="picture" if views else "text",
        explain=look,
        ablate=switch_off,
    )
    app = make_app(session, port=PORT, token=TOKEN, page=PAGE)
    looks = [(json.dumps(wish).encode(), "application/json") for wish in ODD_LOOKS]
    looks += [(png(size), "image/png") for size in ((1, 1), (3000, 2), (40, 30))]
    answers = [(sent, ask(app, "POST", "/api/look", sent, kind)) for sent, kind in looks]
    answers += [(wish, ask(app, "POST", "/api/ablate", json.dumps(wish).encode())) for wish in ODD_ABLATIONS]
    for asked, answer in answers:
        assert answer.status in (200, 400), asked
        if answer.status == 200:
            assert Trace.from_bytes(answer.body).model.name == "small", asked
        else:
            assert answer.error.endswith((".", "?")), asked
    assert {answer.status for _, answer in answers} == {200, 400}
    session.line.close()
