"""The page in a browser: what it shows, what it lets through, and that the keyboard suffices."""

import json
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from page.saving import save
from page.specimen import HOSTILE, long_map, one_map, sentence, text, trace, translation, weights_of
from qkv.inside.page import BUILT, frame, make_page


def reading(page):
    return page.get_by_label("reading")


def test_the_built_page_is_small():
    assert BUILT.stat().st_size <= 150_000


def test_the_policy_lets_nothing_in():
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', BUILT.read_text("utf-8"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy
    assert not re.findall(r"https?://(?!www\.w3\.org)", BUILT.read_text("utf-8"))


def test_the_matrix_tells_each_weight(show):
    weights = weights_of(2, 6, 6, seed=1)
    page = show(sentence(), "view=matrix&map=1&head=1&query=2&key=3")
    expect(reading(page).locator(".one")).to_contain_text("cat takes")
    said = reading(page).locator(".share").inner_text()
    assert float(said.split()[0]) / 100 == pytest.approx(weights[1, 2, 3], abs=0.006 + 1 / 255)


def test_the_pointer_finds_rows_and_columns(show):
    page = show(sentence(), "view=matrix")
    stage = page.get_by_role("application")
    box = stage.locator("canvas").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] - 60, box["y"] + box["height"] - 12)
    expect(reading(page)).to_contain_text("[SEP] takes most from")
    page.mouse.move(2, 2)
    expect(reading(page)).to_contain_text("How to read this")


