"""The four routes, what every answer carries, and texts that would like to be more than data."""

import asyncio
import io
import json

import pytest
from PIL import Image

from qkv.base.errors import DataError
from qkv.inside.page import serve_page
from qkv.web import app as web_app
from qkv.web.answers import NOTHING, page_policy
from qkv.web.app import make_app
from qkv.web.session import Session
from web.asking import PAGE, POLICY, PORT, TOKEN, TRACE, Client, Trace, ask, headers_of, make_session, spell

LOOK = b'{"text": "a cat"}'
PARTS = (
    "<script>alert(1)</script>|</script><script>alert(1)|<img src=x onerror=alert(1)>|<svg onload=alert(1)>|"
    "javascript:alert(1)|\u202ereversed\u202c|{{7*7}}|${7*7}|<!--|-->|]]>|\x00|\x1b[31m|\r\nSet-Cookie: a=1|"
    "\u2028alert(1)|&lt;b&gt;|'\";alert(1)//|<iframe srcdoc='<b>'>|\ufeff|<style>*{display:none}</style>"
)
HOSTILE = [before + part + after for part in PARTS.split("|") for before, after in (
    ("", ""), ("a ", " b"), ("'", "'"), ('"', '"'), ("<b>", "</b>"), ("\\", "\\"), ("=", ";"), ("\n", "\n"), ("[", "]"),
    ("\U0001f600", "\u0301"),
)]  # fmt: skip


def app_of(session: Session | None = None):
    return make_app(session or make_session(), port=PORT, token=TOKEN, page=PAGE)


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(file, "png")
    return file.getvalue()


def test_the_page_comes_with_its_own_policy_and_stays_out_of_frames():
    answer = ask(app_of(), "GET", "/")
    assert (answer.status, answer.body.decode()) == (200, PAGE)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == f"{POLICY}; frame-ancestors 'none'"
    assert page_policy("<script>alert(1)</script>") == NOTHING


def test_the_policy_of_the_page_that_is_served_names_its_scripts_one_by_one():
    rules = [rule.split() for rule in page_policy(serve_page()).split(";")]
    assert [rule[0] for rule in rules[:1]] == ["default-src"]
    allowed = {name: [source for source in sources if not source.startswith("'sha256-")] for name, *sources in rules}
    assert allowed.pop("img-src") == ["data:", "blob:"]
    assert allowed.pop("connect-src") == ["'self'"]
    assert allowed.pop("script-src") == allowed.pop("style-src") == []
    assert allowed == {name: ["'none'"] for name in ("default-src", "base-uri", "form-action", "frame-ancestors")}


@pytest.mark.parametrize(("method", "path", "body", "status"), [
    ("GET", "/", b"", 200), ("GET", "/api/trace", b"", 200), ("POST", "/api/look", LOOK, 200),
    ("POST", "/api/look", b"{", 400), ("GET", "/api/else", b"", 404), ("PUT", "/api/trace", b"", 405),
])  # fmt: skip
def test_every_answer_is_fenced_in(method, path, body, status):
    answer = ask(app_of(), method, path, body)
    assert answer.status == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["cache-control"] == ("private, no-cache" if status == 200 else "no-store")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_nothing_else_is_served():
    for path in ("/api", "/api/", "/api/trace/", "/index.html", "/../etc/passwd", "/%2e%2e/etc/passwd", "//", "/docs",
                 "/static/page.html", "/openapi.json", "/favicon.ico", "", "*", "http://evil.example/"):  # fmt: skip
        assert ask(app_of(), "GET", path).status == 404, path


def test_what_a_browser_has_is_not_sent_again():
    app = app_of()
    for path, body in (("/", PAGE.encode()), ("/api/trace", TRACE)):
        first = ask(app, "GET", path)
        assert first.body == body
        again = ask(app, "GET", path, if_none_match=f'W/"other", {first.headers["etag"]}')
        assert (again.status, again.body) == (304, b"")
        assert ask(app, "GET", path, if_none_match='"other"').status == 200


def test_a_look_becomes_what_the_page_shows():
    app = app_of()
    answer = ask(app, "POST", "/api/look", b'{"text": "a", "pair": "b", "n_tokens": 3}')
    assert answer.body == spell(("a", "b"), {"n_tokens": 3})
    shown = ask(app, "GET", "/api/trace")
    assert (shown.body, shown.headers["etag"]) == (answer.body, answer.headers["etag"])


