"""Connections that nobody can clog: each must move on, and the idlest makes room for a newcomer.

uvicorn waits without end for a request to begin and for a reader to read, and answers what is no HTTP in plain text.
"""

import asyncio
import json

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 10.0
MOST = 128
NO_HTTP = json.dumps({"error": "This is not a request in HTTP/1.1."}).encode()
NO_HTTP_HEAD = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
)


class Connection(H11Protocol):
    """One client's connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Set the watch; when there are too many, cut the one that was served, or came, longest ago."""
        super().connection_made(transport)
        self._before: tuple[object, int] = (None, 0)
        self._watch = self.loop.call_later(PATIENCE, self._look_after)
        self.since = self.loop.time()
        open_ones = [one for one in self.connections if isinstance(one, Connection) and not one.transport.is_closing()]
        if len(open_ones) > MOST:
            idle = [one for one in open_ones if not one.waits_for_us()]
            min(idle, key=lambda one: one.since).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take the watch away."""
        self._watch.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Note that this client was served just now."""
        self.since = self.loop.time()
        super().on_response_complete()

    def shutdown(self) -> None:
        """End at once: the server ends, and whoever is slow must not keep it."""
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a sentence in JSON, if an answer to something else is not on its way."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(NO_HTTP_HEAD % len(NO_HTTP) + NO_HTTP)
        self.transport.close()

    def waits_for_us(self) -> bool:
        """Whether a whole request has come and everything so far was read by the client."""
        asked = self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body
        return asked and not self.transport.get_write_buffer_size()

    def _look_after(self) -> None:
        """Cut a connection on which nothing has moved since the last time, unless the model is what it waits for.

        The body of a request has its own clock (`app`).
        """
        left = self.transport.get_write_buffer_size()
        now = (self.cycle, left)
        reading = self.cycle is not None and not self.cycle.response_complete and not left
        if now == self._before and not reading:
            self.transport.abort()
            return
        self._before = now
        self._watch = self.loop.call_later(PATIENCE, self._look_after)
