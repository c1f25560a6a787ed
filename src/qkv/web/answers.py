"""What the server answers with: the page, a trace, or a sentence; always with the headers that fence it in."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser

from starlette.requests import Request
from starlette.responses import Response

from qkv.web.session import Kept

NOTHING = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
FENCE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def tell(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with {"error": sentence} and close the connection: what else was sent on it is not read."""
    body = json.dumps({"error": sentence}).replace("<", "\\u003c")
    more = {"Content-Security-Policy": NOTHING, "Cache-Control": "no-store", "Connection": "close"}
    return Response(body, status, {**FENCE, **more, **(headers or {})}, "application/json")


def send(request: Request, kept: Kept, kind: str, policy: str = NOTHING) -> Response:
    """Answer with kept bytes, or with 304 to a browser that has them."""
    headers = FENCE | {"Content-Security-Policy": policy, "Cache-Control": "private, no-cache", "ETag": kept.etag}
    if request.method in ("GET", "HEAD") and kept.etag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    return Response(kept.body, 200, headers | {"Content-Type": kind})


def page_policy(page: str) -> str:
    """Return the Content-Security-Policy of a page: its own scripts and styles, by their SHA-256, and this server.

    A page that names its scripts itself, in a policy of its own, knows one more: the one that it unpacks.
    """
    inline = _Inline()
    inline.feed(page)
    inline.close()
    scripts, styles = (" ".join(map(_digest, inline.found[tag])) or "'none'" for tag in ("script", "style"))
    if named := re.search(
        r"<meta http-equiv=\"Content-Security-Policy\"[^>]* script-src ((?:'sha256-[\w+/=]+' ?)+);", page
    ):
        scripts = named[1]
    allowed = f"script-src {scripts}; style-src {styles}; img-src data: blob:; connect-src 'self'"
    return f"{NOTHING}; {allowed}"


def _digest(text: str) -> str:
    """Spell a hash as the policy wants it; browsers hash the text with its line ends made one character."""
    plain = text.replace("\r\n", "\n").replace("\r", "\n").encode()
    return f"'sha256-{base64.b64encode(hashlib.sha256(plain).digest()).decode()}'"


class _Inline(HTMLParser):
    """Collects the text of each script and style of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: dict[str, list[str]] = {"script": [], "style": []}
        self._inside: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.found:
            self.found[tag].append("")
            self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[self._inside][-1] += data
