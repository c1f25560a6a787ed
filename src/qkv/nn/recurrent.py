"""Recurrent cells and a bidirectional encoder.

A cell is written so that all that does not depend on the past is one product for the whole sequence (`gates`), and
only the rest is stepped. The first axis of its recurrent weights runs over directions, so that a bidirectional net
steps both at once. A state is a tuple of tensors, each (directions, b, n).
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

State = tuple[Tensor, ...]
Step = Callable[[Tensor, State], State]


class Cell(nn.Module):
    """What the two kinds of cell share: the input's part of the gates, and the recurrent weights."""

    n_gates: int
    n_states: int
    stepper: Callable[[], Step]  # makes the function (gates of one step, state) -> next state; others see state[0]

    def __init__(self, d_input: int, d_hidden: int, n_directions: int = 1) -> None:
        super().__init__()
        self.d_hidden, self.n_directions = d_hidden, n_directions
        self.input = nn.Linear(d_input, n_directions * self.n_gates * d_hidden)
        self.hidden = nn.Parameter(torch.empty(n_directions, d_hidden, self.n_gates * d_hidden))
        nn.init.uniform_(self.hidden, -(d_hidden**-0.5), d_hidden**-0.5)

    def gates(self, x: Float[Tensor, "b t k"]) -> Float[Tensor, "r b t g"]:
        """Return the input's part of all gates, for every step and direction r."""
        return self.input(x).unflatten(-1, (self.n_directions, -1)).movedim(2, 0)

    def blank(self, gates: Float[Tensor, "r b t g"]) -> State:
        """Return the state before the first step: zeros."""
        return (gates.new_zeros(*gates.shape[:2], self.d_hidden),) * self.n_states


class Gru(Cell):
    """Gated recurrent unit, the reset gate before the product: Cho et al. 2014; Bahdanau et al. 2015, section A.1.1.

    (cuDNN and torch.nn.GRU reset after the product; theirs is another cell.) Gates in order: update z, reset r, new.
    """

    n_gates, n_states = 3, 1

    def stepper(self) -> Step:
        """Return s' = (1 - z) s + z tanh(new + U (r s))."""
        u_gates, u_new = self.hidden.split((2 * self.d_hidden, self.d_hidden), -1)

        def step(gates: Tensor, state: State) -> State:
            (s,) = state
            open_, new = gates.split((2 * self.d_hidden, self.d_hidden), -1)
            z, r = (open_ + s @ u_gates).sigmoid().chunk(2, -1)
            return (torch.lerp(s, (new + (r * s) @ u_new).tanh(), z),)

        return step


class Lstm(Cell):
    """Long short-term memory with a forget gate: Gers et al. 2000, as torch.nn.LSTM has it.

    Gates in order: input, forget, cell, output. The state is (h, c).
    """

    n_gates, n_states = 4, 2

    def stepper(self) -> Step:
        """Return c' = f c + i tanh(g), h' = o tanh(c')."""

        def step(gates: Tensor, state: State) -> State:
            h, c = state
            i, f, g, o = (gates + h @ self.hidden).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            return o.sigmoid() * c.tanh(), c

        return step


CELLS: dict[str, type[Cell]] = {"gru": Gru, "lstm": Lstm}


def line_up(mask: Bool[Tensor, "b s"]) -> Int[Tensor, "r b s"]:
    """Return, for both directions, the order in which to read each row: real tokens first, wherever padding lies."""
    padding = (~mask).long()
    forward = padding.argsort(dim=-1, stable=True)
    backward = mask.size(1) - 1 - padding.flip(-1).argsort(dim=-1, stable=True)
    return torch.stack((forward, backward))


class BidirectionalEncoder(nn.Module):
    """Read a sequence in both directions: Bahdanau et al. 2015, section 3.2; annotations h_j = [forward; backward]."""

    def __init__(self, cell: Cell) -> None:
        super().__init__()
        self.cell = cell

    def forward(
        self, x: Float[Tensor, "b s k"], mask: Bool[Tensor, "b s"]
    ) -> tuple[Float[Tensor, "b s m"], Float[Tensor, "r b n"]]:
        """Return the annotations (zeros at padding) and the last hidden state of each direction."""
        order = line_up(mask)
        gates = self.cell.gates(x)
        gates = gates.gather(2, order[..., None].expand_as(gates))
        step, state, seen = self.cell.stepper(), self.cell.blank(gates), []
        for now in gates.unbind(2):
            state = step(now, state)
            seen.append(state[0])
        read = torch.stack(seen, 2)  # r b s n, in reading order
        last = (mask.sum(-1) - 1).clamp(min=0).view(1, -1, 1, 1).expand(2, -1, 1, read.size(-1))
        final = read.gather(2, last).squeeze(2)
        back = order.argsort(-1)[..., None].expand_as(read)
        annotations = torch.cat(read.gather(2, back).unbind(0), -1)
        return annotations.masked_fill(~mask[..., None], 0.0), final