def test_the_keyboard_suffices(show):
    page = show(translation(), "view=matrix&map=x0")
    page.get_by_role("application").focus()
    page.keyboard.press("ArrowDown")
    expect(reading(page).locator(".one")).to_contain_text("the takes")
    for key in ("ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    expect(reading(page).locator(".one")).to_contain_text(re.compile("cat takes.*from chat"))
    page.keyboard.press("End")
    expect(reading(page).locator(".one")).to_contain_text("</s>")
    page.keyboard.press(".")
    expect(page.get_by_label("Head", exact=True).locator("select")).to_have_value("1")
    page.keyboard.press("m")
    expect(page.get_by_label("Head", exact=True).locator("select")).to_have_value("-1")
    page.keyboard.press("Escape")
    expect(reading(page)).to_contain_text("How to read this")
    page.keyboard.press("1")
    expect(page.get_by_role("tab", selected=True)).to_have_text("Overview")


def test_everything_that_can_be_chosen_is_reached_with_tab_and_shows_it(show):
    page = show(sentence(), "view=matrix")
    page.get_by_role("application").wait_for()
    seen = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.textContent.trim().slice(0, 20) || document.activeElement.role"))
        if page.evaluate("document.activeElement === document.body"):
            break
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert {"Tour", "Save", "Python", "Matrix"} <= seen and len(seen) > 8


def test_a_link_shows_the_same_view(show):
    page = show(sentence(), "view=matrix")
    page.get_by_role("application").focus()
    for key in ("[", "m", "s", "d", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    page.wait_for_url(re.compile("query=2"))
    place = page.url.partition("#")[2]
    assert {"map=0", "head=mean", "o.special=1", "theme=dark"} <= set(place.split("&"))
    again = show(sentence(), place)
    expect(reading(again).locator(".one")).to_contain_text("cat takes")
    assert again.evaluate("document.documentElement.dataset.theme") == "dark"


def test_nonsense_in_the_link_is_left_aside(show):
    page = show(sentence(), "view=%00&map=../..&head=99&query=-3&key=1e9&theme=pink&o.x=%3Cb%3E")
    expect(page.get_by_role("tab", selected=True)).to_have_count(1)


def test_hidden_special_tokens_leave_rows_that_sum_to_one(show):
    page = show(sentence(), "view=matrix&o.special=1&map=0&head=0")
    saved = save(page, "Numbers as CSV")
    lines = saved.read_text("utf-8").splitlines()
    assert lines[0] == '"","the","cat","sat","down"'
    for line in lines[1:]:
        assert sum(map(float, line.split(",")[1:])) == pytest.approx(1, abs=1e-3)
    assert len(lines) == 5


def test_the_numbers_that_leave_the_page_are_those_of_the_trace(show):
    weights = weights_of(2, 6, 6, seed=1)
    page = show(sentence(), "view=matrix&map=1&head=1")
    saved = save(page, "Numbers as JSON")
    told = json.loads(saved.read_text("utf-8"))
    values = np.array([row[1:] for row in told["rows"]], np.float32)
    assert np.all(np.abs(values - weights[1]) <= weights[1].max(-1, keepdims=True) / 255 + 1e-3)
    assert told["map"]["layer"] == 1 and told["head"] == 1


def test_hostile_tokens_stay_text(show):
    page = show(sentence(HOSTILE, title=HOSTILE[1]), "view=matrix&query=1&key=0")
    expect(reading(page).locator(".one")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.evaluate("document.querySelectorAll('#app img').length") == 0
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE[1])
    for tab in page.get_by_role("tab").all():
        tab.click()
        assert page.evaluate("document.querySelectorAll('#app [onerror]').length") == 0


def test_no_tokens_and_no_maps_are_told(show):
    page = show(sentence([]), "view=matrix")
    expect(page.get_by_text("There are no tokens here.")).to_be_visible()
    page = show(trace([text("text", ["a"])], []))
    expect(page.get_by_text("This trace holds no maps")).to_be_visible()


def test_what_is_no_trace_is_told(show):
    page = show(b"nothing of the kind")
    expect(page.get_by_role("alert")).to_contain_text("trace")
    page = show(b"", html=BUILT.read_text("utf-8"))
    expect(page.get_by_text("Drop a trace here")).to_be_visible()


def test_ten_thousand_tokens(show):
    tokens = [f"t{i}" for i in range(10_000)]
    page = show(trace([text("text", tokens)], [long_map("0", 1, 10_000)]), "view=matrix&query=5000&key=4999")
    expect(reading(page).locator(".one")).to_contain_text(re.compile("t5000 takes 60 % from t4999"))
    expect(reading(page)).to_contain_text("The map itself shows means")
    assert page.evaluate("document.querySelectorAll('*').length") < 600


def test_the_page_does_not_grow_with_the_weights(show):
    small, large = (show(sentence([f"t{i}" for i in range(n)]), "view=matrix") for n in (6, 200))
    counts = []
    for page in (small, large):
        page.get_by_role("application").wait_for()
        counts.append(page.evaluate("document.querySelectorAll('*').length"))
    assert counts[0] == counts[1]


def test_encoder_and_decoder_of_unequal_depth(show):
    page = show(translation(depths=(3, 1)), "view=matrix&map=e2")
    page.get_by_label("who looks at whom").select_option(label="target looks at source")
    expect(page.get_by_label("Layer", exact=True).locator("select")).to_have_value("x0")
    page.get_by_label("who looks at whom").select_option(label="target looks at itself")
    expect(page.get_by_label("Head", exact=True).locator("option")).to_have_count(5)


def test_gold_is_shown_and_scored(show):
    page = show(translation(), "view=matrix&map=x0")
    expect(reading(page)).to_contain_text("Orange frames mark the true alignment")


def test_every_view_shows_every_map(show):
    square = one_map("0", weights_of(4, 5, 5), query="text", key="text", kv_heads=2, qk=True)
    rng = np.random.default_rng(0)
    grouped = {f"0.{x}": rng.normal(size=(n, 5, 8)).astype(np.float16) for x, n in (("q", 4), ("k", 2), ("v", 2))}
    for data in (
        trace([text("text", list("abcde"))], [(square[0], square[1] | grouped)]),
        translation(),
        sentence(causal=True),
    ):
        page = show(data)
        page.get_by_role("tab").first.wait_for()
        for i in range(page.get_by_role("tab").count()):
            page.get_by_role("tab").nth(i).click()
            for _ in range(6):
                page.keyboard.press("]")
                page.keyboard.press(".")
            expect(page.get_by_role("tabpanel")).not_to_be_empty()


def test_the_overview_opens_a_head(show):
    page = show(sentence(heads=3, layers=4), "view=overview")
    expect(page.locator(".heads button")).to_have_count(12)
    page.get_by_role("button", name=re.compile("^layer 2, head 1")).click()
    expect(page.get_by_role("tab", selected=True)).to_have_text("Matrix")
    expect(page.get_by_label("Layer", exact=True).locator("select")).to_have_value("2")
    expect(page.get_by_label("Head", exact=True).locator("select")).to_have_value("1")


def test_a_random_net_carries_a_banner(show):
    about = {"name": "r", "family": "bert", "parameters": 9, "random": True}
    page = show(sentence(model=about))
    expect(page.get_by_role("note")).to_contain_text("Nothing was learned here")
    expect(page.get_by_text("Weights show where information could come from, not why.")).to_be_visible()


@pytest.mark.parametrize(
    "data", [sentence(), sentence(causal=True), translation()], ids=["encoder", "decoder", "translation"]
)
def test_the_tour_has_six_cards(show, data):
    page = show(data)
    page.get_by_role("button", name="Tour").click()
    for i in range(6):
        expect(page.get_by_role("dialog", name="tour")).to_contain_text(f"{i + 1} of 6")
        page.get_by_role("button", name="Done" if i == 5 else "Next").click()
    expect(page.get_by_role("dialog", name="tour")).to_have_count(0)


def test_in_a_notebook_s_frame(show):
    made = frame(make_page(sentence(), title="specimen", host="notebook"))
    page = show(b"", html=f"<!doctype html><title>notebook</title>{made}")
    inside = page.frame_locator("iframe")
    expect(inside.get_by_role("heading", level=1)).to_have_text("a small trace")
    inside.get_by_role("tab", name="Matrix").click()
    inside.get_by_role("application").focus()
    page.keyboard.press("ArrowDown")
    expect(inside.get_by_label("reading").locator(".one")).to_contain_text("[CLS] takes")


def test_narrow_and_dark(show):
    page = show(translation(), "view=matrix&theme=dark")
    page.set_viewport_size({"width": 390, "height": 800})
    page.get_by_role("application").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
