"""What leaves the page: figures as PNG and SVG, numbers for NumPy."""

import re

import numpy as np
import pytest

from page.saving import save
from page.specimen import HOSTILE, picture, sentence, weights_of, written


def test_numbers_leave_for_numpy(show):
    """Tables of weights as one array with the names of its axes; other tables column by column."""
    page = show(sentence(HOSTILE), "view=matrix&map=1&head=1")
    with np.load(save(page, "Numbers for NumPy"), allow_pickle=False) as told:
        assert told["rows"].tolist() == told["columns"].tolist() and "😀" in told["rows"]
        wanted = weights_of(2, len(HOSTILE), len(HOSTILE), seed=1)[1]
        assert told["values"].shape == wanted.shape and np.abs(told["values"] - wanted).max() <= 5e-3
    page.get_by_role("tab", name="Overview").click()
    with np.load(save(page, "Numbers for NumPy"), allow_pickle=False) as told:
        assert told["layer"].tolist() == [0.0, 0.0, 1.0, 1.0] and told["head"].tolist() == [0.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize(("button", "starts"), [("Figure as PNG", b"\x89PNG"), ("Figure as SVG", b"<svg xmlns")])
def test_figures_are_saved(show, button, starts):
    page = show(sentence(HOSTILE), "view=matrix")
    saved = save(page, button)
    data = saved.read_bytes()
    assert data.startswith(starts) and len(data) > 1000
    assert b"<img" not in data and b"</script" not in data


def test_the_overview_is_saved_as_a_figure(show):
    page = show(sentence(heads=3, layers=2), "view=overview")
    page.locator(".heads button").nth(5).wait_for()
    saved = save(page, "Figure as SVG")
    drawn = saved.read_text("utf-8")
    assert drawn.count("<image ") == 6 and ">1·2</text>" in drawn


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("view", "drawn"),
    [("rollout", "is made of"), ("compare", "first minus second"), ("generate", "step 1 of 2"), ("sentence", "takes")],
)
def test_every_view_hands_out_a_figure_in_its_theme(show, view, drawn, theme):
    page = show(written(), f"view={view}&theme={theme}&query=3")
    svg = save(page, "Figure as SVG").read_text("utf-8")
    assert drawn in svg and inks(page) <= {*re.findall(r'(?:fill|stroke)="(#\w+|rgb[^"]+)"', svg)}


@pytest.mark.parametrize("view", ["rollout", "compare", "picture"])
def test_figures_hold_the_picture(show, view):
    drawn = save(show(picture(), f"view={view}&query=3"), "Figure as SVG").read_text("utf-8")
    assert drawn.count("<image ") >= 2


def inks(page):
    """The colours of the page's ground and writing in the theme at hand."""
    names = ["--card", "--ink"]
    style = "name => getComputedStyle(document.documentElement).getPropertyValue(name).trim()"
    return {page.evaluate(style, name) for name in names}