def test_switching_off_repeats_the_look_and_leaves_it_shown():
    app = app_of()
    ask(app, "POST", "/api/look", b'{"text": "a", "n_tokens": 3}')
    answer = ask(app, "POST", "/api/ablate", b'{"heads": [[0, 1]], "mask": [2]}')
    assert answer.body == spell("a", {"off": [[0, 1]], "hidden": [2], "n_tokens": 3})
    assert ask(app, "GET", "/api/trace").body == spell("a", {"n_tokens": 3})
    without = ask(app_of(make_session(ablate=None)), "POST", "/api/ablate", b"{}")
    assert without.status == 400 and "cannot be switched off" in without.error


def test_a_picture_is_decoded_before_the_model_gets_it():
    def explain(model, given):
        return Trace(f"{given.mode} {given.size}".encode())

    app = app_of(make_session(explain, takes="picture"))
    assert ask(app, "POST", "/api/look", picture(), kind="image/png").body == b"RGB (3, 2)"
    broken = ask(app, "POST", "/api/look", picture()[:40], kind="image/png")
    assert broken.status == 400 and "picture" in broken.error


def test_a_model_of_pictures_never_takes_a_text_for_the_name_of_a_file():
    answer = ask(app_of(make_session(takes="picture")), "POST", "/api/look", b'{"text": "/etc/passwd"}')
    assert answer.status == 400 and "looks at pictures" in answer.error
    answer = ask(app_of(), "POST", "/api/look", picture(), kind="image/png")
    assert answer.status == 400 and "reads text" in answer.error


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
def test_only_json_and_pictures_are_read(kind):
    answer = ask(app_of(), "POST", "/api/look", LOOK, kind=kind)
    assert answer.status == 415 and "image/png" in answer.error
    assert ask(app_of(), "POST", "/api/ablate", picture(), kind="image/png").status == 415


def test_bodies_have_limits(monkeypatch):
    monkeypatch.setattr(web_app, "MOST_JSON", 100)
    monkeypatch.setattr(web_app, "MOST_PICTURE", 200)
    app = app_of()
    assert ask(app, "POST", "/api/look", LOOK.ljust(100)).status == 200
    assert "101 bytes; 100 are allowed" in ask(app, "POST", "/api/look", LOOK.ljust(101)).error
    answer = ask(app, "POST", "/api/look", b"\x89PNG".ljust(201), kind="image/png")
    assert (answer.status, answer.headers["connection"]) == (413, "close")


def test_a_users_mistake_is_a_sentence_and_a_fault_of_ours_shows_no_more_than_its_name():
    def refuse(model, given, **options):
        raise DataError("Say something else.")

    assert ask(app_of(make_session(refuse)), "POST", "/api/look", LOOK).error == "Say something else."

    def fail(model, given, **options):
        raise ZeroDivisionError("secret")

    client = Client("POST", "/api/look", headers_of(), [LOOK])
    with pytest.raises(ZeroDivisionError):  # goes on to the terminal
        asyncio.run(client.ask(app_of(make_session(fail))))
    assert client.sent[0]["status"] == 500
    assert b"ZeroDivisionError" in client.sent[1]["body"] and b"secret" not in client.sent[1]["body"]


def test_200_hostile_texts_come_back_as_data():
    assert len(set(HOSTILE)) == 200

    def explain(model, given, **options):
        return Trace(f"<script>{given}</script>".encode())

    def refuse(model, given, **options):
        raise DataError(f"No: {given}")

    app, strict = app_of(make_session(explain)), app_of(make_session(refuse))
    for text in HOSTILE:
        body = json.dumps({"text": text}).encode()
        for answer in (ask(app, "POST", "/api/look", body), ask(app, "GET", "/api/trace")):
            assert (answer.status, answer.body) == (200, f"<script>{text}</script>".encode())
            assert answer.headers["content-type"] == "application/octet-stream"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        answer = ask(strict, "POST", "/api/look", body)
        assert answer.error == f"No: {text}"
        assert b"<" not in answer.body and b"\n" not in answer.body and answer.body.isascii()
        assert "alert" not in str(answer.headers) and "cookie" not in str(answer.headers).lower()
