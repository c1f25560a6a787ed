"""The explorer's page in Debian's chromium, 144 heads x 512 tokens: its size, its load, its interactions.

The weights are made up (a place to rest, neighbours, and noise of every sharpness). An interaction lasts from the event
to the end of the frame after the one that shows its effect; each is done 20 times. BertViz stands beside ours with 128
tokens: its pages take turns with ours, and get from this machine what they would load from the network. It is not among
our extras: pip install ipython; pip install --no-deps bertviz.
"""

import argparse
import importlib.util
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from playwright.sync_api import Browser, Page, sync_playwright
from rig.report import Report

from qkv.inside.condense import choose_stores, condense
from qkv.inside.contents import About, Map
from qkv.inside.page import BUILT, make_page
from qkv.inside.streams import text_stream
from qkv.inside.trace import Trace
from qkv.ops.tiles import Weighed

LAYERS, HEADS, TOKENS, TIMES = 12, 12, 512, 20
BUDGETS = {"megabytes": 8.0, "load_seconds": 3.0, "interaction_ms": 50.0}
ACTS = {"hover": "hover", "[]": "another layer", ",.": "another head", "mean": "mean of heads", "views": "another view"}
BESIDE = 128  # tokens of the pages beside BertViz's
FRAMES = """async ([act, times]) => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const stage = document.querySelector('[role=application]');
  const key = (name) => (document.activeElement ?? document.body).dispatchEvent(
    new KeyboardEvent('keydown', {key: name, bubbles: true, cancelable: true}));
  const found = [];
  for (let i = 0; i < times; i++) {
    await frame(); await frame();
    const start = performance.now();
    if (act === 'bertviz') [...document.querySelectorAll('rect.background')][i].parentNode.dispatchEvent(
      new MouseEvent('mouseover', {bubbles: true}));
    else if (act === 'hover') stage.dispatchEvent(new PointerEvent('pointermove', {
      bubbles: true, clientX: 260 + 9 * i, clientY: 420 + 7 * i}));
    else if (act === 'views') key(String(1 + i % 3));
    else if (act === 'mean') key('m');
    else key(i % 2 ? act[0] : act[1]);
    await frame();
    await new Promise((done) => { const c = new MessageChannel(); c.port1.onmessage = done; c.port2.postMessage(0); });
    found.push(performance.now() - start);
  }
  return found;
}"""


def made_up(layer: int, n: int) -> Weighed:
    """Return weights of one layer for n tokens."""
    torch.manual_seed(layer)
    apart = (torch.arange(n)[:, None] - torch.arange(n)).abs()
    sharp = torch.linspace(0.5, 4, HEADS)[:, None, None]
    scores = torch.randn(HEADS, n, n) * sharp - apart / (4 + 20 * torch.rand(HEADS, 1, 1))
    scores[:, :, 0] += 3
    return Weighed(scores.softmax(-1)[None])


def words_of(n: int) -> list[str]:
    """Return n words."""
    return [f"word{i % 97}" for i in range(n)]


def make_trace(n: int) -> bytes:
    """Return a trace of all heads for n tokens."""
    words = words_of(n)
    starts = [sum(len(word) + 1 for word in words[:i]) for i in range(n)]
    spans = [(start, start + len(word)) for start, word in zip(starts, words, strict=True)]
    stream = text_stream("text", " ".join(words), words, spans, [i == 0 for i in range(n)])
    [store, *_] = choose_stores([(HEADS, n, n)] * LAYERS, top=16)
    maps, tensors = [], {}
    for layer in range(LAYERS):
        maps.append(
            Map(
                id=str(layer), layer=layer, kind="self", query="text", key="text", heads=HEADS, kv_heads=HEADS,
                store=store, rows=n, columns=n,
            )
        )  # fmt: skip
        found = condense(made_up(layer, n), store, stream, stream)
        tensors |= {f"{layer}.{name}": x for name, x in found.items()}
    about = About(name="made up", family="bert", parameters=1, random=True)
    return Trace(
        model=about, title=f"{n} words", code="", streams=(stream,), maps=tuple(maps), tensors=tensors
    ).to_bytes()


def write_ours(folder: Path, n: int) -> Path:
    """Write our page for n tokens."""
    file = folder / f"ours-{n}.html"
    file.write_text(make_page(make_trace(n), title=f"{n} words"), "utf-8")
    return file


