"""Attention inside the windows of a map: Liu et al. 2021, section 3.2 (https://arxiv.org/abs/2103.14030)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qkv.nn.attention import Attention
from qkv.nn.cache import KeyValue
from qkv.nn.linear import kept
from qkv.nn.where import EVERYWHERE, Where
from qkv.ops.windows import Pair, Windows, cut, find_windows, fit_to_each_side, fit_to_shorter_side, paste


class WindowAttention(Attention):
    """Attention of each place to those in its window, with a learned number for each offset: eq. 4.

    Each window is a row of the batch. `where.windows` says how the map is cut.
    """

    def __init__(self, d_model: int, n_heads: int, window: Pair, *, dropout: float = 0.0) -> None:
        super().__init__(d_model, n_heads, dropout=dropout)
        self.table = nn.Parameter(torch.zeros((2 * window[0] - 1) * (2 * window[1] - 1), n_heads))

    def forward(
        self,
        x: Float[Tensor, "b t m"],
        where: Where = EVERYWHERE,
        memory: None = None,
        cache: KeyValue | None = None,
    ) -> Float[Tensor, "b t m"]:
        """Return what each place gathers from its window."""
        return paste(super().forward(cut(x, where.windows), where), where.windows)  # type: ignore[arg-type]

    def see(self, q: Float[Tensor, "b h t d"], k: Float[Tensor, "b h t d"], where: Where) -> Where:
        """Add the numbers of the offsets, and what keeps apart places that are no neighbours."""
        windows: Windows = where.windows  # type: ignore[assignment]
        bias = self.table[windows.relative].permute(2, 0, 1)[None]
        if windows.apart is not None:
            bias = (bias + windows.apart[:, None]).repeat(q.size(0) // windows.apart.size(0), 1, 1, 1)
        return where._replace(bias=bias)

    def keep(self, heads: Sequence[int]) -> None:
        """Forget all heads but these, with their numbers for offsets."""
        super().keep(heads)
        self.table = kept(self.table, 1, torch.tensor(sorted(heads)))


class Cutter(nn.Module):
    """How maps are cut in every second layer of a stage: known beforehand for maps of one size, found for others.

    With `shift_first` window and shift fit that one size, as timm has it; without, the map at hand.
    """

    def __init__(self, grid: Pair, window: int, *, shifted: bool, shift_first: bool) -> None:
        super().__init__()
        self.grid, self.window, self.shifted, self.shift_first = grid, window, shifted, shift_first
        self.fill_buffers()

    def fit(self, grid: Pair) -> tuple[Pair, Pair]:
        """Return the window and the shift on a grid."""
        each = self.shift_first
        window, shift = fit_to_each_side(self.grid, self.window) if each else fit_to_shorter_side(grid, self.window)
        return window, shift if self.shifted else (0, 0)

    def table(self) -> Pair:
        """Return the window that the tables of offsets are made for."""
        return self.fit(self.grid)[0] if self.shift_first else (self.window, self.window)

    def find(self, grid: Pair, like: Tensor | None = None) -> Windows:
        """Cut a grid, with tensors on the device of `like`, and of its type."""
        windows = find_windows(grid, *self.fit(grid), self.table(), shift_first=self.shift_first)
        if like is None:
            return windows
        apart = None if windows.apart is None else windows.apart.to(like)
        return Windows(*(x.to(like.device) for x in windows[:3]), apart)  # type: ignore[union-attr]

    def fill_buffers(self, like: Tensor | None = None) -> None:
        """Compute the tables again, of the type and on the device of `like`: after building on the meta device."""
        for name, x in zip(Windows._fields, self.find(self.grid, like), strict=True):
            self.register_buffer(name, x, persistent=False)

    def forward(self, x: Float[Tensor, "b y x m"]) -> Windows:
        """Return how a map is cut."""
        grid = (x.size(1), x.size(2))
        return Windows(*(getattr(self, name) for name in Windows._fields)) if grid == self.grid else self.find(grid, x)
