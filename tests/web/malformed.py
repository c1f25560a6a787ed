"""Requests that nobody should send, spelled byte by byte, each from a number."""

import io
import json
import random
from collections.abc import Callable

from PIL import Image

LOOK, ABLATE = "/api/look", "/api/ablate"
Make = Callable[[random.Random], bytes]


class Requests:
    """Malformed requests to a server that is known by its port and token."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token
        file = io.BytesIO()
        Image.effect_noise((40, 30), 50).save(file, "png")
        self.picture = file.getvalue()
        self.kinds: list[Make] = [
            self.bad_json, self.wrong_types, self.no_place, self.odd_values, self.deep, self.wrong_length,
            self.bad_chunks, self.bad_encoding, self.bad_picture, self.bad_kind, self.bad_head, self.bad_line,
            self.noise, self.stranger, self.long, self.other_routes, self.cut_off,
        ]  # fmt: skip

    def make(self, number: int) -> bytes:
        """Spell request `number`: the kinds take turns."""
        return self.kinds[number % len(self.kinds)](random.Random(number))

    def spell(
        self,
        body: bytes,
        path: str = LOOK,
        method: str = "POST",
        kind: str = "application/json",
        length: object = None,
        more: str = "",
    ) -> bytes:
        length = len(body) if length is None else length
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nX-QKV-Token: {self.token}\r\n"
            f"Connection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}\r\n"
        )
        return head.encode("latin1") + body

    def bad_json(self, draw: random.Random) -> bytes:
        whole = bytearray(b'{"text": "a cat sat", "pair": null, "layers": [0, 1]}')
        what = draw.randrange(3)
        if what == 0:
            whole = whole[: draw.randrange(len(whole))]
        elif what == 1:
            whole[draw.choice([0, 6, 7, 8, 20, 27])] = draw.choice(b"\x00\x07}[]x")
        else:
            whole += bytes(draw.choices(b']}[{",:x\x00', k=1 + draw.randrange(4)))
        return self.spell(bytes(whole))

    def wrong_types(self, draw: random.Random) -> bytes:
        wrong: list[object] = [None, True, 1, 1.5, [], {}, [[]], [None], {"text": "a"}, [1], -1, 1e300]
        if draw.random() < 0.5:
            key, values = draw.choice(["heads", "mask"]), [one for one in wrong if one not in ([], [1])]
            wish = {key: draw.choice([*values, [[1]], [[1, 2, 3]], [["a", "b"]], [[1, -2]], "ab", [True]])}
            return self.spell(json.dumps(wish).encode(), ABLATE)
        return self.spell(json.dumps({"text": draw.choice(wrong)}).encode())

    def no_place(self, draw: random.Random) -> bytes:
        no = draw.choice([-1, -(2**31), 2**31, 10**30])
        if draw.random() < 0.5:
            return self.spell(json.dumps(draw.choice([{"heads": [[0, no]]}, {"mask": [1, no]}])).encode(), ABLATE)
        return self.spell(
            json.dumps({"text": "a", **draw.choice([{"layers": [no]}, {"top": no}, {"n_tokens": no}])}).encode()
        )

    def odd_values(self, draw: random.Random) -> bytes:
        number = draw.choice(["NaN", "Infinity", "-Infinity", "1" * 5000, "1e999", "-0.5", "01", "0x1", '"\\ud800"'])
        key = draw.choice(["top", "n_tokens", "layers", "exact", "other", "\\udfff", "heads"])
        return self.spell(f'{{"text": "a", "{key}": {number}}}'.encode())

    def deep(self, draw: random.Random) -> bytes:
        n = draw.choice([50, 300, 480, 990, 1000, 5000, 50_000])
        opened, closed = draw.choice([("[", "]"), ('{"text":', "}")])
        return self.spell(
            (opened * n + "1" + closed * draw.choice([0, n, n - 1])).encode(), draw.choice([LOOK, ABLATE])
        )

    def wrong_length(self, draw: random.Random) -> bytes:
        length = draw.choice([-1, 3, 100, 10**12, 2**64, "", "a", "1, 2", "0x10", "1 1", "+5", "1e2", "\xb2"])
        return self.spell(b'{"text": "a"}', length=length)

    def bad_chunks(self, draw: random.Random) -> bytes:
        chunks = [b"zz\r\n", b"-1\r\n\r\n", b"5\r\nabc", b"ffffffffffffffffff\r\n",
                  b"3;" + b"a" * 9000 + b"\r\nabc\r\n",
                  b"0\r\n", b"2\r\n{}\r\n0\r\n\r\n", b"1\n{\n0\n\n", b""]  # fmt: skip
        head = self.spell(b"").replace(
            b"Content-Length: 0", b"Transfer-Encoding: " + draw.choice([b"chunked", b"gzip"])
        )
        return head + draw.choice(chunks)

    def bad_encoding(self, draw: random.Random) -> bytes:
        text = draw.choice(["naïve", "日本語", "\U0001f600"])
        codec = draw.choice(["utf-16", "utf-32", "utf-16-le", "utf-8-sig"])
        plain = f'{{"text": "{text}"}}'
        return self.spell(
            draw.choice([plain.encode(codec), plain.encode()[:-4] + b'\xff"}', plain.encode("cp037", "replace")])
        )

    def bad_picture(self, draw: random.Random) -> bytes:
        broken = bytearray(self.picture)
        what = draw.randrange(4)
        if what == 0:
            broken = broken[: draw.randrange(len(broken) - 20)]
        elif what == 1:
            broken[16:24] = draw.randbytes(8)  # its rows and columns
        elif what == 2:
            broken = bytearray(draw.randbytes(draw.randrange(2000)))
        else:
            broken = bytearray(
                draw.choice([b"GIF89a", b"\xff\xd8\xff\xe0", b"RIFF", b"BM", b"II*\0", b"<svg>", b"%PDF"])
            )
            broken += draw.randbytes(draw.randrange(300))
        return self.spell(bytes(broken), kind=draw.choice(["image/png", "image/jpeg", "image/x", "IMAGE/"]))

    def bad_kind(self, draw: random.Random) -> bytes:
        kind = draw.choice(["", "text/json", "application/jsonp", "*/*", ";", "multipart/form-data", "a" * 500, "\xe9"])
        return self.spell(b'{"text": "a"}', kind=kind)

    def bad_head(self, draw: random.Random) -> bytes:
        more = draw.choice([
            "No colon\r\n", ": no name\r\n", "A b: c\r\n", "A\x00: b\r\n", "A: b\x00c\r\n", " folded: x\r\n",
            "Host: twice\r\n", "A: " + "a" * 100_000 + "\r\n", "A: b\r\n" * 4000, "Content-Length: 7\r\n",
            "Transfer-Encoding: chunked\r\n", "Origin: null\r\n", "Origin: http://127.0.0.1:1\r\n",
            "Sec-Fetch-Site: cross-site\r\n", "X-QKV-Token: again\r\n", "Expect: a miracle\r\nOrigin: x\r\n",
        ])  # fmt: skip
        return self.spell(b"{}", more=more)

    def bad_line(self, draw: random.Random) -> bytes:
        line = draw.choice([
            "GET", "GET /", "GET  / HTTP/1.1", "GET / HTTP/x.9", "GET / HTTP/1.1 x",
            "GET /\x00 HTTP/1.1", "G\xe9T / HTTP/1.1",
            "GET /" + "a" * 90_000 + " HTTP/1.1", " GET / HTTP/1.1", "GET / FTP/1.1", "PRI * HTTP/2.0", "",
            "CONNECT a:1 HTTP/1.1",
            "GET http://evil.example/ HTTP/1.1", "OPTIONS * HTTP/1.1", "GET /caf\xe9 HTTP/1.1", "GET /%ff%00 HTTP/1.1",
        ])  # fmt: skip
        return self.spell(b"").replace(b"POST /api/look HTTP/1.1", line.encode("latin1"), 1)

    def noise(self, draw: random.Random) -> bytes:
        return draw.randbytes(draw.randrange(1, 3000)) + b"\r\n\r\n"

    def stranger(self, draw: random.Random) -> bytes:
        whole = self.spell(b'{"text": "a"}')
        what = draw.randrange(3)
        if what == 0:
            return whole.replace(self.token.encode(), draw.randbytes(20).hex().encode())
        if what == 1:
            return whole.replace(
                b"Host: 127.0.0.1", b"Host: " + draw.choice([b"", b"evil.example", b"\xff", b"[::1]", b"0"])
            )
        return whole.replace(b"Host: ", b"Hist: ")

    def long(self, draw: random.Random) -> bytes:
        n = draw.choice([256 * 1024, 300_000, 1_000_000])
        return self.spell(b'{"text": "' + b"a" * n + b'"}', draw.choice([LOOK, ABLATE]))

    def other_routes(self, draw: random.Random) -> bytes:
        path = draw.choice(
            ["/..", "/../../etc/passwd", "/api", "/api/", "/%2e%2e/x", "//api/look", "/api/look/", "/a\\b", "/?"]
        )
        if path == "/?":
            return self.spell(b"", path, draw.choice(["POST", "PUT", "DELETE", "PATCH", "TRACE", "get", "X"]))
        return self.spell(b"{}", path, draw.choice(["GET", "POST", "DELETE", "HEAD"[:3]]))

    def cut_off(self, draw: random.Random) -> bytes:
        whole = self.spell(b'{"text": "a cat"}')
        return whole[: draw.randrange(1, len(whole))]
