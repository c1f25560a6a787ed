"""The settings that all other tests rely on: warnings fail, shapes are checked, the network is shut."""

import os
import socket
import warnings

import pytest

from house.tree import REPO


@pytest.mark.parametrize("module", ["qkv", "qkv.nn.attention", "torch.nn.functional", "tests.anything"])
def test_a_warning_fails_the_test_that_sees_it(module):
    with pytest.raises(UserWarning, match="planted"):
        warnings.warn_explicit("planted", UserWarning, "planted.py", 1, module=module)


def test_a_warning_that_another_package_gives_itself_passes(recwarn):
    warnings.warn_explicit("planted", DeprecationWarning, "planted.py", 1, module="transformers.modeling_utils")
    assert len(recwarn) == 1


def test_wrong_types_and_shapes_raise():
    from jaxtyping import TypeCheckError

    from qkv.base import errors

    with pytest.raises(TypeCheckError):
        errors.nearest(3, ["bert"])  # pyright: ignore[reportArgumentType]


def test_other_machines_are_out_of_reach():
    with pytest.raises(ConnectionError, match="without a network"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


def test_the_home_of_qkv_is_not_the_users(tmp_path_factory):
    assert os.environ["QKV_HOME"].startswith(str(tmp_path_factory.getbasetemp()))


def test_the_citation_names_the_version():
    import qkv

    assert f"\nversion: {qkv.__version__}\n" in (REPO / "CITATION.cff").read_text("utf-8")
