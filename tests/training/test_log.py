import json
import math

import pytest

from qkv.base.errors import DataError
from qkv.training.log import Log, read_log


def test_figures_come_back_as_they_were(tmp_path):
    log = Log(tmp_path / "metrics.jsonl")
    lines = [{"step": 1, "loss": 0.1 + 0.2, "skipped": False}, {"step": 2, "loss": math.inf, "low": -math.inf, "n": 3}]
    for line in lines:
        log.add(line)
    assert read_log(log.path) == lines
    log.add({"step": 3, "loss": math.nan})
    assert math.isnan(read_log(log.path)[2]["loss"])


def test_each_line_is_json_as_every_reader_knows_it(tmp_path):
    Log(tmp_path / "log").add({"step": 1, "loss": math.nan})
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert json.loads(line, parse_constant=pytest.fail) == {"step": 1, "loss": "nan"}


def test_lines_of_later_steps_are_cut(tmp_path):
    log = Log(tmp_path / "log")
    for step in (1, 2, 2, 3, 4):
        log.add({"step": step})
    log.cut_after(2)
    assert [line["step"] for line in read_log(log.path)] == [1, 2, 2]
    log.add({"step": 3})
    assert [line["step"] for line in read_log(log.path)] == [1, 2, 2, 3]
    log.cut_after(0)
    assert read_log(log.path) == []


@pytest.mark.parametrize("half", ['{"step": 2', '{"step": 2}', '{"step": 12', '{"text": "\xc3', "\0\0\0"])
def test_a_half_line_is_not_read_and_is_repaired(tmp_path, half):
    log = Log(tmp_path / "log")
    log.add({"step": 1})
    with (tmp_path / "log").open("ab") as file:
        file.write(half.encode("latin-1"))
    assert read_log(log.path) == [{"step": 1}]
    log.cut_after(5)
    log.add({"step": 2})
    assert read_log(log.path) == [{"step": 1}, {"step": 2}]


def test_a_log_that_needs_no_cut_is_not_written_again(tmp_path):
    log = Log(tmp_path / "log")
    log.add({"step": 1})
    before = log.path.stat().st_ino
    log.cut_after(1)
    assert log.path.stat().st_ino == before


def test_no_log_yet_is_nothing_to_cut(tmp_path):
    Log(tmp_path / "log").cut_after(3)
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("line", ["", "nonsense", "[]", "{}", '{"step": "one"}', '{"step": 1.5}'])
def test_a_line_that_is_no_step_is_refused(tmp_path, line):
    (tmp_path / "log").write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')
    with pytest.raises(DataError, match="no JSON object with a step"):
        read_log(tmp_path / "log")
    with pytest.raises(DataError, match="no JSON object with a step"):
        Log(tmp_path / "log").cut_after(1)
