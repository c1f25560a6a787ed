import pytest

from qkv.base import errors
from qkv.base.errors import QkvError, nearest


@pytest.mark.parametrize(
    ("name", "code"),
    [("ConfigError", 2), ("ShapeError", 1), ("WeightsError", 1), ("DataError", 65), ("UnsupportedError", 1)],
)
def test_each_error_is_a_qkv_error_with_its_exit_code(name, code):
    error = getattr(errors, name)
    assert issubclass(error, QkvError)
    assert error("what is wrong").exit_code == code


def test_the_nearest_name_is_offered_only_when_one_is_near():
    assert nearest("bahdanu-tiny", ["rnn-tiny", "bahdanau-tiny"]) == ' Did you mean "bahdanau-tiny"?'
    assert nearest("gpt", iter(["rnn-tiny", "bahdanau-tiny"])) == ""
