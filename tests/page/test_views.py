"""The views of the page: what each says of a trace, with the pointer and with the keyboard alone."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from page.specimen import (
    HOSTILE,
    WRITTEN,
    long_map,
    one_map,
    picture,
    sentence,
    text,
    trace,
    translation,
    weights_of,
    written,
)
from qkv.inside.page import serve_page


def told(page):
    """What the view says of the chosen word or patch."""
    return page.locator("p.told")


def tokens(page):
    return page.locator("[role=listbox]").first.locator("[role=option]")


def worked(*, bias=False):
    """Return a trace with queries, keys and values, and the exact weights of its head 1."""
    rng = np.random.default_rng(5)
    q, k, v = (rng.normal(size=(2, 4, 8)).astype(np.float16) for _ in range(3))
    extra = rng.normal(size=(2, 4, 4)).astype(np.float16)
    scores = q.astype(float) @ k.astype(float).transpose(0, 2, 1) / np.sqrt(8) + bias * extra
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    kept, arrays = one_map("0", weights.astype(np.float32), query="text", key="text", qk=True)
    arrays |= {"0.q": q, "0.k": k, "0.v": v} | ({"0.bias": extra} if bias else {})
    return trace([text("text", ["the", "cat", "sat", "down"])], [(kept, arrays)]), weights


def test_a_sentence_tells_what_a_word_takes(show):
    weights = weights_of(2, 6, 6, seed=1)
    page = show(sentence(), "view=sentence&map=1&head=1&query=2")
    first = int(weights[1, 2].argmax())
    expect(told(page)).to_contain_text(
        re.compile(rf"cat.* takes .*{tokens(page).nth(first).inner_text()}".replace("[", r"\["))
    )
    said = float(re.findall(r"takes ([\d.]+) %", told(page).inner_text())[0])
    assert said / 100 == pytest.approx(weights[1, 2, first], abs=0.006)
    tokens(page).nth(3).hover()
    expect(told(page)).to_contain_text("sat")
    page.mouse.move(2, 2)
    expect(told(page)).to_contain_text("cat")


def test_a_sentence_turns_round_and_leaves_special_tokens_out(show):
    weights = weights_of(2, 6, 6, seed=1)
    page = show(sentence(), "view=sentence&map=1&head=1&query=2&key=2")
    page.get_by_label("who takes from it").check()
    first = int(weights[1, :, 2].argmax())
    said = float(re.findall(r": ([\d.]+) % of", told(page).inner_text())[0])
    assert said / 100 == pytest.approx(weights[1, first, 2], abs=0.006)
    page.get_by_label("what it takes from others").check()
    page.get_by_label("leave out special tokens").check()
    row = weights[1, 2, 1:5] / weights[1, 2, 1:5].sum()
    said = float(re.findall(r"takes ([\d.]+) %", told(page).inner_text())[0])
    assert said / 100 == pytest.approx(row.max(), abs=0.01)


def test_a_sentence_is_read_with_the_keyboard_alone(show):
    page = show(sentence(), "view=sentence&query=1")
    line = page.get_by_role("listbox")
    line.focus()
    page.keyboard.press("ArrowRight")
    expect(told(page)).to_contain_text(re.compile("“.cat.” takes"))
    page.keyboard.press("Home")
    expect(told(page)).to_contain_text(re.compile(r"“.\[CLS\].” takes"))
    assert tokens(page).nth(0).get_attribute("aria-selected") == "true"
    assert line.get_attribute("aria-activedescendant") == tokens(page).nth(0).get_attribute("id")


def test_arrow_keys_follow_a_text_that_runs_from_right_to_left(show):
    page = show(sentence(["שלום", "עולם", "טוב"]), "view=sentence&query=0")
    page.get_by_role("listbox").focus()
    page.keyboard.press("ArrowLeft")
    expect(tokens(page).nth(1)).to_have_attribute("aria-selected", "true")


def test_several_heads_get_bars_in_colours_of_their_own(show):
    page = show(sentence(), "view=sentence&query=2")
    for head in "01":
        page.get_by_role("group", name="Heads to compare").get_by_role("button", name=head, exact=True).click()
    expect(told(page)).to_contain_text("heads 0, 1")
    paints = tokens(page).evaluate_all("all => all.map(one => one.style.backgroundImage).join()")
    assert "rgb(230, 159, 0)" in paints and "rgb(0, 114, 178)" in paints
    expect(page).to_have_url(re.compile("o.heads=0.1"))


def test_two_sentences_are_read_both_ways(show):
    weights = weights_of(4, 3, 5, seed=7)
    page = show(translation(), "view=sentence&map=x0&query=1")
    source = page.locator("[role=listbox]").nth(1).locator("[role=option]")
    expect(told(page)).to_contain_text(re.compile(f"cat.*{source.nth(int(weights[0, 1].argmax())).inner_text()}"))
    source.nth(3).click()
    expect(told(page)).to_contain_text(re.compile("take most from “.la"))


@pytest.mark.parametrize("dark", ["light", "dark"])
def test_hostile_tokens_stay_text_in_every_view(show, dark):
    page = show(sentence(HOSTILE, outputs=WRITTEN, causal=True), f"theme={dark}&view=sentence&query=8")
    for name in ("Sentence", "Neuron", "Generate", "Rollout", "Compare", "Switch off"):
        page.get_by_role("tab", name=name).click()
        expect(page.get_by_role("tabpanel").locator("section").first).to_be_visible()
    assert page.locator("main img").count() == 0


@pytest.mark.parametrize("view", ["sentence", "neuron", "rollout", "compare", "switch-off"])
def test_a_trace_without_tokens_breaks_no_view(show, view):
    page = show(sentence([]), f"view={view}")
    expect(page.get_by_role("tab").first).to_be_visible()


def test_a_long_text_shows_where_the_shaded_words_lie(show):
    words = [f"w{i}" for i in range(1000)]
    page = show(trace([text("text", words)], [long_map("0", 1, 1000)]), "view=sentence&query=900")
    expect(told(page)).to_contain_text(re.compile("“.w900.” takes 60 % from “.w899"))
    expect(tokens(page).nth(900)).to_be_in_viewport()
    expect(page.get_by_role("tab", name="Rollout")).to_have_count(0)  # one layer: nothing to roll out


def test_a_picture_shows_what_a_patch_takes(show):
    weights = weights_of(2, 16, 16, seed=3)
    page = show(picture(), "view=picture&head=1&query=0")
    expect(told(page)).to_contain_text("In head 1, [CLS] takes")
    canvas = page.get_by_role("application").first
    box = canvas.bounding_box()
    assert box and box["width"] / box["height"] == pytest.approx(5 / 3, rel=0.02)
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.5)  # row 2, column 4: token 9
    expect(told(page)).to_contain_text("the patch in row 2, column 4 takes")
    said = float(re.findall(r"takes ([\d.]+) %", told(page).inner_text())[0])
    assert said / 100 == pytest.approx(weights[1, 9].max(), abs=0.006)
    page.mouse.move(2, 2)
    canvas.focus()
    page.keyboard.press("ArrowDown")
    expect(told(page)).to_contain_text("the patch in row 2, column 1 takes")


def test_a_picture_keeps_the_patches_that_hold_a_share(show):
    page = show(picture(), "view=picture&head=1&query=0&o.keep=30")
    lit = """canvas => {
        const copy = Object.assign(document.createElement("canvas"), {width: canvas.width, height: canvas.height})
        const pen = copy.getContext("2d", {willReadFrequently: true})
        pen.drawImage(canvas, 0, 0)
        return pen.getImageData(0, 0, copy.width, copy.height).data.filter((x, i) => i % 4 === 0 && x < 240).length
    }"""
    some = page.get_by_role("application").nth(1).evaluate(lit)
    page.get_by_role("slider").fill("100")
    expect(page.locator("main")).to_contain_text("100 % of it")
    assert 0 < some < page.get_by_role("application").nth(1).evaluate(lit)


def test_shifted_windows_lie_where_they_were(show):
    page = show(picture(2, 4, prefix=(), windows=True), "view=picture&query=0")
    expect(told(page)).to_contain_text("the patch in row 1, column 1 takes")
    taken = re.findall(r"(row \d, column \d)", told(page).inner_text().split(" takes ")[1])
    assert sorted(taken) == ["row 1, column 1", "row 1, column 4"]
    expect(page.locator("main")).to_contain_text("inside windows of 1 × 2 patches")


def test_a_click_on_a_small_map_chooses_its_head(show):
    page = show(picture(), "view=picture&head=0")
    page.get_by_role("button", name="head 1").click()
    expect(told(page)).to_contain_text("In head 1")


@pytest.mark.parametrize("bias", [False, True])
def test_a_weight_is_worked_out_with_the_numbers_of_the_run(show, bias):
    made, weights = worked(bias=bias)
    page = show(made, "view=neuron&head=1&query=1&key=2")
    expect(page.get_by_role("heading", name="Worked out for")).to_contain_text("sat")
    row = page.locator("tr.chosen").inner_text()
    said = float(re.findall(r"([\d.]+) %", row)[0])
    assert said / 100 == pytest.approx(weights[1, 1, 2], abs=0.006)
    assert ("bias" in page.locator("thead").inner_text()) == bias


def test_a_trace_without_queries_says_how_to_get_them(show):
    page = show(sentence(), "view=neuron")
    expect(page.get_by_role("tabpanel").locator("pre")).to_contain_text(
        'qkv explore specimen "your text" --layers 1 --heads 0 --save page.html'
    )


def test_writing_is_gone_through_step_by_step(show):
    weights = weights_of(2, 6, 6, seed=1, causal=True)
    page = show(written(), "view=generate&map=1&head=1")
    panel = page.get_by_role("tabpanel")
    expect(panel).to_contain_text(re.compile("Step 1 of 2: “.sat"))
    expect(page.locator("tr.taken")).to_contain_text("50 %")
    darkest = tokens(page).evaluate_all("all => all.map(one => one.style.backgroundColor)")
    assert sum(map(bool, darkest)) == int((weights[1, 2] / weights[1, 2].max() > 0.004).sum())
    page.get_by_label("Next step").click()
    expect(panel).to_contain_text(re.compile("Step 2 of 2: “.down"))
    page.get_by_label("temperature").fill("0.5")
    expect(page.locator("tr.taken")).to_contain_text("76 %")  # 0.25 of 0.25 + 0.0625 + 0.015625
    expect(panel).to_contain_text("among these 3 words alone")
    expect(panel).to_contain_text("score -0.70")


def test_rollout_is_the_product_of_the_layers(show):
    page = show(sentence(layers=3), "view=rollout&query=2&o.residual=0.3")
    row = np.eye(6)[2]
    for layer in (2, 1, 0):
        row = 0.3 * row + 0.7 * row @ weights_of(2, 6, 6, seed=layer).mean(0)
    said = [float(share) for share in re.findall(r"([\d.]+) % “", told(page).inner_text())]
    assert said == pytest.approx(sorted(row * 100, reverse=True)[:3], abs=0.6)
    page.get_by_label("How many layers").fill("1")
    expect(told(page)).to_contain_text("After 1 layer,")


def test_two_heads_are_compared(show):
    a, b = weights_of(2, 6, 6, seed=1)
    page = show(sentence(), "view=compare&map=1&head=0&query=2&key=3")
    shares = re.findall(r"([\d.]+) %", told(page).inner_text())
    assert float(shares[0]) == pytest.approx(100 * np.minimum(a, b).sum() / 6, abs=1)
    assert [float(x) / 100 for x in shares[1:3]] == pytest.approx([a[2, 3], b[2, 3]], abs=0.006)


def test_a_second_trace_is_opened_from_disk_and_what_is_none_is_refused(show, tmp_path):
    (tmp_path / "other.safetensors").write_bytes(sentence(layers=2, heads=3))
    (tmp_path / "none.safetensors").write_bytes(b"no trace at all")
    page = show(sentence(), "view=compare")
    page.locator("input[type=file]").set_input_files(tmp_path / "none.safetensors")
    expect(page.get_by_role("alert")).to_be_visible()
    page.locator("input[type=file]").set_input_files(tmp_path / "other.safetensors")
    expect(page.get_by_role("tabpanel")).to_contain_text("other.safetensors: layer 1, head 0")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("button", name="back to this file").click()
    expect(page.get_by_role("tabpanel")).not_to_contain_text("other.safetensors")


def test_a_file_says_how_to_start_the_server(show):
    page = show(sentence(), "view=switch-off")
    expect(page.get_by_role("tabpanel").locator("pre")).to_have_text("qkv explore specimen")


def test_heads_and_words_are_switched_off_where_the_model_is(browser):
    labels = [[{"kind": "labels", "labels": [["cat", p], ["dog", 1 - p]]}] for p in (0.9, 0.2)]
    asked = []
    page = browser.new_page()
    page.route("**/*", lambda route: route.fulfill(body=serve_page(), content_type="text/html"))
    page.route("**/api/trace", lambda route: route.fulfill(body=sentence(outputs=labels[0])))

    def ablate(route):
        asked.append((route.request.post_data_json, route.request.headers["x-qkv-token"]))
        route.fulfill(body=sentence(outputs=labels[1]))

    page.route("**/api/ablate", ablate)
    page.goto("http://127.0.0.1:1/#token=secret&view=switch-off")
    page.get_by_role("button", name="layer 1, head 0").click()
    page.get_by_role("listbox").focus()
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Run without them").click()
    row = page.get_by_role("row", name="cat")
    expect(row).to_contain_text("90 %")
    expect(row).to_contain_text("20 %")
    assert asked == [({"heads": [[1, 0]], "mask": [1]}, "secret")]
    page.close()
