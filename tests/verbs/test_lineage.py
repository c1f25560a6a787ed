import pytest

from qkv.base.errors import ConfigError
from qkv.verbs import lineage as module
from qkv.verbs.lineage import STATUSES, Row, lineage


def test_the_lineage_has_all_items_in_order():
    rows = lineage()
    assert [row.id for row in rows] == list(range(1, 161))
    assert len({row.title for row in rows}) == 160
    assert rows[5].title == "Bahdanau's additive attention"


def test_statuses_share_out_the_items():
    assert sorted(row.id for status in STATUSES for row in lineage(status)) == list(range(1, 161))
    assert {row.id for row in lineage("told")} >= {157, 160}


def test_an_unknown_status_is_refused():
    with pytest.raises(ConfigError, match=r'status "planed" is not one of runs, .* Did you mean "planned"'):
        lineage("planed")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("status = 'soon'", "\"status\" is 'soon'"),
        ("status = 'runs'\nprof = 'qkv demo'", 'unknown key "prof"'),
        ("id = 'one'\nstatus = 'runs'", "\"id\" is 'one'"),
        ("", 'missing key "status"'),
    ],
)
def test_a_row_that_is_not_understood_is_refused(line, message, tmp_path, monkeypatch):
    head = "" if "id" in line else "id = 1\n"
    (tmp_path / "lineage.toml").write_text(f"[[item]]\n{head}title = 'a'\n{line}\n")
    monkeypatch.setattr(module, "files", lambda package: tmp_path)
    with pytest.raises(ConfigError, match="lineage.toml, item 1: .*" + message):
        lineage()


def test_rows_are_plain_values():
    assert lineage()[156] == Row(
        id=157,
        title="Methods before deep learning: Hough, SIFT, features with classic learners",
        status="told",
        reason="out of scope",
    )
