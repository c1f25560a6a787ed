"""One run at a time, eight who wait, a 503 for the next, and places that are given up."""

import asyncio
import threading
import time

import pytest

from qkv.web.app import make_app
from qkv.web.line import PLACES, Line
from web.asking import PAGE, PORT, TOKEN, Client, Trace, headers_of, make_session, wait_until


class Slow:
    """A model that runs for as long as the test wants, and counts who is in it."""

    def __init__(self):
        self.go, self.seen, self.inside, self.most = threading.Event(), [], 0, 0
        self.threads = set()

    def __call__(self, model, given, **options):
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.threads.add(threading.get_ident())
        self.seen.append(given)
        assert self.go.wait(10)
        self.inside -= 1
        return Trace(given.encode())


@pytest.fixture
def slow():
    model = Slow()
    yield model
    model.go.set()


def start(app, text):
    """Ask in the background; return the client, who may leave, and the task."""
    client = Client("POST", "/api/look", headers_of(), [f'{{"text": "{text}"}}'.encode()])
    return client, asyncio.ensure_future(client.ask(app))


async def settle():
    for _ in range(20):
        await asyncio.sleep(0.001)


def test_the_tenth_is_told_to_come_back(slow):
    async def story():
        app = make_app(make_session(slow), port=PORT, token=TOKEN, page=PAGE)
        asked = [start(app, i)[1] for i in range(1 + PLACES)]
        await settle()
        answer = await start(app, "one too many")[1]
        assert (answer.status, answer.headers["retry-after"]) == (503, "2") and "full" in answer.error
        page = await Client("GET", "/api/trace", headers_of(), [b""]).ask(app)
        assert page.status == 200  # what needs no model does not wait
        slow.go.set()
        assert [(await one).body for one in asked] == [b"%d" % i for i in range(9)]
        assert (await start(app, "later")[1]).body == b"later"

    asyncio.run(story())
    assert slow.most == 1 and len(slow.threads) == 1 and slow.threads != {threading.get_ident()}
    assert slow.seen == [*map(str, range(9)), "later"]


def test_a_client_that_leaves_frees_its_place_and_is_never_run(slow):
    async def story():
        app = make_app(make_session(slow), port=PORT, token=TOKEN, page=PAGE)
        asked = [start(app, i) for i in range(1 + PLACES)]
        await settle()
        asked[3][0].gone.set()
        await settle()
        assert (await asked[3][1]).body == b""
        taken = start(app, "in its place")[1]
        await settle()
        assert (await start(app, "one too many")[1]).status == 503
        slow.go.set()
        assert (await taken).body == b"in its place"

    asyncio.run(story())
    assert "3" not in slow.seen and "one too many" not in slow.seen


def test_a_client_that_leaves_a_run_does_not_let_a_second_one_start(slow):
    async def story():
        app = make_app(make_session(slow), port=PORT, token=TOKEN, page=PAGE)
        first, running = start(app, "first")
        await settle()
        first.gone.set()
        await running
        second = start(app, "second")[1]
        await settle()
        assert slow.seen == ["first"]
        slow.go.set()
        assert (await second).body == b"second"

    asyncio.run(story())
    assert slow.most == 1


def test_a_line_that_frees_no_place_is_found(slow, monkeypatch):
    """The control: without the watch for those who leave, the test above fails."""

    async def never(client):
        await asyncio.sleep(0 if client.parts else 60)
        return {"type": "http.request", "body": client.parts.pop(0), "more_body": False}

    monkeypatch.setattr(Client, "receive", never)
    with pytest.raises(TimeoutError):

        async def story():
            app = make_app(make_session(slow), port=PORT, token=TOKEN, page=PAGE)
            client, asked = start(app, "a")
            await settle()
            client.gone.set()
            await asyncio.wait_for(asked, 0.2)

        asyncio.run(story())


def test_closing_breaks_off_a_run():
    line, done = Line(), []

    def run():
        for i in range(10_000):
            done.append(i)
            time.sleep(0.001)

    running, waiting = line.join(run), line.join(run)
    assert running and waiting
    wait_until(lambda: done)
    line.close()
    assert waiting.cancelled() and isinstance(running.exception(), SystemExit)
    assert len(done) < 10_000
