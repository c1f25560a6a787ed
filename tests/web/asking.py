"""Ask the explorer's server: straight through ASGI, or over a socket from a server that runs in a thread."""

import asyncio
import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from qkv.web.serve import Server
from qkv.web.session import Kept, Session

PORT, TOKEN = 8123, "a-token-of-this-run"
NAME = f"127.0.0.1:{PORT}"
POLICY = "default-src 'none'; script-src 'sha256-x='; connect-src 'self'"
PAGE = f'<!doctype html><meta http-equiv="Content-Security-Policy" content="{POLICY}"><title>qkv</title><b>page</b>'
TRACE = b"\x00trace " * 100


class Trace(NamedTuple):
    """A trace as the server knows it: something with bytes."""

    body: bytes

    def to_bytes(self) -> bytes:
        return self.body


def spell(given: Any, options: Any) -> bytes:
    return json.dumps([str(given), options]).encode()


def make_session(
    explain: Callable[..., Any] | None = None, takes: Any = "text", trace: bytes = TRACE, **more: Any
) -> Session:
    """Open a session whose model writes down what it was asked."""

    def write_down(model: Any, given: Any, **options: Any) -> Trace:
        return Trace(spell(given, options))

    return Session("a model", "first", Kept(trace), takes, explain or write_down, **{"ablate": write_down, **more})


class Answer(NamedTuple):
    """A response, its header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str:
        """The sentence of a refusal."""
        content = json.loads(self.body)
        assert list(content) == ["error"] and content["error"], content
        assert self.headers["content-type"] == "application/json"
        return content["error"]


@dataclass
class Client:
    """One request through ASGI: what it sends, and whether it leaves."""

    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    parts: list[bytes]
    sent: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if self.parts:
            part = self.parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self.parts)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def ask(self, app: Any) -> Answer:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": self.headers,
            "server": ("127.0.0.1", PORT),
            "client": ("127.0.0.1", 50000),
        }
        await app(scope, self.receive, self.send)
        start, *rest = self.sent
        headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        assert len(headers) == len(start["headers"]), "a header was sent twice"
        return Answer(start["status"], headers, b"".join(part["body"] for part in rest))


def headers_of(*more: tuple[str, str], kind: str = "application/json") -> list[tuple[bytes, bytes]]:
    """The headers of our own page's fetch, and more."""
    ours = [("host", NAME), ("x-qkv-token", TOKEN), ("content-type", kind), *more]
    return [(name.encode("latin1"), value.encode("latin1")) for name, value in ours]


def ask(app: Any, method: str, path: str, body: bytes = b"", kind: str = "application/json", **more: str) -> Answer:
    """Ask as our own page does."""
    asked = headers_of(*((name.replace("_", "-"), value) for name, value in more.items()), kind=kind)
    return asyncio.run(Client(method, path, asked, [body]).ask(app))


@contextlib.contextmanager
def running(session: Session | None = None) -> Iterator[Server]:
    """A real server in a thread, on a free port."""
    server = Server(session or make_session(), PAGE)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive(), "the server did not end"


def request(
    server: Server, method: str = "GET", path: str = "/api/trace", body: bytes = b"", kind: str = "application/json"
) -> bytes:
    """Spell a request as our own page sends it, to be the last on its connection."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nX-QKV-Token: {server.token}\r\n"
    return f"{head}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def exchange(server: Server, data: bytes, patience: float = 0.03) -> bytes:
    """Send bytes and return all that comes back; if nothing does for a while, say that no more will come."""
    with connect(server) as client, contextlib.suppress(ConnectionError):
        client.sendall(data)
        if not select.select([client], [], [], patience)[0]:
            client.shutdown(socket.SHUT_WR)
        return hear(client)
    return b""


def hear(client: socket.socket) -> bytes:
    """Return what comes until the server closes."""
    heard = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(65536):
            heard += part
    return heard


def parse(heard: bytes) -> Answer:
    head, _, body = heard.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
    return Answer(int(first.split()[1]), headers, body)


def wait_until(done: Callable[[], Any], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)
