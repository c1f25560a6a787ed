"""The explorer's server: the page, its trace, and two wishes to the model. There is nothing else to ask for."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from qkv.base.errors import QkvError
from qkv.web import guard
from qkv.web.answers import page_policy, send, tell
from qkv.web.session import Kept, Session
from qkv.web.wishes import Ablation, Look, read_wish

T = TypeVar("T")
MOST_JSON = 256 * 1024
MOST_PICTURE = 20 * 1024 * 1024
BODY_SECONDS = 30.0
RETRY_SECONDS = "2"
TRACE = "application/octet-stream"
HTML = "text/html; charset=utf-8"


def make_app(session: Session, *, port: int, token: str, page: str) -> Starlette:
    """Build the server of one session; `port` is where it will be asked, `page` the HTML that asks."""
    front, policy = Kept(page.encode()), page_policy(page)

    async def root(request: Request) -> Response:
        return send(request, front, HTML, policy)

    async def trace(request: Request) -> Response:
        return send(request, session.trace, TRACE)

    async def look(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind.startswith("image/"):
            picture = await _read_body(request, MOST_PICTURE)
            return await _run(request, session, lambda: session.look_at(picture))
        wish = await _read_json(request, Look)
        return await _run(request, session, lambda: session.look(wish))

    async def ablate(request: Request) -> Response:
        wish = await _read_json(request, Ablation)
        return await _run(request, session, lambda: session.switch_off(wish))

    routes = [
        Route("/", root, methods=["GET"]),
        Route("/api/trace", trace, methods=["GET"]),
        Route("/api/look", look, methods=["POST"]),
        Route("/api/ablate", ablate, methods=["POST"]),
    ]
    handlers = {HTTPException: _on_refusal, QkvError: _on_mistake, Exception: _on_fault}
    app = Starlette(routes=routes, middleware=[Middleware(_Door, port=port, token=token)], exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


class _Door:
    """Lets pass what `guard` does not refuse, before anything of a request is read but its headers."""

    def __init__(self, app: ASGIApp, port: int, token: str) -> None:
        self.app, self.port, self.token = app, port, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = guard.refuse(scope["path"], scope["headers"], port=self.port, token=self.token)
        await (tell(*refusal) if refusal else self.app)(scope, receive, send)


async def _read_json(request: Request, kind: type[T]) -> T:
    """Read a wish from the body."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(
            415, "Send JSON (Content-Type: application/json) or, to be looked at, a picture (image/png)."
        )
    return read_wish(kind, await _read_body(request, MOST_JSON))


async def _read_body(request: Request, most: int) -> bytes:
    """Read a body within a limit of size and time; what is too large is read to its end, and not kept.

    A browser reads our answer only after it has sent everything.
    """
    body, size, more = bytearray(), 0, True
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise HTTPException(400, "The request broke off.")
                part, more = message.get("body", b""), message.get("more_body", False)
                size += len(part)
                if size <= most:
                    body += part
    except TimeoutError:
        raise HTTPException(408, f"The request did not arrive within {BODY_SECONDS:g} seconds.") from None
    if size > most:
        raise HTTPException(413, f"The request has {size:,} bytes; {most:,} are allowed.")
    return bytes(body)


async def _run(request: Request, session: Session, job: Callable[[], Kept]) -> Response:
    """Wait in line for the model and answer with a trace; a client that leaves gives up its place."""
    queued = session.line.join(job)
    if queued is None:
        raise HTTPException(503, "The model is busy and the line is full: try again.", {"Retry-After": RETRY_SECONDS})
    run = asyncio.wrap_future(queued)
    left = asyncio.ensure_future(request.receive())
    await asyncio.wait({run, left}, return_when=asyncio.FIRST_COMPLETED)
    left.cancel()
    if not run.done():
        run.cancel()
        return Response(status_code=400)  # to nobody
    return send(request, run.result(), TRACE)


async def _on_refusal(request: Request, error: HTTPException) -> Response:
    sentences = {
        404: "There is nothing here: the page is at /, its data under /api.",
        405: f"{request.method[:20]} is not possible here; see the header Allow.",
    }
    return tell(error.status_code, sentences.get(error.status_code, error.detail), error.headers)


async def _on_mistake(request: Request, error: QkvError) -> Response:
    return tell(400, str(error))


async def _on_fault(request: Request, error: Exception) -> Response:
    """Answer for a fault of ours; the server writes its traceback to the terminal."""
    return tell(500, f"qkv itself failed ({type(error).__name__}); the terminal where it runs shows how.")
