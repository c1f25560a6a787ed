"""A server from its start to Ctrl-C."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from contextlib import closing

import pytest

from qkv.base.errors import ConfigError, UnsupportedError
from qkv.web.serve import Server, listen
from web.asking import PAGE, exchange, make_session, parse, request, running

SCRIPT = """
import time
from qkv.web.serve import Server
from qkv.web.session import Kept, Session

def explain(model, given, **options):
    for _ in range(60_000):
        time.sleep(0.001)

server = Server(Session(None, "a", Kept(b"trace"), "text", explain), "page")
print(server.port, server.token, flush=True)
server.run()
print("ended", flush=True)
"""


def test_the_address_carries_a_token_that_no_request_shows():
    with running() as server, running() as other:
        assert re.fullmatch(rf"http://127\.0\.0\.1:{server.port}/#token=[\w-]{{43}}", server.address)
        assert server.token != other.token
        assert parse(exchange(server, request(server))).status == 200
        assert (
            parse(exchange(server, request(server).replace(server.token.encode(), other.token.encode()))).status == 403
        )


def test_the_headers_of_the_machinery_stay_away():
    with running() as server:
        assert "server" not in parse(exchange(server, request(server))).headers


def test_a_port_that_is_taken_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"^Port {port} is taken by another program: choose another.*\.$"):
            Server(make_session(), PAGE, port=port)
    for port in (-1, 65536):
        with pytest.raises(ConfigError, match=f"no port {port}"):
            listen(port)


def test_a_missing_extra_is_told_with_its_line(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("qkv.web.") and name != "qkv.web.serve"]:
        monkeypatch.delitem(sys.modules, name)
    for package in ("uvicorn", "starlette"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            patch.setitem(sys.modules, f"{package}.applications", None)
            with pytest.raises(UnsupportedError, match=r'pip install "qkv\[web\]"'):
                Server(make_session(), PAGE)


def test_the_browser_is_opened_when_asked(monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    server = Server(make_session(), PAGE)
    server.stop()
    server.run(open_browser=True)
    assert opened == [server.address]
    with socket.create_server(("127.0.0.1", server.port)):
        pass  # the port is free again


def test_it_runs_where_a_loop_runs_already_as_in_a_notebook():
    server = Server(make_session(), PAGE)
    answers = []

    def visit():
        answers.append(parse(exchange(server, request(server))).status)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)  # the cell is interrupted; this thread is told

    async def cell():
        visitor = threading.Thread(target=visit)
        visitor.start()
        server.run()
        visitor.join()

    with closing(asyncio.new_event_loop()) as loop:  # `asyncio.run` would take the signal for itself
        loop.run_until_complete(cell())
    assert answers == [200]


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in a run of a minute"])
def test_ctrl_c_ends_it_at_once_and_without_a_word(busy):
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        port, token = process.stdout.readline().split()
        with socket.create_connection(("127.0.0.1", int(port)), 10) as client:
            head = f"POST /api/look HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-QKV-Token: {token}\r\n"
            body = '{"text": "a"}' if busy else "{}"
            client.sendall(
                f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            if busy:
                time.sleep(0.5)
            else:
                assert client.recv(100)  # it runs, and has answered
            os.kill(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=20)
            assert (out, err, process.returncode) == ("ended\n", "", 0)
    finally:
        process.kill()
        process.wait()
