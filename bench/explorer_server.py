"""The explorer's server under load: 16 clients that ask again and again for the page and for a trace.

Server and clients are processes of their own. Each client keeps one connection and sends its next request when the last
one is answered whole. Promised are 1,000 requests/s with 99 of 100 answered within 50 ms.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection
from typing import Any

from rig.report import Report

from qkv.inside.page import serve_page
from qkv.web.serve import Server
from qkv.web.session import Kept, Session

CLIENTS = 16
PROMISED, WITHIN = 1000, 0.050
TRACES = {"64 KiB": 2**16, "700 KiB": 700 * 2**10, "8 MiB": 2**23}


def serve(pipe: Connection, size: int) -> None:
    """Serve a trace of random size until this process is told to end."""

    def refuse(*given: Any, **options: Any) -> None:
        raise NotImplementedError

    kept = Kept(bytes(range(256)) * (size // 256))
    server = Server(Session(None, "", kept, "text", refuse), serve_page())
    pipe.send((server.port, server.token, kept.etag))
    server.run()


async def ask_on(port: int, request: bytes, end: float, status: bytes) -> list[float]:
    """Ask over one connection until the end; return the seconds of each answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    seconds = []
    while (start := time.perf_counter()) < end:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 " + status):
            raise SystemExit(f"unexpected answer: {head!r}")
        if b"content-length: " in head:
            await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        seconds.append(time.perf_counter() - start)
    writer.close()
    return seconds


async def load(port: int, request: bytes, status: bytes, seconds: float) -> list[float]:
    """Ask from all clients at once; return the sorted seconds of all answers."""
    end = time.perf_counter() + seconds
    found = await asyncio.gather(*(ask_on(port, request, end, status) for _ in range(CLIENTS)))
    return sorted(one for client in found for one in client)


def measure(size: int, rounds: int, seconds: float) -> dict[str, list[dict[str, float]]]:
    """Start a server and load it, round after round; return figures per kind of request."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, size))
    process.start()
    try:
        port, token, etag = here.recv()
        head = f"Host: 127.0.0.1:{port}\r\nSec-Fetch-Site: same-origin\r\nAccept: */*\r\n"
        trace = f"GET /api/trace HTTP/1.1\r\n{head}X-QKV-Token: {token}\r\n"
        requests = {
            "the page": (f"GET / HTTP/1.1\r\n{head}\r\n", b"200"),
            "the trace": (f"{trace}\r\n", b"200"),
            "the trace, which the client has": (f"{trace}If-None-Match: {etag}\r\n\r\n", b"304"),
        }
        figures: dict[str, list[dict[str, float]]] = {name: [] for name in requests}
        for _ in range(rounds + 1):
            for name, (request, status) in requests.items():
                took = asyncio.run(load(port, request.encode(), status, seconds))
                worst = took[int(0.99 * len(took))]
                figures[name].append({"per second": len(took) / seconds, "p50": took[len(took) // 2], "p99": worst})
        return {name: rows[1:] for name, rows in figures.items()}  # the first warms up
    finally:
        process.terminate()
        process.join()


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round; nothing is written")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    rounds, seconds = (1, 0.5) if options.quick else (options.rounds, options.seconds)
    report = Report("explorer_server", "The explorer's server under load")
    report.say_machine(1, "starlette", "uvicorn", "h11")
    report.say(
        f"{CLIENTS} clients in one process, the server in another, a connection each; {rounds} rounds of {seconds:g} s"
        f" per row; medians of the rounds, and the worst p99. Promised: {PROMISED:,}/s, p99 {WITHIN * 1e3:.0f} ms."
    )
    for name, size in TRACES.items():
        rows = []
        report.numbers[name] = measure(size, rounds, seconds)
        for kind, found in report.numbers[name].items():
            speed, middle = (statistics.median(one[key] for one in found) for key in ("per second", "p50"))
            worst = max(one["p99"] for one in found)
            kept = "yes" if speed >= PROMISED and worst <= WITHIN else "no"
            rows.append([kind, f"{speed:,.0f}", f"{middle * 1e3:.1f}", f"{worst * 1e3:.1f}", kept])
        report.table(f"A trace of {name}", ["", "requests/s", "p50 ms", "p99 ms", "as promised"], rows)
    report.write(quick=options.quick)


if __name__ == "__main__":
    main()
