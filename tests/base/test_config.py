from dataclasses import dataclass, field
from typing import Literal

import pytest

from qkv.base.config import choose, from_dict, to_dict
from qkv.base.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    width: int = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    vocab_size: int
    rate: float = 0.1
    tie: Literal["all", "none"] = "all"
    pre_norm: bool = False
    sizes: tuple[int, ...] = (1, 2)
    span: tuple[int, str] = (1, "a")
    target: int | None = None
    name: str = "x"
    inner: Inner = Inner()
    other: Inner | None = None
    tags: tuple[str, ...] = field(default_factory=tuple)


FULL = Outer(
    vocab_size=5,
    rate=0.5,
    tie="none",
    pre_norm=True,
    sizes=(),
    span=(2, "b"),
    target=7,
    inner=Inner(width=3),
    other=Inner(),
    tags=("a",),
)


@pytest.mark.parametrize("cfg", [FULL, Outer(vocab_size=1)])
def test_what_is_written_is_read_back(cfg):
    assert from_dict(Outer, to_dict(cfg), "here") == cfg


def test_plain_values_in_order_and_absent_options_left_out():
    plain = to_dict(FULL)
    assert list(plain)[:3] == ["vocab_size", "rate", "tie"]
    assert plain["inner"] == {"width": 3}
    assert {"target", "other"}.isdisjoint(to_dict(Outer(vocab_size=1)))


def test_values_get_the_type_of_their_field():
    cfg = from_dict(Outer, {"vocab_size": 5, "rate": 1, "sizes": [3, 4], "span": [1, "b"]}, "here")
    assert (cfg.rate, type(cfg.rate), cfg.sizes, cfg.span) == (1.0, float, (3, 4), (1, "b"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vocab_size", 5.0),
        ("vocab_size", True),
        ("vocab_size", "5"),
        ("vocab_size", None),
        ("rate", "0.1"),
        ("rate", False),
        ("tie", "some"),
        ("pre_norm", 1),
        ("sizes", [1, 2.5]),
        ("sizes", 3),
        ("sizes", "12"),
        ("span", [1]),
        ("span", ["a", 1]),
        ("target", "seven"),
        ("name", None),
        ("inner", 5),
        ("inner", None),
        ("other", [1]),
    ],
)
def test_a_value_of_another_type_is_refused(name, value):
    with pytest.raises(ConfigError) as caught:
        from_dict(Outer, {"vocab_size": 5} | {name: value}, "model.toml")
    assert str(caught.value).startswith(f'model.toml: "{name}" is {value!r}, wanted ')


def test_unknown_keys_get_the_nearest_name():
    with pytest.raises(ConfigError, match=r'here: unknown key "vocab_sise". Did you mean "vocab_size"\?'):
        from_dict(Outer, {"vocab_size": 5, "vocab_sise": 6}, "here")


def test_all_faults_are_told_at_once():
    data = {"rats": 1, "tie": "some", "pre_norm": "yes", "zzz": 0}
    with pytest.raises(ConfigError) as caught:
        from_dict(Outer, data, "here")
    for fault in (
        '"rats"',
        '"rate"',
        '"zzz"',
        'missing key "vocab_size"',
        "\"tie\" is 'some'",
        "\"pre_norm\" is 'yes'",
    ):
        assert fault in str(caught.value)


def test_faults_inside_a_nested_configuration_name_the_place():
    with pytest.raises(ConfigError, match=r'here: inner: unknown key "widht". Did you mean "width"\?'):
        from_dict(Outer, {"vocab_size": 5, "inner": {"widht": 3}}, "here")
    with pytest.raises(ConfigError, match=r"here: other: \"width\" is 'wide', wanted int"):
        from_dict(Outer, {"vocab_size": 5, "other": {"width": "wide"}}, "here")


def test_a_choice_is_spelled_out():
    with pytest.raises(ConfigError, match=r'"tie" is \'some\', wanted "all" or "none"'):
        from_dict(Outer, {"vocab_size": 5, "tie": "some"}, "here")
    with pytest.raises(ConfigError, match=r"\"target\" is 'a', wanted int or nothing"):
        from_dict(Outer, {"vocab_size": 5, "target": "a"}, "here")


def test_choose_names_what_there_is():
    assert choose("device", "cpu", {"cpu": 1}, "here") == 1
    with pytest.raises(ConfigError, match=r'here: device "cqu" is not one of cpu, cuda. Did you mean "cpu"\?'):
        choose("device", "cqu", {"cpu": 1, "cuda": 2}, "here")
