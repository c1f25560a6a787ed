"""The page as the real server serves it: under its policy, with its token, in a browser."""

import json
import threading

import pytest
from playwright.sync_api import expect

from page.specimen import sentence
from qkv.inside.page import serve_page
from qkv.web.serve import Server
from qkv.web.session import Kept, Session


class Answered:
    """What stands for a trace that was just made."""

    def __init__(self, given):
        self.given = given

    def to_bytes(self):
        return sentence(layers=1, heads=5)


@pytest.fixture
def served():
    asked = []

    def explain(model, given, **options):
        asked.append((given, options))
        return Answered(given)

    server = Server(Session("a model", "first", Kept(sentence()), "text", explain, explain), serve_page())
    thread = threading.Thread(target=server.run)
    thread.start()
    yield server, asked
    server.stop()
    thread.join(20)


def open_page(browser, address, troubles):
    page = browser.new_page()
    page.set_default_timeout(10_000)
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on("console", lambda said: troubles.append(said.text) if said.type in ("error", "warning") else None)
    page.goto(address)
    return page


def test_the_page_shows_the_trace_of_its_server_and_asks_for_another(browser, troubles, served):
    server, asked = served
    page = open_page(browser, f"{server.address}&view=switch-off", troubles)
    page.get_by_role("button", name="layer 1, head 0").click()
    page.get_by_role("button", name="Run without them").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.wait_for_function(
        "() => performance.getEntriesByType('resource').some(one => one.name.endsWith('/api/ablate'))"
    )
    answer = page.evaluate(
        """async token => {
            const headers = {"X-QKV-Token": token, "Content-Type": "application/json"};
            const answer = await fetch("/api/look", {method: "POST", headers, body: JSON.stringify({text: "a cat"})});
            return [answer.status, (await answer.arrayBuffer()).byteLength];
        }""",
        server.token,
    )
    assert answer == [200, len(sentence(layers=1, heads=5))]
    assert asked == [("first", {"off": ((1, 0),), "hidden": ()}), ("a cat", {})]
    page.close()


def test_a_page_without_the_token_says_what_to_do(browser, served):
    server, _ = served
    page = open_page(browser, f"http://127.0.0.1:{server.port}/", [])
    expect(page.locator("body")).to_contain_text("open the address that the program printed")
    page.close()


def test_another_page_reaches_nothing(browser, served):
    server, _ = served
    page = browser.new_page()
    page.route("http://other.example/", lambda route: route.fulfill(body="<p>other</p>", content_type="text/html"))
    page.goto("http://other.example/")
    asked = """async ([url, token, mode]) => {
        try { return (await fetch(url, {mode, headers: mode == "cors" ? {"X-QKV-Token": token} : {}})).type }
        catch { return "refused" }
    }"""
    url = f"http://127.0.0.1:{server.port}/api/trace"
    assert page.evaluate(asked, [url, server.token, "cors"]) == "refused"
    assert page.evaluate(asked, [url, server.token, "no-cors"]) in ("refused", "opaque")
    page.evaluate(
        "url => { document.body.append(Object.assign(document.createElement('iframe'), {src: url})) }", server.address
    )
    frame = page.frames[-1]
    page.wait_for_timeout(300)
    assert json.dumps("What") not in frame.content() and "token" not in frame.url
    page.close()
