"""What lies where another file should is told from its first bytes."""

import pytest

from qkv.base.strays import find_stray


@pytest.mark.parametrize(
    ("start", "stray"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer"),
        (b"\xef\xbb\xbf<!DOCTYPE html><p>404", "page"),
        (b"\n  <HTML lang=en>", "page"),
        (b"<!DOCTYPE tmx SYSTEM", None),
        (b"a version https://git-lfs", None),
        (b"", None),
    ],
)
def test_pointers_and_pages_are_told(start, stray):
    assert find_stray(start) == stray
