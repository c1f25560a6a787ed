"""Results as tables for the terminal. Every function returns something rich can print, and prints nothing."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from qkv.inside.figures import render_alignment

if TYPE_CHECKING:  # a list of rows is shown without importing torch
    from qkv.evaluation.translation import Report
    from qkv.verbs.demo import Demo
    from qkv.verbs.doctor import Finding
    from qkv.verbs.info import Info
    from qkv.verbs.lineage import Row
    from qkv.verbs.translate import Translation

LONGEST = 160


def make_table(*columns: str, right: Iterable[int] = ()) -> Table:
    """Return an empty table without borders; `right` names the columns of figures."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i in right else "left", overflow="fold")
    return table


def add_row(table: Table, *cells: str, style: str | None = None) -> None:
    """Add a row of plain text: what stands in names and data is no markup."""
    table.add_row(*map(Text, cells), style=style)


def show_demo(demo: "Demo") -> RenderableType:
    """Return the demo's page: scores, translations, the alignment, where everything lies."""
    return Group(
        "",
        _scores(demo),
        "",
        *_samples(demo),
        *(part for name, a in demo.alignments.items() for part in (f"What {name} looked at", render_alignment(a))),
        Text("Rows: translation, columns: source; ◆ marks the true alignment.\n", style="dim"),
        *_next_steps(demo),
    )


def _scores(demo: "Demo") -> Table:
    table = make_table(
        "model", "parameters", "seconds", "exact %", "chrF", "AER", "exact %, longest quarter", right=range(1, 7)
    )
    for one in demo.contestants:
        report = one.report
        best = f"{min(report.alignment.values()):.2f}" if report.alignment else "-"
        add_row(
            table,
            one.name,
            f"{one.parameters:,}",
            f"{one.seconds:.0f}",
            f"{report.exact:.1f}",
            f"{report.chrf:.1f}",
            best,
            f"{report.quarters[-1].exact:.1f}",
        )
    return table


def _samples(demo: "Demo") -> list[RenderableType]:
    parts: list[RenderableType] = []
    for sample in demo.samples:
        parts.append(Text(_cut(sample.source), style="bold"))
        for name, text in sample.translations.items():
            right = text == sample.reference
            parts.append(Text(f"  {'✓' if right else '✗'} {name:17} {_cut(text)}", style="" if right else "red"))
        parts.append("")
    return parts


def _cut(text: str) -> str:
    """Return the beginning of a text that would fill the screen."""
    return one_line(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")


def one_line(text: str) -> str:
    """Return a text with its control characters spelled out: it stays on one line and does nothing to a terminal."""
    kept = ("Zs", "Cf", "Cn", "Co")  # spaces, joiners and marks of direction, and what this Python does not know yet
    return "".join(c if c.isprintable() or unicodedata.category(c) in kept else repr(c)[1:-1] for c in text)


def _next_steps(demo: "Demo") -> list[RenderableType]:
    best = demo.contestants[1].folder
    text = demo.samples[0].source
    names = " and ".join(picture.name for picture in demo.pictures)
    return [
        Text(f"Everything lies in {demo.folder}: the models, their curves (metrics.jsonl), {names}"),
        Text(f"Every head of every layer, in a browser, without a network: {' and '.join(map(str, demo.pages))}"),
        "Try next:",
        Text(f'  qkv translate {best} "{text}" --alignment'),
        Text(f'  qkv explore {demo.contestants[-1].folder} "{text}"'),
        Text("  qkv demo --to hu"),
        Text("  qkv train transformer-tiny your-pairs.tsv"),
    ]


def show_report(report: "Report") -> RenderableType:
    """Return the scores of an evaluation, by source length and by head."""
    scores = make_table("metric", "value", right=(1,))
    add_row(scores, "pairs", f"{report.n_pairs:,}")
    if report.left_out:
        add_row(scores, "rows left out", f"{report.left_out:,}", style="yellow")
    add_row(scores, "exact match %", f"{report.exact:.2f}")
    add_row(scores, "chrF", f"{report.chrf:.2f}")
    add_row(scores, "BLEU", f"{report.bleu:.2f}")
    signatures = Text(f"chrF: {report.chrf_signature}\nBLEU: {report.bleu_signature}", style="dim")
    lengths = make_table("source tokens", "pairs", "exact match %", right=(1, 2))
    for quarter in report.quarters:
        add_row(lengths, f"{quarter.shortest}-{quarter.longest}", str(quarter.n_pairs), f"{quarter.exact:.2f}")
    if not report.alignment:
        return Group(scores, "", lengths, "", signatures)
    heads = make_table("layer", "head", "alignment error rate", right=(0, 1, 2))
    for (layer, head), rate in report.alignment.items():
        add_row(heads, str(layer), str(head), f"{rate:.3f}{' *' if (layer, head) == report.best_head else ''}")
    return Group(scores, "", lengths, "", heads, "", signatures)


def show_models(models: "Sequence[Info]") -> RenderableType:
    """Return the list of sizes, and what each family is."""
    table = make_table("model", "family", "parameters", "attention maps", right=(2,))
    for one in models:
        kinds = Counter(f"{spec.query_stream} {spec.kind}" for spec in one.maps for _ in range(spec.heads))
        maps = ", ".join(f"{n} {kind}" for kind, n in kinds.items()) or "none: one fixed context"
        add_row(table, one.name, one.family, f"{one.parameters:,}", maps)
    families = {one.family: Text(f"{one.family}: {one.about}", style="dim") for one in models}
    return Group(table, "", *families.values())


def show_info(info: "Info") -> RenderableType:
    """Return one model's settings, parts and maps."""
    settings = make_table("setting", "value")
    for key, value in info.config.items():
        add_row(settings, key, str(value))
    parts = make_table("part", "parameters", right=(1,))
    for part, n in info.parts.items():
        add_row(parts, part, f"{n:,}")
    add_row(parts, "all", f"{info.parameters:,}", style="bold")
    maps = make_table("map", "layer", "heads", "queries", "keys", right=(1, 2))
    for spec in info.maps:
        add_row(maps, spec.kind, str(spec.layer), str(spec.heads), spec.query_stream, spec.key_stream)
    card = make_table("card", "")
    for key, value in info.card.items():
        add_row(card, key, one_line(str(value)))
    seen = maps if info.maps else "No attention: one fixed context."
    return Group(
        Text(f"{info.name}: {info.about}"), "", settings, "", parts, "", seen, *(["", card] if info.card else [])
    )


def show_doctor(findings: "Sequence[Finding]") -> RenderableType:
    """Return what the doctor found, and what to do."""
    table = make_table("", "what", "found", "advice")
    for one in findings:
        add_row(table, "✓" if one.ok else "✗", one.name, one.found, one.advice or "")
    return table


def show_lineage(rows: "Sequence[Row]") -> RenderableType:
    """Return the lineage's rows, and how many stand where."""
    table = make_table("#", "item", "status", "shown by", right=(0,))
    for row in rows:
        add_row(table, str(row.id), row.title, row.status, row.proof)
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.status] = counts.get(row.status, 0) + 1
    return Group(table, "", ", ".join(f"{n} {status}" for status, n in counts.items()))


def show_translations(done: "Sequence[Translation]") -> RenderableType:
    """Return the translations, one per line, each with its alignment if it was asked for."""
    parts: list[RenderableType] = []
    for one in done:
        parts.append(Text(one_line(one.text)))
        if one.alignment is not None:
            parts.append(render_alignment(one.alignment))
    return Group(*parts)
