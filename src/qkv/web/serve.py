"""Open the explorer's server on this machine, for this user, until Ctrl-C."""

import asyncio
import errno
import secrets
import socket
import webbrowser
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

from qkv.base.errors import ConfigError, UnsupportedError
from qkv.web.guard import LOOPBACK
from qkv.web.session import Session


class Server:
    """A server that listens from the start; print its `address`, then `run` it.

    page: the HTML that asks (`qkv.inside.page.serve_page`). port: 0 for any that is free. Raises ConfigError for a port
    that is taken or forbidden, UnsupportedError without the packages of `qkv[web]`.
    """

    def __init__(self, session: Session, page: str, *, port: int = 0) -> None:
        try:
            import uvicorn

            from qkv.web.app import make_app
            from qkv.web.connections import Connection
        except ModuleNotFoundError as error:
            raise UnsupportedError('The explorer needs Starlette and uvicorn: pip install "qkv[web]"') from error
        self._session = session
        self._socket = listen(port)
        self.port: int = self._socket.getsockname()[1]
        self.token = secrets.token_urlsafe(32)
        app = make_app(session, port=self.port, token=self.token, page=page)
        silent: dict[str, Any] = {"log_config": None, "log_level": "error", "access_log": False, "server_header": False}
        plain: dict[str, Any] = {"loop": "asyncio", "ws": "none", "lifespan": "off", "proxy_headers": False}
        self._server = uvicorn.Server(uvicorn.Config(app, http=Connection, workers=1, **silent, **plain))

    @property
    def address(self) -> str:
        """Where to open the page. The token behind # stays in the browser: it is in no request's line."""
        return f"http://{LOOPBACK}:{self.port}/#token={self.token}"

    def run(self, *, open_browser: bool = False) -> None:
        """Serve until Ctrl-C or `stop`; in a notebook, until its cell is interrupted.

        open_browser: the address, token and all, is then an argument of the browser's process, which other users of a
        shared machine may see while it starts.
        """
        if open_browser:
            webbrowser.open(self.address)
        try:
            with suppress(KeyboardInterrupt):
                self._serve()
        finally:
            self._socket.close()
            self._session.line.close()

    def _serve(self) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._server.run(sockets=[self._socket])
        # A notebook runs a loop already, and a thread can run one only.
        with ThreadPoolExecutor(1) as beside:
            running = beside.submit(self._server.run, sockets=[self._socket])
            try:
                while not wait([running], timeout=0.1).done:
                    pass  # an endless wait is not woken by a signal that another thread received
            finally:
                self.stop()
        running.result()

    def stop(self) -> None:
        """Let `run`, in another thread, come to its end."""
        self._server.should_exit = True


def listen(port: int) -> socket.socket:
    """Return a socket that listens on the loopback address alone."""
    if not 0 <= port <= 65535:
        raise ConfigError(f"There is no port {port}: choose one from 1024 to 65535, or 0 for any that is free.")
    try:
        return socket.create_server((LOOPBACK, port), backlog=256)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "is taken by another program" if taken else f"cannot be opened ({error.strerror})"
        raise ConfigError(f"Port {port} {why}: choose another, or 0 for any that is free.") from error
