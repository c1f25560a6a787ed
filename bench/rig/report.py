"""Results on the screen and on paper: what ran where, with which versions, all numbers."""

import datetime
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parents[1] / "results"
FLAGS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "BF16", "avx512_vnni": "VNNI", "amx_bf16": "AMX"}
ZEN = {(25, False): "Zen 3", (25, True): "Zen 4", (26, True): "Zen 5"}


def describe_machine() -> str:
    """Return the CPU in words: "2 Zen 4 cores, AVX-512, BF16, VNNI"."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}"
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set(facts.get("flags", "").split())
    kind = (
        ZEN.get((int(facts.get("cpu family", 0)), "avx512f" in flags)) if "AMD" in facts.get("vendor_id", "") else None
    )
    found = [word for flag, word in FLAGS.items() if flag in flags and not (flag == "avx2" and "avx512f" in flags)]
    return ", ".join([f"{os.cpu_count()} {kind or facts.get('model name', platform.machine())} cores", *found])


def describe_versions(*packages: str) -> str:
    """Return the versions of what ran: "torch 2.13.0, transformers 5.23.0"; what is not installed is said."""
    words = [f"Python {platform.python_version()}"]
    for package in packages:
        try:
            words.append(f"{package} {version(package).partition('+')[0]}")
        except PackageNotFoundError:
            words.append(f"{package} missing")
    return ", ".join(words)


@dataclass
class Report:
    """A page of paragraphs and tables, kept as they come; `numbers` goes into a JSON file beside it."""

    name: str
    title: str
    parts: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    console: Console = field(default_factory=Console)

    def say(self, text: str) -> None:
        """Add a paragraph."""
        self.console.print(text, highlight=False, markup=False)
        self.parts.append(text)

    def say_machine(self, threads: int, *packages: str) -> None:
        """Say what runs where, and what else the machine is doing."""
        load = f"; load before the run {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
        self.say(f"{describe_machine()}; {threads} threads{load}; {describe_versions(*packages)}.")

    def table(self, title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table; all columns but the first hold figures."""
        shown = Table(title=title, title_justify="left")
        for i, word in enumerate(head):
            shown.add_column(word, justify="right" if i else "left")
        for row in rows:
            shown.add_row(*row)
        self.console.print(shown)
        lines = [head, ["--"] + ["--:"] * (len(head) - 1), *rows]
        self.parts.append(f"**{title}**\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines))

    def write(self, *, quick: bool) -> None:
        """Write today's page and its numbers into bench/results; a quick run writes nothing."""
        if quick:
            self.say("A quick run: nothing was written.")
            return
        RESULTS.mkdir(exist_ok=True)
        stem = RESULTS / f"{datetime.date.today().isoformat()}-{self.name}"
        stem.with_suffix(".md").write_text(f"# {self.title}\n\n" + "\n\n".join(self.parts) + "\n", encoding="utf-8")
        stem.with_suffix(".json").write_text(json.dumps(self.numbers, indent=1) + "\n", encoding="utf-8")
        self.console.print(f"Written: {os.path.relpath(stem)}.md and .json")
