"""Who may ask: the explorer's own page, opened by this user on this machine.

| a request has | answer |
|--|--|
| a Host that is not exactly ours, none, or several (a foreign name that was pointed at this machine) | 421 |
| an Origin other than the Host's own | 403 |
| Sec-Fetch-Site other than same-origin, or, for the page alone, none (the address bar) | 403 |
| for anything but the page: no token, or not this run's | 403 |

A program that is no browser sends neither Origin nor Sec-Fetch-Site, and needs the token all the same.
"""

import hmac
from collections.abc import Iterable
from typing import NamedTuple

LOOPBACK = "127.0.0.1"
TOKEN = b"x-qkv-token"
Headers = Iterable[tuple[bytes, bytes]]


class Refusal(NamedTuple):
    """The status and the sentence that a stranger gets."""

    status: int
    why: str


def refuse(path: str, headers: Headers, *, port: int, token: str) -> Refusal | None:
    """Say why a request may not pass, or None if it may."""
    asked: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        asked.setdefault(name.lower(), []).append(value)
    hosts, page = asked.get(b"host", []), path == "/"
    if not right_host(hosts, port):
        return Refusal(421, f"This server is http://{LOOPBACK}:{port} and no other; behind ssh, forward the same port.")
    if not right_origin(asked.get(b"origin", []), hosts[0]):
        return Refusal(403, "Another page asked: only the explorer's own page may.")
    if not right_site(asked.get(b"sec-fetch-site", []), page=page):
        return Refusal(403, "Another page led here: type or paste the address into the browser's address bar.")
    if not page and not right_token(asked.get(TOKEN, []), token):
        return Refusal(403, "The token is missing or of an earlier run: open the address that the program printed.")
    return None


def right_host(hosts: list[bytes], port: int) -> bool:
    """Whether exactly one Host was named, and it is ours."""
    names = [name if port == 80 else f"{name}:{port}" for name in (LOOPBACK, "localhost")]
    return len(hosts) == 1 and hosts[0] in [name.encode() for name in names]


def right_origin(origins: list[bytes], host: bytes) -> bool:
    """Whether the page that asks, if one does, came from here by the same name."""
    return origins in ([], [b"http://" + host])


def right_site(sites: list[bytes], *, page: bool) -> bool:
    """Whether the browser, if there is one, was led here by our own page; to the page also by its address bar."""
    return sites in ([], [b"same-origin"]) or (page and sites == [b"none"])


def right_token(tokens: list[bytes], token: str) -> bool:
    """Whether exactly one token was sent, and it is this run's; compared in constant time."""
    return len(tokens) == 1 and hmac.compare_digest(tokens[0], token.encode())
