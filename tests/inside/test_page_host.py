"""The page around a trace: nothing that a user typed becomes markup, and what went in comes out again."""

import base64
import gzip
import json
from html.parser import HTMLParser
from typing import Any

import pytest

from inside.traces import make_trace
from qkv.base.errors import QkvError
from qkv.inside import page
from qkv.inside.page import frame, make_page, serve_page
from qkv.inside.streams import text_stream
from qkv.inside.trace import Trace

STAND_IN = """<!doctype html><html><head>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'sha256-x='; img-src data:">
<title>qkv</title></head><body><!--qkv:data--><script type="module">run("</b>")</script></body></html>"""
HOSTILE = "</script><script>alert(1)</script><!--\u2028<iframe srcdoc='&quot;\">'\x00</title>"


class Elements(HTMLParser):
    """All elements of a page with their attributes, and the text in each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, Any], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(("", {}, ""))

    def handle_data(self, data: str) -> None:
        if self.found:
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)

    def get(self, tag: str, **attributes: str) -> list[tuple[dict[str, Any], str]]:
        return [(a, text) for t, a, text in self.found if t == tag and attributes.items() <= a.items()]


@pytest.fixture(params=["stand-in", "built"])
def _built(request, tmp_path, monkeypatch):
    if request.param == "stand-in":
        path = tmp_path / "page.html"
        path.write_text(STAND_IN)
        monkeypatch.setattr(page, "BUILT", path)


def hostile_trace() -> Trace:
    return make_trace(
        3, streams=(text_stream("text", HOSTILE, [HOSTILE] * 3, [(0, 1)] * 3, [False] * 3),), title=HOSTILE
    )


@pytest.mark.usefixtures("_built")
def test_the_trace_in_the_page_is_the_one_that_went_in():
    trace = hostile_trace()
    elements = Elements(make_page(trace.to_bytes(), title=trace.title))
    [(attributes, packed)] = elements.get("script", id="trace")
    assert attributes["type"] == "application/octet-stream;base64"
    assert Trace.from_bytes(gzip.decompress(base64.b64decode(packed, validate=True))).to_bytes() == trace.to_bytes()
    [(attributes, told)] = elements.get("script", id="host")
    assert (attributes["type"], json.loads(told)) == ("application/json", {"kind": "file"})


@pytest.mark.usefixtures("_built")
def test_hostile_text_adds_no_element():
    plain, hostile = (make_page(trace.to_bytes(), title=trace.title) for trace in (make_trace(3), hostile_trace()))
    assert [tag for tag, _, _ in Elements(hostile).found] == [tag for tag, _, _ in Elements(plain).found]
    assert "alert(1)</script>" not in hostile and "\u2028<iframe" not in hostile
    assert [title for _, title in Elements(hostile).get("title")] == [HOSTILE]


@pytest.mark.usefixtures("_built")
def test_no_script_may_run_but_the_page_s_own_and_nothing_is_fetched():
    trace = hostile_trace()
    for text, fetches in ((make_page(trace.to_bytes(), title="a"), False), (serve_page(), True)):
        elements = Elements(text)
        [(policy, _)] = elements.get("meta", **{"http-equiv": "Content-Security-Policy"})
        rules = dict(rule.strip().partition(" ")[::2] for rule in policy["content"].split(";"))
        assert rules["default-src"] == "'none'" and rules["script-src"].startswith("'sha256-")
        assert "unsafe" not in policy["content"] and "http" not in policy["content"]
        assert rules.get("connect-src") == ("'self'" if fetches else None)
        kinds = [attributes.get("type") for attributes, _ in elements.get("script")]
        assert kinds.count("module") == 1
        assert set(kinds) <= {"module", "application/json", "application/octet-stream;base64"}


@pytest.mark.usefixtures("_built")
def test_a_page_for_a_server_holds_no_data():
    elements = Elements(serve_page())
    assert not elements.get("script", id="trace")
    assert json.loads(elements.get("script", id="host")[0][1]) == {"kind": "server"}


@pytest.mark.usefixtures("_built")
def test_in_a_notebook_the_page_is_one_attribute_of_one_frame():
    trace = hostile_trace()
    made = make_page(trace.to_bytes(), title=trace.title, host="notebook")
    [(tag, attributes, _), _] = Elements(frame(made)).found
    assert tag == "iframe" and attributes["srcdoc"] == made
    assert "allow-same-origin" not in attributes["sandbox"], "tokens could reach the notebook"


@pytest.mark.usefixtures("_built")
def test_equal_traces_give_equal_pages():
    data = make_trace(3).to_bytes()
    assert make_page(data, title="a") == make_page(data, title="a")


@pytest.mark.parametrize("lacking", ["<!--qkv:data-->", "<title>qkv</title>", "default-src 'none';"])
def test_a_page_that_was_not_built_for_this_is_refused(lacking, tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text(STAND_IN.replace(lacking, ""))
    monkeypatch.setattr(page, "BUILT", path)
    with pytest.raises(QkvError, match=r"page\.html is no page that was built for this qkv: install qkv again"):
        make_page(b"", title="a")
