"""A browser for the page's tests: whatever asks for anything beyond this machine fails the test that did it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from qkv.inside.page import make_page

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
LOCAL = ("file:", "data:", "blob:", "about:")
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for one module: while Playwright is open, its thread runs a loop that no other test shall meet."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def troubles() -> Iterator[list[str]]:
    """What went wrong in the browser: errors, breaches of the policy, requests to other machines."""
    found: list[str] = []
    yield found
    assert not found, "\n".join(found)


@pytest.fixture
def show(browser: Browser, tmp_path: Path, troubles: list[str]) -> Iterator[Open]:
    """Open a trace in the page as a file, at a size and a place of its own."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, reduced_motion="reduce", accept_downloads=True
    )

    def open_page(trace: bytes, place: str = "", *, html: str | None = None) -> Page:
        file = tmp_path / "page.html"
        file.write_text(html or make_page(trace, title="specimen"), "utf-8")
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on(
            "request", lambda request: _note(troubles, not request.url.startswith(LOCAL), f"asks for {request.url}")
        )
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("console", lambda said: _note(troubles, said.type in ("error", "warning"), f"console: {said.text}"))
        page.goto(f"{file.as_uri()}#{place}")
        return page

    yield open_page
    context.close()


def _note(troubles: list[str], wrong: bool, what: str) -> None:
    if wrong:
        troubles.append(what)
