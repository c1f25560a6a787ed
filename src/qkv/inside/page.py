"""The explorer's page with a trace inside it: one HTML text that needs no network and no server.

`page.html` is built from `page/` and holds its own Content-Security-Policy: no script runs but the one it was built
with, and nothing is fetched. What comes from users (tokens, labels, file names) goes in as base64 that the page unpacks
and shows as text; the title alone is markup, escaped.
"""

import base64
import gzip
import html
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from qkv.base import files
from qkv.base.errors import QkvError

Host = Literal["file", "notebook", "server"]
BUILT = Path(__file__).with_name("page.html")
PLACE, TITLE, POLICY = "<!--qkv:data-->", "<title>qkv</title>", "default-src 'none';"


def make_page(trace: bytes, *, title: str, host: Host = "file") -> str:
    """Return a page that shows a trace (`Trace.to_bytes`): to be saved as a file, or for `frame`."""
    packed = base64.b64encode(gzip.compress(trace, mtime=0)).decode()
    data = f'<script type="application/octet-stream;base64" id="trace">{packed}</script>\n'
    return _fill(host, data, title)


def serve_page() -> str:
    """Return the page without data, which asks the server that it comes from, and no other."""
    return _fill("server", "", "qkv explore").replace(POLICY, f"{POLICY} connect-src 'self';", 1)


def frame(page: str, *, height: int = 760) -> str:
    """Return a page as part of a notebook: it can reach neither the notebook nor its storage."""
    return (
        f'<iframe srcdoc="{html.escape(page)}" title="qkv: what the model looked at" width="100%" height="{height}" '
        'sandbox="allow-scripts allow-downloads" allow="clipboard-write" '
        'style="border: 1px solid #8884; border-radius: 6px"></iframe>'
    )


@dataclass(frozen=True, slots=True)
class Page:
    """A trace in its page: shown by a notebook, or saved as a file that needs nothing else."""

    trace: bytes = field(repr=False)
    title: str

    def save(self, path: Path | str) -> None:
        """Write one HTML file."""
        files.write_text(Path(path), make_page(self.trace, title=self.title))

    def _repr_html_(self) -> str:
        return frame(make_page(self.trace, title=self.title, host="notebook"))


def _fill(host: Host, data: str, title: str) -> str:
    built = BUILT.read_text(encoding="utf-8")
    if [built.count(mark) for mark in (PLACE, TITLE, POLICY)] != [1, 1, 1]:
        raise QkvError(f"{BUILT} is no page that was built for this qkv: install qkv again.")
    told = json.dumps({"kind": host}).replace("<", "\\u003c")
    scripts = f'{data}<script type="application/json" id="host">{told}</script>'
    return built.replace(TITLE, f"<title>{html.escape(title)}</title>").replace(PLACE, scripts)
