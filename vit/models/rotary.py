"""Positions within attention: queries and keys are turned by where their patch lies, and their products see offsets.

Su et al. 2021, arXiv:2104.09864; for images Heo et al. 2024, arXiv:2403.13298. H heads, D embed_dim, N tokens.
"""

from collections.abc import Callable
from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import Attention
from .positions import Grid, PositionsName, grid_of

BASE_OF_AXES, BASE_MIXED = 100.0, 10.0  # Heo et al.: frequencies lie between 1 and one over this


def magnitudes(base: float, width: int) -> Tensor:
    """Return base^(-4 i / width), i = 0, 1, ...: as many frequencies as there are pairs of channels for an axis."""
    return base ** -(torch.arange(0, width, 4) / width)


class RotaryAttention(Attention):
    """Attention whose queries and keys are turned, pair of channels by pair, by angles that grow with their place.

    A product q k' then depends on how far the patches lie apart, and not on where. The prefix is not turned.
    """

    joins_maps = False  # a key is turned after its map

    def __init__(self, grid: Grid, prefix: int, embed_dim: int, num_heads: int):
        super().__init__(embed_dim, num_heads)
        self.grid, self.prefix = grid, prefix
        self.width = embed_dim // num_heads
        if self.width % 4:
            raise ValueError(f"rotary positions need heads whose width 4 divides, given {self.width}")

    def turns(self) -> Tensor:
        """Return radians a column and a row: [2, H or 1, D/H/2]."""
        raise NotImplementedError

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = super().heads(x)
        rows, columns = grid_of(x.shape[1] - self.prefix, self.grid)
        of_column, of_row = self.turns().to(x.device).float().unsqueeze(2)  # [H or 1, 1, D/H/2]
        column = torch.arange(columns, device=x.device).repeat(rows)[:, None]
        row = torch.arange(rows, device=x.device).repeat_interleave(columns)[:, None]
        angles = F.pad(column * of_column + row * of_row, (0, 0, self.prefix, 0))  # [H or 1, N, D/H/2]
        cosines, sines = angles.cos(), angles.sin()
        return turned(q, cosines, sines), turned(k, cosines, sines), v


def turned(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Return heads [B, H, N, D/H], each pair of neighbouring channels turned by its angle [H or 1, N, D/H/2]."""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cosines - b * sines, a * sines + b * cosines], dim=-1).flatten(-2).to(x.dtype)


class AxialRotaryAttention(RotaryAttention):
    """Half of the channels are turned by the column, half by the row, by the same frequencies in every head."""

    def turns(self) -> Tensor:
        axis = magnitudes(BASE_OF_AXES, self.width)
        none = torch.zeros_like(axis)
        return torch.stack([torch.cat([axis, none]), torch.cat([none, axis])]).unsqueeze(1)


class MixedRotaryAttention(RotaryAttention):
    """Every pair of channels of every head learns how far a column and how far a row turns it."""

    def __init__(self, grid: Grid, prefix: int, embed_dim: int, num_heads: int):
        super().__init__(grid, prefix, embed_dim, num_heads)
        direction = 2 * pi * torch.rand(num_heads, 1)
        directions = torch.cat([direction, direction + pi / 2], dim=1).repeat_interleave(self.width // 4, 1)
        lengths = magnitudes(BASE_MIXED, self.width).repeat(2)
        self.frequencies = nn.Parameter(torch.stack([directions.cos(), directions.sin()]) * lengths)

    def turns(self) -> Tensor:
        return self.frequencies


ROTARY: dict[
    PositionsName, Callable[[Grid, int, int, int], RotaryAttention]
] = {  # (grid, prefix, embed_dim, num_heads)
    "rope": AxialRotaryAttention,
    "rope_mixed": MixedRotaryAttention,
}
