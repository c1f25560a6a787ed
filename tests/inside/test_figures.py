"""Alignments are drawn as they are: every cell where it belongs, every token as text and nothing else."""

import io
import sys

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len
from rich.console import Console

from qkv.base.errors import UnsupportedError
from qkv.inside.figures import LONGEST, Alignment, draw_alignments, render_alignment, show_token

KNOWN = Alignment(
    np.array([[0.95, 0.05, 0.0], [0.15, 0.3, 0.55], [0.09, 0.69, 0.7], [1.0, 0.49, 0.5]]),
    ["May", "7", "</s>"],
    ["7", "mai", "</s>", ""],
    frozenset({(1, 0), (0, 1)}),
)
HOSTILE = [
    "[red]",
    "[/]",
    "\n",
    "a\tb",
    "\x1b[31m",
    "\u202eabc",
    "\u0301",
    "שלום",
    "日本",
    "👩\u200d🚀",
    "$x^2$",
    "$^$",
    "",
]


def test_a_known_matrix_is_drawn_exactly():
    assert render_alignment(KNOWN).plain == (
        "         <\n     M   /\n     a   s\n     y 7 >\n   7 ██ ◆  \n mai ░◆▒▒▓▓\n</s>   ▓▓██\n   ∅ ██▒▒▓▓\n"
    )


def test_shades_change_at_odd_tenths():
    weights = [0.0, 0.099, 0.1, 0.299, 0.3, 0.499, 0.5, 0.699, 0.7, 1.0]
    drawn = render_alignment(Alignment(np.array([weights]), ["x"] * 10, ["y"])).plain.splitlines()[-1]
    assert drawn.removeprefix("y ")[::2] == "  ░░▒▒▓▓██"


def test_rows_and_columns_are_not_swapped():
    drawn = render_alignment(Alignment(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), list("abc"), list("xy"))).plain
    assert drawn == "  a b c\nx ██    \ny     ██\n"


def test_hostile_tokens_stay_in_their_cells():
    n = len(HOSTILE)
    drawn = render_alignment(Alignment(np.eye(n), HOSTILE, HOSTILE)).plain
    lines = drawn.splitlines()
    rows = lines[-n:]
    margin = {cell_len(row[: row.index("█")]) - 2 * t for t, row in enumerate(rows)}
    assert len(margin) == 1, "every row begins at the same place"
    assert {cell_len(row) for row in rows} == {margin.pop() + 2 * n}
    assert all(char.isprintable() or char == "\n" for char in drawn)
    header = "".join(lines[:-n])
    assert "␣" in header
    assert "�" in header
    assert "◌\u0301" in header
    for token in ("[red]", "[/]", "日本", "שלום", "$x^2$"):
        assert token in drawn, "the name of its row"
    screen = io.StringIO()
    Console(file=screen).print(render_alignment(Alignment(np.eye(n), HOSTILE, HOSTILE)), soft_wrap=True)
    assert screen.getvalue() == drawn + "\n", "no markup is read, nothing is lost"


def test_wide_characters_stand_over_their_columns():
    lines = render_alignment(Alignment(np.eye(3), ["日", "ab", "e\u0301日"], ["年", "x", "\u0301"])).plain.splitlines()
    assert lines == ["     a e\u0301", "   日b 日", "年 ██    ", " x   ██  ", " ◌\u0301     ██"]
    assert {cell_len(line) for line in lines[2:]} == {9}


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        ("mars", "mars"),
        (" ", "␣"),
        ("a\u00a0b\u202f\u2028", "a␣b␣␣"),
        ("\x00\x1b\u200b", "���"),
        ("", "∅"),
        ("x" * 16, "x" * 16),
        ("x" * 17, "x" * 15 + "…"),
        ("日" * 9, "日" * 7 + "…"),
    ],
)
def test_tokens_are_made_visible(token, shown):
    assert show_token(token) == shown
    assert cell_len(shown) <= LONGEST


def test_pictures_are_written_and_repeat_to_the_byte(tmp_path):
    both = {"bahdanau-tiny": KNOWN, "transformer-tiny": KNOWN}
    for name in ("a.png", "a.svg", "a.pdf", "b.png", "b.svg", "b.pdf"):
        draw_alignments(both, tmp_path / name)
    for ending, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        drawn = (tmp_path / f"a.{ending}").read_bytes()
        assert drawn.startswith(start)
        assert drawn == (tmp_path / f"b.{ending}").read_bytes()
    one = tmp_path / "one.png"
    draw_alignments({"bahdanau-tiny": KNOWN}, one)
    with Image.open(one) as single, Image.open(tmp_path / "a.png") as double:
        assert double.width > 1.7 * single.width


def blues(path, n_rows, n_columns):
    """Return how blue each cell of a heat map is, found by its frame of ink: rows, columns."""
    with Image.open(path) as picture:
        ink = np.asarray(picture.convert("RGB")).astype(int)
    coloured = (ink[..., 2] - ink[..., 0]) > 60
    ys, xs = np.where(coloured)
    box = ink[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    height, width = box.shape[0] / n_rows, box.shape[1] / n_columns
    centres = [[box[int((t + 0.5) * height), int((s + 0.5) * width)] for s in range(n_columns)] for t in range(n_rows)]
    return (np.array(centres)[..., 2] - np.array(centres)[..., 0]) > 60


def test_a_picture_shows_the_matrix(tmp_path):
    weights = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 1.0]])
    draw_alignments({"one": Alignment(weights, list("abcd"), list("xyz"))}, tmp_path / "a.png")
    assert (blues(tmp_path / "a.png", 3, 4) == (weights > 0)).all()


def test_gold_is_framed_and_said(tmp_path):
    plain = Alignment(KNOWN.weights, KNOWN.source, KNOWN.target)
    draw_alignments({"with": KNOWN}, tmp_path / "with.svg")
    draw_alignments({"with": plain}, tmp_path / "without.svg")
    frames = [(tmp_path / f"{name}.svg").read_text().count("stroke: #d95f02") for name in ("with", "without")]
    assert frames == [2, 0]


def test_hostile_tokens_are_text_in_pictures(tmp_path):
    hostile = [*HOSTILE, "<script>alert(1)</script>", "&amp;", "]]>"]
    for name in ("a.svg", "a.png"):
        draw_alignments({"$\\frac$ [b]<i>": Alignment(np.eye(len(hostile)), hostile, hostile)}, tmp_path / name)
    assert b"<script" not in (tmp_path / "a.svg").read_bytes()


def test_a_form_that_is_not_written(tmp_path):
    with pytest.raises(UnsupportedError, match=r"Pictures are written as \.png, \.svg, \.pdf, not as a\.jpg"):
        draw_alignments({"one": KNOWN}, tmp_path / "a.jpg")
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_line_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UnsupportedError, match=r'Pictures need matplotlib: pip install "qkv\[plots\]"'):
        draw_alignments({"one": KNOWN}, tmp_path / "a.png")
