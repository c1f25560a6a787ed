"""Malformed requests to a real server: a JSON 4xx or a clean close, never a traceback, never a 500."""

import json
import logging
import time

import pytest

from qkv.web import app, wishes
from qkv.web.session import Session
from web.asking import exchange, make_session, parse, request, running
from web.malformed import Requests

TODAY, BEFORE_A_RELEASE = range(500), range(500, 10_500)
TOO_LONG = 2.0  # seconds of work; one that waits in vain ends with a TimeoutError


def sessions() -> tuple[Session, Session]:
    return make_session(), make_session(takes="picture")


def faults(numbers, log):
    """Send each request to a server of texts or, if it is a picture, of pictures; list what was answered wrongly."""
    found = []
    texts, pictures = sessions()
    with running(texts) as reads, running(pictures) as views:
        ours = Requests(reads.port, reads.token), Requests(views.port, views.token)
        for number in numbers:
            picture = ours[0].kinds[number % len(ours[0].kinds)] == ours[0].bad_picture
            start = time.process_time()
            heard = exchange(views if picture else reads, ours[picture].make(number))
            if why := wrong(heard) or ("slow" if time.process_time() - start > TOO_LONG else ""):
                found.append((number, why, heard[:200]))
        assert parse(exchange(reads, request(reads))).status == 200  # it still serves
    found += [(record.levelname, record.getMessage()) for record in log.records if record.levelno >= logging.WARNING]
    return found


def wrong(heard: bytes) -> str:
    """Say what is wrong with an answer; a connection that was closed without one is well."""
    if not heard:
        return ""
    for part in heard.split(b"HTTP/1.1 ")[1:]:
        answer = parse(b"HTTP/1.1 " + part)
        if not 400 <= answer.status < 500:
            return f"status {answer.status}"
        if list(json.loads(answer.body)) != ["error"] or answer.headers["content-type"] != "application/json":
            return "no sentence"
        if "Traceback" in answer.body.decode():
            return "a traceback"
    return ""


def test_500_malformed_requests(caplog):
    assert faults(TODAY, caplog) == []


@pytest.mark.slow
def test_10_000_malformed_requests(caplog):
    assert faults(BEFORE_A_RELEASE, caplog) == []


def test_a_reader_that_trusts_is_found(caplog, monkeypatch):
    """The control."""
    monkeypatch.setattr(app, "read_wish", lambda kind, body: kind(**json.loads(body)))
    found = faults(range(100), caplog)
    assert any("status 500" in one for one in found) and any(one[0] == "ERROR" for one in found)


def test_numbers_that_are_not_checked_are_found(caplog, monkeypatch):
    """Another control: what is let through is answered with 200."""
    monkeypatch.setattr(wishes, "_check_numbers", lambda wish: None)
    assert any("status 200" in one for one in faults(range(2, 340, 17), caplog))
