"""One grid of cells for models of any kind and image size, so that their maps are ranked, covered and drawn alike."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

FINE, COARSE = 14, 8  # cells along the shorter side: of images of 16-pixel patches, and of small ones
SMALL = 64  # pixels of the shorter side


@dataclass(frozen=True)
class Grid:
    """Rows and columns of cells over an image, of nearly equal size."""

    rows: int
    columns: int

    @property
    def cells(self) -> int:
        return self.rows * self.columns


def grid_for(image_size: tuple[int, int]) -> Grid:
    """Return the grid for images of a height and width: 14 cells along the shorter side, 8 of at most 64 pixels."""
    shorter = min(image_size)
    side = min(shorter, COARSE if shorter <= SMALL else FINE)
    rows, columns = (max(1, round(side * length / shorter)) for length in image_size)
    return Grid(rows, columns)


def to_cells(maps: Tensor, grid: Grid) -> np.ndarray:
    """Return the means of maps [B, height, width] over the cells of a grid: float64 [B, rows * columns].

    A coarser map is read at the cells' places, linearly between its own.
    """
    maps = maps[:, None].double().cpu()
    if maps.shape[2] < grid.rows or maps.shape[3] < grid.columns:
        fine = (max(maps.shape[2], grid.rows), max(maps.shape[3], grid.columns))
        maps = F.interpolate(maps, fine, mode="bilinear", align_corners=False)
    return F.adaptive_avg_pool2d(maps, (grid.rows, grid.columns)).flatten(1).numpy()


def covered(images: Tensor, fill: Tensor, masks: Tensor, grid: Grid) -> Tensor:
    """Return images [B or 1, 3, height, width] with `fill` wherever a cell of `masks` [B, rows * columns] is True."""
    height, width = images.shape[2:]
    row, column = (torch.arange(side) * count // side for side, count in ((height, grid.rows), (width, grid.columns)))
    pixels = masks[:, (row[:, None] * grid.columns + column).flatten()].unflatten(-1, (height, width))
    return torch.where(pixels[:, None].to(images.device), fill, images)
