"""What the server answers with: the page, a trace, or a sentence; always with the headers that fence it in."""

import json
import re
from collections.abc import Mapping

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
    """Return a page's own Content-Security-Policy, which names its scripts by their hashes, and keep it out of frames.

    A page without one may run nothing.
    """
    own = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    return f"{own[1]}; frame-ancestors 'none'" if own else NOTHING
