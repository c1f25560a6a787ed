"""Slow clients on a real server: each is cut off in the end, and none keeps others out."""

import contextlib
import socket
import threading
import time

import pytest

from qkv.web import app, connections
from web.asking import TRACE, Trace, connect, exchange, hear, make_session, parse, request, running, wait_until

PATIENCE = 0.25


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE", PATIENCE)
    monkeypatch.setattr(app, "BODY_SECONDS", PATIENCE)


def is_served(server):
    answer = parse(exchange(server, request(server)))  # in time, or a TimeoutError
    return (answer.status, answer.body) == (200, TRACE)


def trickle(client, data, closed):
    """Send one byte after another until the server has had enough."""
    with contextlib.suppress(OSError):
        for byte in data:
            client.sendall(bytes([byte]))
            time.sleep(0.02)
        closed.wait(10)


@pytest.mark.parametrize(
    "head", [b"", b"GET /api/trace HTTP/1.1\r\nX-Slow: " + b"a" * 10_000], ids=["silent", "trickling"]
)
def test_a_client_that_never_finishes_its_head_is_cut_off(head):
    with running() as server, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(server)) for _ in range(20)]
        closed = threading.Event()
        senders = [threading.Thread(target=trickle, args=(client, head, closed)) for client in slow]
        for sender in senders:
            sender.start()
        assert is_served(server)
        assert [hear(client) for client in slow] == [b""] * 20
        closed.set()
        for sender in senders:
            sender.join()
        assert is_served(server)


def test_a_body_that_trickles_is_refused():
    with running() as server, connect(server) as slow:
        whole = request(server, "POST", "/api/look", b"x" * 1000)
        slow.sendall(whole[:-990])
        closed = threading.Event()
        sender = threading.Thread(target=trickle, args=(slow, b"x" * 900, closed))
        sender.start()
        assert is_served(server)
        answer = parse(hear(slow))
        assert answer.status == 408 and "did not arrive" in answer.error
        closed.set()
        sender.join()


def test_a_reader_that_does_not_read_is_cut_off_and_a_slow_one_is_not(monkeypatch):
    large = bytes(30_000_000)
    session = make_session(trace=large)
    with running(session) as server, connect(server) as deaf, connect(server) as slow:
        for client in (deaf, slow):
            client.sendall(request(server).replace(b"Connection: close\r\n", b""))
        heard = 0
        for _ in range(12):  # longer than our patience
            heard += len(slow.recv(2_000_000))
            time.sleep(PATIENCE / 3)
        while heard < len(large) and (part := slow.recv(2_000_000)):
            heard += len(part)
        assert heard > len(large)
        wait_until(lambda: not server._server.server_state.connections)
        assert len(hear(deaf)) < len(large)


def test_readers_that_do_not_read_cannot_queue_answers():
    with running(make_session(trace=bytes(8_000_000))) as server, connect(server) as deaf:
        deaf.sendall(request(server).replace(b"Connection: close\r\n", b"") * 50)
        wait_until(lambda: server._server.server_state.connections)
        wait_until(lambda: not server._server.server_state.connections)


def test_the_idlest_makes_room(monkeypatch):
    monkeypatch.setattr(connections, "MOST", 8)
    monkeypatch.setattr(connections, "PATIENCE", 60.0)
    go = threading.Event()

    def explain(model, given, **options):
        assert go.wait(10)
        return Trace(b"done")

    session = make_session(explain)
    with running(session) as server, contextlib.ExitStack() as stack:
        patient = stack.enter_context(connect(server))
        patient.sendall(request(server, "POST", "/api/look", b'{"text": "a"}'))
        wait_until(lambda: session.line._runner)
        idle = [stack.enter_context(connect(server)) for _ in range(30)]
        assert is_served(server)
        assert hear(idle[0]) == b""
        assert len(server._server.server_state.connections) <= 8
        go.set()
        assert parse(hear(patient)).body == b"done"  # it waited for us, not we for it


def test_silence_would_last_without_the_watch(monkeypatch):
    """The control: what uvicorn does by itself fails the first test."""
    monkeypatch.setattr(connections.Connection, "_look_after", lambda self: None)
    with running() as server, connect(server) as slow:
        slow.settimeout(4 * PATIENCE)
        with pytest.raises(TimeoutError):
            slow.recv(1)


def test_a_client_that_leaves_over_the_network_frees_its_place():
    go, seen = threading.Event(), []

    def explain(model, given, **options):
        seen.append(given)
        assert go.wait(10)
        return Trace(given.encode())

    session = make_session(explain)
    with running(session) as server, contextlib.ExitStack() as stack:
        clients = []
        for i in range(9):
            clients.append(stack.enter_context(connect(server)))
            clients[-1].sendall(request(server, "POST", "/api/look", b'{"text": "%d"}' % i))
            wait_until(lambda n=i + 1: len(session.line._jobs) == n)
        one_more = request(server, "POST", "/api/look", b'{"text": "more"}')
        full = parse(exchange_open(server, one_more))
        assert (full.status, full.headers["retry-after"]) == (503, "2")
        clients[4].close()
        wait_until(lambda: any(job.cancelled() for job in session.line._jobs))
        last = stack.enter_context(connect(server))
        last.sendall(one_more)
        wait_until(lambda: sum(not job.done() for job in session.line._jobs) == 9)
        go.set()
        assert parse(hear(last)).body == b"more"
        assert "4" not in seen


def exchange_open(server, data):
    """Exchange without closing our side, which would mean that we left."""
    with connect(server) as client:
        client.sendall(data)
        return hear(client)


def test_what_is_not_http_gets_a_sentence_even_in_the_middle_of_something():
    with running() as server:
        assert parse(exchange(server, b"\x16\x03\x01 hello\r\n\r\n")).error.startswith("This is not a request")
        chunked = request(server, "POST", "/api/look").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        heard = exchange(server, chunked + b"zz\r\n")
        assert heard == b"" or parse(heard).status == 400
        twice = exchange(server, request(server).replace(b"Connection: close\r\n", b"") + b"rubbish\r\n\r\n")
        assert twice.count(b"HTTP/1.1 ") == 2 and twice.startswith(b"HTTP/1.1 200") and b"HTTP/1.1 400" in twice


def test_nothing_but_the_loopback_address_is_bound():
    with running() as server:
        assert server._socket.getsockname()[0] == "127.0.0.1"
        for family, address in ((socket.AF_INET, "127.0.0.2"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as other, pytest.raises(OSError):
                other.settimeout(0.5)
                other.connect((address, server.port))
