"""Files that stand where others should: what a Git that lacks its LFS, and a failed download, leave behind."""

from typing import Literal


def find_stray(start: bytes) -> Literal["pointer", "page"] | None:
    """Tell from the first bytes of a file whether it is a Git LFS pointer or an HTML page; None if it is neither."""
    text = start[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"version https://git-lfs"):
        return "pointer"
    return "page" if text.startswith((b"<!doctype html", b"<html")) else None
