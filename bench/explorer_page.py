"""The explorer's page in Debian's chromium, 144 heads x 512 tokens: its size, its load, its slowest interaction.

The weights are made up (a place to rest, neighbours, and noise of every sharpness). An interaction lasts from the event
to the end of the frame after the one that shows its effect; each is done 20 times, and the slowest counts.
"""

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from playwright.sync_api import Page, sync_playwright

from qkv.inside.condense import choose_stores, condense
from qkv.inside.contents import About, Map
from qkv.inside.page import BUILT, make_page
from qkv.inside.streams import text_stream
from qkv.inside.trace import Trace
from qkv.ops.tiles import Weighed

LAYERS, HEADS, TOKENS, TIMES = 12, 12, 512, 20
BUDGETS = {"megabytes": 8.0, "load_seconds": 3.0, "interaction_ms": 50.0}
FRAMES = """async ([act, times]) => {
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const stage = document.querySelector('[role=application]');
  const key = (name) => (document.activeElement ?? document.body).dispatchEvent(
    new KeyboardEvent('keydown', {key: name, bubbles: true, cancelable: true}));
  const found = [];
  for (let i = 0; i < times; i++) {
    await frame(); await frame();
    const start = performance.now();
    if (act === 'hover') stage.dispatchEvent(new PointerEvent('pointermove', {
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


def made_up(layer: int) -> Weighed:
    """Return weights of one layer."""
    torch.manual_seed(layer)
    apart = (torch.arange(TOKENS)[:, None] - torch.arange(TOKENS)).abs()
    sharp = torch.linspace(0.5, 4, HEADS)[:, None, None]
    scores = torch.randn(HEADS, TOKENS, TOKENS) * sharp - apart / (4 + 20 * torch.rand(HEADS, 1, 1))
    scores[:, :, 0] += 3
    return Weighed(scores.softmax(-1)[None])


def make_trace() -> bytes:
    """Return a trace of all heads."""
    words = [f"word{i % 97}" for i in range(TOKENS)]
    starts = [sum(len(word) + 1 for word in words[:i]) for i in range(TOKENS)]
    spans = [(start, start + len(word)) for start, word in zip(starts, words, strict=True)]
    stream = text_stream("text", " ".join(words), words, spans, [i == 0 for i in range(TOKENS)])
    [store, *_] = choose_stores([(HEADS, TOKENS, TOKENS)] * LAYERS, top=16)
    maps, tensors = [], {}
    for layer in range(LAYERS):
        maps.append(
            Map(
                id=str(layer), layer=layer, kind="self", query="text", key="text", heads=HEADS, kv_heads=HEADS,
                store=store, rows=TOKENS, columns=TOKENS,
            )
        )  # fmt: skip
        found = condense(made_up(layer), store, stream, stream)
        tensors |= {f"{layer}.{name}": x for name, x in found.items()}
    about = About(name="made up", family="bert", parameters=1, random=True)
    trace = Trace(model=about, title="512 words", code="", streams=(stream,), maps=tuple(maps), tensors=tensors)
    return trace.to_bytes()


def load(page: Page, file: Path, view: str) -> float:
    """Open the page, and return the seconds until its view is there."""
    start = time.perf_counter()
    page.goto(f"{file.as_uri()}#view={view}")
    page.get_by_role("tabpanel").wait_for()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return time.perf_counter() - start


def main() -> int:
    """Measure, print, and tell whether every budget is kept."""
    data = make_trace()
    text = make_page(data, title="512 words")
    told: dict[str, object] = {
        "page_kb": BUILT.stat().st_size / 1e3,
        "trace_mb": len(data) / 1e6,
        "megabytes": len(text) / 1e6,
    }
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder, "page.html")
        file.write_text(text, "utf-8")
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        loads = []
        for view in ("matrix", "overview", "matrix"):
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            loads.append(load(page, file, view))
        told["load_seconds"] = max(loads)
        slowest = {}
        for act in ("hover", "[]", ",.", "mean", "views"):
            took = page.evaluate(FRAMES, [act, TIMES])
            slowest[act] = {"median": statistics.median(took), "slowest": max(took)}
        told["interactions"] = slowest
        told["interaction_ms"] = max(one["slowest"] for one in slowest.values())
        browser.close()
    print(json.dumps(told, indent=1))
    over = {name: told[name] for name, limit in BUDGETS.items() if float(str(told[name])) > limit}
    print(f"over budget: {over}" if over else "within every budget")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
