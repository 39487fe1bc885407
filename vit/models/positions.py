"""Where a patch is: the kinds of positions; and those that are computed, sines and cosines of a place.

D embed_dim. A prefix has none. Other grids have positions of their own: nothing is resampled.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

PositionsName = Literal["learned", "sincos_2d", "sincos_1d", "rope", "rope_mixed", "none"]
Grid = tuple[int, int]  # rows and columns of the patches
BASE = 10_000.0  # wavelengths lie between 2 pi and 2 pi times as many places


def grid_of(tokens: int, native: Grid) -> Grid:
    """Return rows and columns of so many patches of an image of the native shape; raises ValueError for another."""
    rows = round(native[0] * (tokens / (native[0] * native[1])) ** 0.5)
    if rows * (tokens // rows) != tokens:
        raise ValueError(f"{tokens} patches are no grid of the shape {native[0]} x {native[1]}")
    return rows, tokens // rows


def check_proportions(grid: Grid, native: Grid) -> None:
    """Raise ValueError for a grid of another shape than the native one, whose rows no number of patches tells."""
    if grid[0] * native[1] != grid[1] * native[0]:
        raise ValueError(f"patches of {grid[0]} x {grid[1]} are not of the model's shape, {native[0]} x {native[1]}")


def waves(places: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return sines and cosines [places, count] of places at the frequencies BASE^(-i / count), i = 0, 1, ..."""
    frequencies = BASE ** -(torch.arange(count, dtype=torch.float64) / count)
    angles = places.double()[:, None] * frequencies
    return angles.sin(), angles.cos()


def sincos_1d(grid: Grid, embed_dim: int) -> Tensor:
    """Return [rows * columns, D] of patches in the order of reading, sine and cosine in turns.

    Vaswani et al. 2017, arXiv:1706.03762, section 3.5. Raises ValueError where D is odd.
    """
    if embed_dim % 2:
        raise ValueError(f"positions sincos_1d need an even embed_dim, given {embed_dim}")
    sines, cosines = waves(torch.arange(grid[0] * grid[1]), embed_dim // 2)
    return torch.stack([sines, cosines], dim=-1).flatten(1)


def sincos_2d(grid: Grid, embed_dim: int) -> Tensor:
    """Return [rows * columns, D]: sines and cosines of the column, then of the row, a quarter of D each.

    In the order that MAE's weights have (He et al. 2022, arXiv:2111.06377); timm calls it `reverse_coord` and
    `interleave_sin_cos`. Raises ValueError where 4 does not divide D.
    """
    if embed_dim % 4:
        raise ValueError(f"positions sincos_2d need an embed_dim that 4 divides, given {embed_dim}")
    of_row, of_column = (torch.cat(waves(torch.arange(side), embed_dim // 4), dim=1) for side in grid)
    return torch.cat([of_column.repeat(grid[0], 1), of_row.repeat_interleave(grid[1], 0)], dim=1)


FIXED: dict[str, Callable[[Grid, int], Tensor]] = {"sincos_1d": sincos_1d, "sincos_2d": sincos_2d}


def fixed_positions(name: str, grid: Grid, embed_dim: int) -> Tensor:
    """Return computed positions [1, rows * columns, D], in fp32."""
    return FIXED[name](grid, embed_dim).float()[None]
