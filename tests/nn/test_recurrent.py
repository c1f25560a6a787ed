import pytest
import torch
from torch import Tensor, nn

from qkv.nn.recurrent import CELLS, BidirectionalEncoder, Cell, Gru, Lstm, line_up

K, N = 5, 4


def steps(cell: Cell, x: Tensor) -> Tensor:
    gates = cell.gates(x)
    step, state, seen = cell.stepper(), cell.blank(gates), []
    for now in gates.unbind(2):
        state = step(now, state)
        seen.append(state[0])
    return torch.stack(seen, 2)


def test_the_lstm_is_torchs():
    ours, theirs = Lstm(K, N, n_directions=2).double(), nn.LSTM(K, N, batch_first=True, bidirectional=True).double()
    for i, ending in enumerate(("", "_reverse")):
        w, b = (part.chunk(2)[i] for part in (ours.input.weight, ours.input.bias))
        state = {"weight_ih": w, "weight_hh": ours.hidden[i].T, "bias_ih": b, "bias_hh": torch.zeros(4 * N)}
        theirs.load_state_dict({f"{name}_l0{ending}": value for name, value in state.items()}, strict=False)
    x = torch.randn(3, 6, K).double()
    annotations, final = BidirectionalEncoder(ours)(x, torch.ones(3, 6, dtype=torch.bool))
    wanted, (last, _) = theirs(x)
    torch.testing.assert_close(annotations, wanted, rtol=0, atol=1e-12)
    torch.testing.assert_close(final, last, rtol=0, atol=1e-12)


def test_the_gru_resets_before_the_product_and_so_is_not_torchs():
    """s' = (1 - z) s + z tanh(W x + U (r s)): Cho et al. 2014, equations 5 to 8; torch has r (U s) there."""
    cell = Gru(K, N).double()
    x, s = torch.randn(2, 7, K).double(), torch.zeros(2, N).double()
    w_z, w_r, w = cell.input.weight.chunk(3)
    b_z, b_r, b = cell.input.bias.chunk(3)
    u_z, u_r, u = cell.hidden[0].chunk(3, 1)
    wanted = []
    for now in x.unbind(1):
        z, r = torch.sigmoid(now @ w_z.T + b_z + s @ u_z), torch.sigmoid(now @ w_r.T + b_r + s @ u_r)
        after = torch.tanh(now @ w.T + b + r * (s @ u))
        s = (1 - z) * s + z * torch.tanh(now @ w.T + b + (r * s) @ u)
        wanted.append(s)
    torch.testing.assert_close(steps(cell, x)[0], torch.stack(wanted, 1), rtol=0, atol=1e-12)
    assert (after - torch.tanh(now @ w.T + b + (r * s) @ u)).abs().max() > 1e-3


@pytest.mark.parametrize("kind", CELLS)
def test_directions_are_cells_of_their_own(kind):
    both, x = CELLS[kind](K, N, n_directions=2), torch.randn(3, 6, K)
    for i in range(2):
        alone = CELLS[kind](K, N)
        parts = (both.input.weight.chunk(2)[i], both.input.bias.chunk(2)[i], both.hidden[[i]])
        alone.load_state_dict(dict(zip(("input.weight", "input.bias", "hidden"), parts, strict=True)))
        torch.testing.assert_close(steps(both, x)[i], steps(alone, x)[0], rtol=0, atol=1e-6)


def test_rows_line_up_from_their_first_real_token_in_both_directions():
    mask = torch.tensor([[True, True, True, False], [False, True, True, False], [False, False, True, True]])
    forward, backward = line_up(mask)
    assert [row[:n].tolist() for row, n in zip(forward, (3, 2, 2), strict=True)] == [[0, 1, 2], [1, 2], [2, 3]]
    assert [row[:n].tolist() for row, n in zip(backward, (3, 2, 2), strict=True)] == [[2, 1, 0], [2, 1], [3, 2]]


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("gap", [[0, 1, 2], [2, 3, 4], [1, 2, 5], [0, 2, 5]])
def test_annotations_are_those_of_the_sentence_alone(kind, gap):
    """Padding before, after or between the tokens neither is read nor has an annotation."""
    encoder = BidirectionalEncoder(CELLS[kind](K, N, n_directions=2)).double()
    x, mask = torch.randn(2, 6, K).double(), torch.zeros(2, 6, dtype=torch.bool)
    mask[0, gap], mask[1] = True, True
    annotations, final = encoder(x, mask)
    alone, last = encoder(x[:1, gap], torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(annotations[:1, gap], alone, rtol=0, atol=1e-12)
    torch.testing.assert_close(final[:, :1], last, rtol=0, atol=1e-12)
    assert annotations[~mask].eq(0).all()


def test_a_sentence_of_nothing_has_zeros_for_annotations():
    encoder = BidirectionalEncoder(Gru(K, N, n_directions=2))
    annotations, final = encoder(torch.randn(1, 3, K), torch.zeros(1, 3, dtype=torch.bool))
    assert annotations.eq(0).all() and final.isfinite().all()
