import pytest
import torch

from qkv.nn.embed import ConcatenatedPositions, LearnedPositions, SinCosPositions, fill_buffers, make_positions
from qkv.ops.positions import SIN_COS

KINDS = (*SIN_COS, "learned", "concatenated")


@pytest.mark.parametrize("layout", SIN_COS)
def test_fixed_tables_are_added_and_no_file_holds_them(layout):
    positions, x, at = make_positions(layout, 9, 6), torch.randn(2, 3, 6), torch.tensor([[0, 1, 2], [5, 0, 8]])
    assert isinstance(positions, SinCosPositions)
    assert torch.equal(positions(x, at), x + SIN_COS[layout](9, 6)[at])
    assert not positions.state_dict() and not list(positions.parameters())


def test_a_learned_table_is_added():
    positions, x, at = make_positions("learned", 9, 6), torch.randn(2, 3, 6), torch.tensor([[4, 0, 8]])
    assert isinstance(positions, LearnedPositions)
    assert torch.equal(positions(x, at), x + positions.table.weight[at[0]])


def test_concatenating_a_position_is_adding_a_linear_map_of_it():
    """An erratum of the lectures: W [x; p] = W1 x + W2 p, so that nothing is gained by joining."""
    positions, x, at = (
        make_positions("concatenated", 9, 6).double(),
        torch.randn(2, 3, 6).double(),
        torch.arange(3)[None],
    )
    assert isinstance(positions, ConcatenatedPositions)
    w1, w2 = positions.join.weight.chunk(2, 1)
    added = x @ w1.T + SIN_COS["interleaved"](9, 6)[at].double() @ w2.T
    torch.testing.assert_close(positions(x, at), added, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_tells_places_apart_and_the_same_place_alike(kind):
    positions, x = make_positions(kind, 9, 6), torch.randn(1, 1, 6).expand(1, 4, 6)
    told = positions(x, torch.tensor([[3, 5, 3, 0]]))[0]
    assert torch.equal(told[0], told[2])
    assert (told[0] - told[1]).abs().max() > 1e-3 and (told[0] - told[3]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_tables_are_filled_again_after_building_on_meta(kind):
    direct = make_positions(kind, 9, 6)
    with torch.device("meta"):
        late = make_positions(kind, 9, 6)
    late.to_empty(device="cpu").load_state_dict(direct.state_dict())
    fill_buffers(late)
    x, at = torch.randn(1, 2, 6), torch.tensor([[7, 8]])
    assert torch.equal(late(x, at), direct(x, at))


def test_a_filled_table_keeps_its_type():
    positions = make_positions("halves", 9, 6).double()
    fill_buffers(positions)
    assert [table.dtype for table in positions.buffers()] == [torch.float64]