@contextmanager
def opened(browser: Browser, file: Path, there: str, sources: Mapping[str, str]) -> Iterator[tuple[Page, float]]:
    """Open a page; give it with the seconds until `there` is on it and painted."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(120_000)
    if sources:
        from rig.bertviz_pages import serve_libraries

        serve_libraries(page, dict(sources))
    start = time.perf_counter()
    page.goto(file.as_uri() if "#" not in there else file.as_uri() + there[there.index("#") :])
    page.locator(there.partition("#")[0]).first.wait_for(state="attached")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    yield page, time.perf_counter() - start
    page.close()


def interact(page: Page, act: str) -> list[float]:
    """Return the milliseconds of each of 20 interactions."""
    return page.evaluate(FRAMES, [act, TIMES])


def tell_budgets(report: Report, browser: Browser, folder: Path) -> dict[str, float]:
    """Measure the page of 512 tokens; return what is over budget."""
    file, rows = write_ours(folder, TOKENS), []
    told: dict[str, Any] = {"page_kb": BUILT.stat().st_size / 1e3, "megabytes": file.stat().st_size / 1e6}
    loads = []
    for view in ("matrix", "overview", "matrix"):
        with opened(browser, file, f"[role=tabpanel]#view={view}", {}) as (page, seconds):
            loads.append(seconds)
            if len(loads) == 3:
                told["interactions"] = {act: interact(page, act) for act in ACTS}
    told["load_seconds"] = max(loads)
    told["interaction_ms"] = max(max(took) for took in told["interactions"].values())
    for act, took in told["interactions"].items():
        rows.append([ACTS[act], f"{statistics.median(took):.0f}", f"{max(took):.0f}"])
    report.say(
        f"{LAYERS} x {HEADS} heads, {TOKENS} tokens: the file holds {told['megabytes']:.1f} MB (the page without data "
        f"{told['page_kb']:.0f} KB); three loads, the slowest {told['load_seconds']:.2f} s."
    )
    report.table("From an event to the end of its frame, ms", ["", "median", "slowest of 20"], rows)
    report.numbers["budgets"] = told
    return {name: told[name] for name, limit in BUDGETS.items() if told[name] > limit}


def tell_bertviz(report: Report, browser: Browser, folder: Path, rounds: int) -> None:
    """Open BertViz's pages and ours in turns."""
    from rig.bertviz_pages import fetch_libraries, write_pages

    theirs = write_pages(folder, [made_up(layer, BESIDE).given for layer in range(LAYERS)], words_of(BESIDE))
    ours, sources = write_ours(folder, BESIDE), fetch_libraries(folder)
    pages = {
        "qkv, overview": (ours, "[role=tabpanel]#view=overview", {}, None),
        "BertViz, model view": (theirs["model_view"], "svg", sources, None),
        "qkv, matrix": (ours, "[role=tabpanel]#view=matrix", {}, "hover"),
        "BertViz, head view": (theirs["head_view"], "rect.background", sources, "bertviz"),
    }
    found: dict[str, dict[str, list[float]]] = {name: {"load": [], "hover": []} for name in pages}
    for _ in range(rounds):
        for name, (file, there, given, act) in pages.items():
            with opened(browser, file, there, given) as (page, seconds):
                found[name]["load"].append(seconds)
                found[name]["hover"] += interact(page, act) if act else []
    rows = []
    for name, (file, *_) in pages.items():
        hover = found[name]["hover"]
        told = [f"{statistics.median(hover):.0f}", f"{max(hover):.0f}"] if hover else ["", ""]
        rows.append([name, f"{file.stat().st_size / 1e6:.1f}", f"{statistics.median(found[name]['load']):.2f}", *told])
    head = ["", "file, MB", "load, s", "hover, ms: median", "slowest"]
    report.table(f"{LAYERS} x {HEADS} heads, {BESIDE} tokens, beside BertViz", head, rows)
    report.numbers["beside"] = found


def main() -> int:
    """Measure, print, write, and tell whether every budget is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round; nothing is written")
    options = parser.parse_args()
    report = Report("explorer_page", "The explorer's page")
    report.say_machine(torch.get_num_threads(), "playwright", "bertviz")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        over = tell_budgets(report, browser, folder)
        report.say(f"Over budget: {over}." if over else f"Within every budget: {BUDGETS}.")
        if importlib.util.find_spec("bertviz"):
            tell_bertviz(report, browser, folder, 1 if options.quick else 3)
        browser.close()
    report.write(quick=options.quick)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
