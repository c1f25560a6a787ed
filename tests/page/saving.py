"""What the page's menu hands out."""

from pathlib import Path

from playwright.sync_api import Page


def save(page: Page, button: str) -> Path:
    """Return the file that this button of the menu gives."""
    with page.expect_download() as waiting:
        page.get_by_text("Save", exact=True).click()
        page.get_by_role("button", name=button).click()
    return waiting.value.path()
