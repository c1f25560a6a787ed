"""The whole grid of Host, Origin, method and Sec-Fetch-Site, on every route, with the token and without."""

import asyncio
import hmac
import itertools

import pytest

from qkv.web import guard
from qkv.web.app import make_app
from web.asking import NAME, PAGE, PORT, TOKEN, Client, make_session

OURS = f"http://{NAME}"
HOSTS = {  # name -> the Host headers, and whether they are ours
    "ours": ([NAME], True),
    "ours as localhost": ([f"localhost:{PORT}"], True),
    "other port": ([f"127.0.0.1:{PORT + 1}"], False),
    "no port": (["127.0.0.1"], False),
    "a site": (["evil.example"], False),
    "rebound": ([f"evil.example:{PORT}"], False),
    "a longer name": ([f"127.0.0.1:{PORT}.evil.example"], False),
    "IPv6": ([f"[::1]:{PORT}"], False),
    "missing": ([], False),
    "twice": ([NAME, NAME], False),
}
ORIGINS = {  # name -> the Origin headers
    "none": [],
    "ours": [OURS],
    "ours as localhost": [f"http://localhost:{PORT}"],
    "null": ["null"],
    "other port": [f"http://127.0.0.1:{PORT + 1}"],
    "other scheme": [f"https://{NAME}"],
    "foreign": ["https://evil.example"],
    "twice": [OURS, OURS],
}
METHODS = ("GET", "HEAD", "POST", "PUT", "OPTIONS")
SITES = (None, "same-origin", "none", "cross-site", "same-site")  # the four that browsers send, or none at all
ROUTES = {"/": ("GET", "HEAD"), "/api/trace": ("GET", "HEAD"), "/api/look": ("POST",), "/api/elsewhere": ()}
GRID = list(itertools.product(HOSTS, ORIGINS, METHODS, SITES))


def expected(route, host, origin, method, site, token):
    """The table: what each combination gets."""
    if not HOSTS[host][1]:
        return 421
    same = {"ours": "ours", "ours as localhost": "ours as localhost"}.get(origin)
    if origin != "none" and same != host:
        return 403
    if site not in (None, "same-origin") and not (site == "none" and route == "/"):
        return 403
    if route != "/" and not token:
        return 403
    if route == "/api/elsewhere":
        return 404
    return 200 if method in ROUTES[route] else 405


def differences(route, token):
    """Ask for every combination; list those that the table does not say."""
    app = make_app(make_session(), port=PORT, token=TOKEN, page=PAGE)

    async def ask_all():
        found = []
        for host, origin, method, site in GRID:
            sent = [("host", name) for name in HOSTS[host][0]] + [("origin", name) for name in ORIGINS[origin]]
            sent += [("sec-fetch-site", site)] if site else []
            sent += [("x-qkv-token", TOKEN)] if token else []
            sent += [("content-type", "application/json")]
            client = Client(method, route, [(k.encode(), v.encode()) for k, v in sent], [b'{"text": "a"}'])
            answer = await client.ask(app)
            cors = [name for name in answer.headers if name.startswith("access-control")]
            if answer.status != expected(route, host, origin, method, site, token) or cors:
                found.append((host, origin, method, site, answer.status, *cors))
            if answer.status >= 400:
                assert answer.error
        return found

    return asyncio.run(ask_all())


def test_the_grid_is_as_large_as_promised():
    assert len(HOSTS) == 10 and len(ORIGINS) == 8 and len(METHODS) == 5 and len(SITES) == 4 + 1
    assert len(GRID) == 1600 + 400


@pytest.mark.parametrize("token", [True, False], ids=["with the token", "without"])
@pytest.mark.parametrize("route", ROUTES)
def test_every_combination_is_answered_as_the_table_says(route, token):
    assert differences(route, token) == []


@pytest.mark.parametrize("check", ["right_host", "right_origin", "right_site", "right_token"])
def test_the_grid_finds_a_check_that_is_turned_off(monkeypatch, check):
    monkeypatch.setattr(guard, check, lambda *args, **more: True)
    if check == "right_host":  # a request without a Host has none to compare an Origin with
        monkeypatch.setattr(guard, "right_origin", lambda origins, host: True)
        monkeypatch.setitem(HOSTS, "missing", ([""], False))
    assert differences("/api/trace", check != "right_token")


@pytest.mark.parametrize("tokens", [[], [""], [TOKEN, TOKEN], [TOKEN[:-1]], [TOKEN + "x"], [TOKEN.upper()], ["\xe9"]])
def test_a_token_that_is_not_this_runs_is_refused(tokens):
    headers = [(b"host", NAME.encode()), *((b"x-qkv-token", token.encode("latin1")) for token in tokens)]
    refusal = guard.refuse("/api/trace", headers, port=PORT, token=TOKEN)
    assert refusal and refusal.status == 403 and "token" in refusal.why.lower()
    assert guard.refuse("/", headers, port=PORT, token=TOKEN) is None


def test_tokens_are_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: not compared.append((a, b)))
    guard.right_token([b"a guess"], TOKEN)
    assert compared == [(b"a guess", TOKEN.encode())]


def test_the_port_of_http_is_not_spelled_by_browsers():
    assert guard.right_host([b"127.0.0.1"], 80) and not guard.right_host([b"127.0.0.1:80"], 80)
