"""Options and parameter names change only on purpose: users' scripts and weight files rely on them."""

import difflib
from dataclasses import replace

import pytest

from house import frozen


def changes(frozen_text: str, text: str) -> str:
    """Return what was taken away (-) and what is new (+); nothing where all is as it was."""
    lines = difflib.unified_diff(frozen_text.splitlines(), text.splitlines(), lineterm="", n=1)
    return "\n".join(list(lines)[2:])


@pytest.mark.parametrize(
    ("file", "now"), [(frozen.OPTIONS, frozen.list_options), (frozen.PARAMETERS, frozen.list_parameters)]
)
def test_names_are_as_they_were(file, now):
    changed = changes(file.read_text("utf-8"), now())
    assert not changed, f"{changed}\nIf this is wanted: {frozen.RENEW}"


def test_a_planted_option_is_found(monkeypatch):
    from cyclopts import App

    app = App(name="qkv")

    @app.command
    def train(model: str, *, steps: int = 1) -> None: ...

    monkeypatch.setattr("qkv.cli.app", app)
    listed = frozen.list_options()
    assert listed == "qkv\nqkv train\n  --model  (place 1)\n  --steps\n"
    assert (
        changes("qkv\nqkv train\n  --model  (place 1)\n", listed) == "@@ -3 +3,2 @@\n   --model  (place 1)\n+  --steps"
    )


def test_a_planted_parameter_name_is_found(monkeypatch):
    from torch import nn

    from qkv.models import get_family

    family = get_family("transformer")
    monkeypatch.setattr("qkv.models.FAMILIES", {"transformer": "qkv.models.transformer"})
    before = frozen.list_parameters()
    assert "transformer transformer-tiny" in before

    class Renamed(nn.Module):
        def __init__(self, cfg: object) -> None:
            super().__init__()
            self.renamed = family.net(cfg)

    monkeypatch.setattr("qkv.models.get_family", lambda name: replace(family, net=Renamed))
    assert "+  renamed.token.weight  1000 x 96" in changes(before, frozen.list_parameters())
