"""Tables hold every figure of their results, and show hostile text as text."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from qkv.evaluation.translation import Quarter, Report
from qkv.inside.figures import Alignment
from qkv.screen.tables import (
    LONGEST,
    one_line,
    show_demo,
    show_doctor,
    show_info,
    show_lineage,
    show_models,
    show_report,
    show_translations,
)
from qkv.verbs.demo import Contestant, Demo, Sample
from qkv.verbs.doctor import Finding
from qkv.verbs.info import info, list_models
from qkv.verbs.lineage import lineage
from qkv.verbs.translate import Translation


def text_of(renderable, width: int = 200) -> str:
    console = Console(width=width, color_system=None, legacy_windows=False)
    with console.capture() as seen:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in seen.get().splitlines())


def make_report(**changes) -> Report:
    figures: dict[str, Any] = {
        "n_pairs": 1234,
        "exact": 12.345,
        "chrf": 56.789,
        "chrf_signature": "nrefs:1|chrF",
        "bleu": 34.5,
        "bleu_signature": "nrefs:1|BLEU",
        "quarters": (
            Quarter(shortest=2, longest=5, n_pairs=600, exact=20.0),
            Quarter(shortest=6, longest=9, n_pairs=634, exact=5.25),
        ),
        "alignment": {(0, 0): 0.5, (1, 3): 0.061},
    }
    return Report(**figures | changes)


def test_a_report_shows_all_its_figures():
    text = text_of(show_report(make_report()))
    for figure in ("1,234", "12.35", "56.79", "34.50", "chrF: nrefs:1|chrF", "BLEU: nrefs:1|BLEU"):
        assert figure in text, figure
    assert "left out" not in text
    assert "rows left out      7" in text_of(show_report(make_report(left_out=7)))
    rows = [line.split() for line in text.splitlines()]
    assert ["2-5", "600", "20.00"] in rows
    assert ["6-9", "634", "5.25"] in rows
    assert ["0", "0", "0.500"] in rows
    assert ["1", "3", "0.061", "*"] in rows, "the best head is marked"


def test_a_report_without_alignments_has_no_empty_table():
    text = text_of(show_report(make_report(alignment={})))
    assert "alignment" not in text
    assert "BLEU: nrefs:1|BLEU" in text


def test_the_list_of_models_names_each_size_and_each_family_once():
    models = list_models()
    text = text_of(show_models(models))
    for one in models:
        assert f"{one.parameters:,}" in text
        assert text.count(f"{one.about}") == 1
    assert "none: one fixed context" in text
    assert "8 source self, 8 target self, 8 target cross" in text


def test_info_shows_settings_parts_maps_and_card():
    found = info("transformer-tiny")
    text = text_of(show_info(found))
    rows = [line.split() for line in text.splitlines()]
    for name, value in found.config.items():
        assert [name, str(value)] in rows, name
    for part, n in found.parts.items():
        assert [part, f"{n:,}"] in rows
    assert ["all", f"{found.parameters:,}"] in rows
    assert rows.count(["cross", "1", "4", "target", "source"]) == 1
    assert "card" not in text
    carded = dataclasses.replace(found, card={"data": "[b]\x1b"})
    assert r"[b]\x1b" in text_of(show_info(carded))
    assert "No attention: one fixed context." in text_of(show_info(info("rnn-tiny")))


def make_demo(text: str = "ok") -> Demo:
    contestant = Contestant(
        name="rnn-tiny", parameters=211232, seconds=41.6, report=make_report(alignment={}), folder=Path("d/rnn-tiny")
    )
    others = [
        Contestant(name=name, parameters=7, seconds=1.0, report=make_report(), folder=Path("d") / name)
        for name in ("bahdanau-tiny", "transformer-tiny")
    ]
    samples = (
        Sample(source="[red]in", reference="ok", translations={"rnn-tiny": text, "bahdanau-tiny": "ok"}),
        Sample(source="x" * 1000, reference="y", translations={"rnn-tiny": "z" * 1000}),
    )
    picture = Alignment(np.eye(2), ["a", "b"], ["c", "d"], frozenset({(0, 0)}))
    pictures = (Path("d/alignment.png"), Path("d/alignment.svg"))
    return Demo(
        contestants=(contestant, *others),
        samples=samples,
        alignments={"bahdanau-tiny": picture},
        pictures=pictures,
        pages=(Path("d/bahdanau-tiny.html"),),
        folder=Path("d"),
    )


def test_a_demo_shows_scores_samples_alignments_and_what_to_do_next():
    text = text_of(show_demo(make_demo("[/red]\x07 no\n")))
    rows = [line.split() for line in text.splitlines()]
    assert ["rnn-tiny", "211,232", "42", "12.3", "56.8", "-", "5.2"] in rows
    assert ["bahdanau-tiny", "7", "1", "12.3", "56.8", "0.06", "5.2"] in rows
    assert "[red]in" in text
    assert r"✗ rnn-tiny          [/red]\x07 no\n" in text
    assert "✓ bahdanau-tiny     ok" in text
    assert "c █◆" in text
    assert "alignment.png" in text
    assert "without a network: d/bahdanau-tiny.html" in text
    assert 'qkv translate d/bahdanau-tiny "[red]in" --alignment' in text


def test_long_samples_are_cut_with_an_ellipsis():
    text = text_of(show_demo(make_demo()))
    assert "x" * (LONGEST - 1) + "…" in text
    assert "x" * LONGEST not in text
    assert "z" * (LONGEST - 1) + "…" in text


def test_translations_are_one_per_line():
    done = [Translation("a", "one [b]two", -1.0), Translation("b", "x\ny\tz\x1b[2J", -1.0), Translation("c", "", -1.0)]
    assert text_of(show_translations(done)) == "one [b]two\nx\\ny\\tz\\x1b[2J\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("le 3 mars\u202f2015", "le 3 mars\u202f2015"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("a\r\nb", r"a\r\nb"),
        ("\x85\u2028\x00", r"\x85\u2028\x00"),
        ("日本 é 👩\u200d🚀", "日本 é 👩\u200d🚀"),
    ],
)
def test_control_characters_are_spelled_out_and_nothing_else(text, shown):
    assert one_line(text) == shown


def test_findings_and_rows():
    text = text_of(
        show_doctor(
            [
                Finding(name="torch", ok=True, found="2.12"),
                Finding(name="disk", ok=False, found="[full]", advice="make room"),
            ]
        )
    )
    rows = [line.split() for line in text.splitlines()]
    assert ["✓", "torch", "2.12"] in rows
    assert ["✗", "disk", "[full]", "make", "room"] in rows
    everything = lineage(None)
    text = text_of(show_lineage(everything), width=1000)
    assert all(row.title in text for row in everything)
    assert f"{sum(row.status == 'runs' for row in everything)} runs" in text.splitlines()[-1]
