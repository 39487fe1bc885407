"""Whether a map is better than chance: what becomes of the answer when cells are taken away, or put back, in its order.

K cells of a grid, S steps. After RISE (Petsiuk et al. 2018, arXiv:1806.07421), on cells and not on pixels, so that maps
of any resolution are asked the same; and always beside random orders, without which such an area says little
(Wu et al. 2024, arXiv:2404.01415: popular metrics hardly tell advanced methods from random ones).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..randomness import derive_seed
from .cells import Grid, covered

Fill = Literal["mean", "blur"]
FILLS: dict[str, str] = {"mean": "the mean colour", "blur": "a blurred copy of the image"}
AT_ONCE = 32  # covered images
BLUR = 1 / 12  # of the shorter side: the deviation of the blurred copy


@dataclass(frozen=True)
class Protocol:
    """How faithfulness is measured: what covers a cell, in how many steps, beside how many random orders an image."""

    fill: Fill = "mean"
    steps: int = 10
    random_orders: int = 3

    def in_words(self, grid: Grid) -> str:
        orders = "1 random order" if self.random_orders == 1 else f"{self.random_orders} random orders"
        cells = f"a grid of {grid.rows} x {grid.columns} cells, covered with {FILLS[self.fill]} in {self.steps} steps"
        return f"{cells}, beside {orders} an image"


@dataclass(frozen=True)
class Curves:
    """A class's probability in S + 1 steps from none to all cells: taken away in a map's order, and put back in it.

    `random_deletion` and `random_insertion` are those of random orders [R, S + 1].
    """

    deletion: np.ndarray
    insertion: np.ndarray
    random_deletion: np.ndarray
    random_insertion: np.ndarray

    @property
    def gains(self) -> tuple[float, float]:
        """Return by how much the areas are better than the random orders' mean: in deletion, and in insertion."""
        return (
            float(area(self.random_deletion).mean() - area(self.deletion)),
            float(area(self.insertion) - area(self.random_insertion).mean()),
        )


def area(curve: np.ndarray) -> np.ndarray:
    """Return the areas under curves [..., S + 1] over the share of cells, by the trapezoid rule."""
    return (curve.sum(-1) - (curve[..., 0] + curve[..., -1]) / 2) / (curve.shape[-1] - 1)


class Covering:
    """One image of a model's, with cells taken away and put back: in a map's order, and in random ones.

    `answer` gives the probabilities [B, classes] of images; `key` names the image, which draws its random orders.
    """

    def __init__(
        self, answer: Callable[[Tensor], np.ndarray], image: Tensor, grid: Grid, protocol: Protocol, key: str
    ) -> None:
        self._answer, self._image, self._grid, self._steps = answer, image, grid, protocol.steps
        self._filled = fill_of(image, protocol.fill)
        self._generator = np.random.default_rng(derive_seed("random orders", key))
        self.whole, self._nothing = answer(torch.cat([image, self._filled]))  # probabilities [classes]
        self._random = np.stack(
            [self._followed(self._generator.permutation(grid.cells)) for _ in range(protocol.random_orders)]
        )  # [R, 2, S + 1, classes]: the same for every map of this image

    def curves(self, relevance: np.ndarray, wanted: int) -> Curves:
        """Return the curves of a class for a map over the grid [K]."""
        deletion, insertion = self._followed(in_order(relevance, self._generator))[..., wanted]
        return Curves(deletion, insertion, self._random[:, 0, :, wanted], self._random[:, 1, :, wanted])

    def _followed(self, order: np.ndarray) -> np.ndarray:
        """Return the probabilities as cells go, and as they come back, in an order: [2, S + 1, classes]."""
        masks = _masks(order, self._grid, self._steps)
        parts = [self._answer(covered(self._image, self._filled, some, self._grid)) for some in masks.split(AT_ONCE)]
        inner = np.concatenate(parts).reshape(2, self._steps - 1, -1)
        first, last = np.stack([self.whole, self._nothing]), np.stack([self._nothing, self.whole])
        return np.concatenate([first[:, None], inner, last[:, None]], axis=1)


def in_order(relevance: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return the cells from the most to the least relevant; equal ones in random order, which no place decides."""
    shuffled = generator.permutation(len(relevance))
    return shuffled[np.argsort(-relevance[shuffled], kind="stable")]


def fill_of(images: Tensor, fill: Fill) -> Tensor:
    """Return what covers cells of normalised images: zeros, their mean colour; or themselves, blurred."""
    if fill == "mean":
        return torch.zeros_like(images)
    deviation = max(1.0, BLUR * min(images.shape[2:]))
    reach = min(int(3 * deviation), min(images.shape[2:]) - 1)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=images.device) / deviation) ** 2)
    weights = (weights / weights.sum()).to(images.dtype)
    channels = images.shape[1]
    padded = F.pad(images, (reach,) * 4, mode="reflect")
    down = F.conv2d(padded, weights.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(down, weights.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)


def _masks(order: np.ndarray, grid: Grid, steps: int) -> Tensor:
    """Return which cells are covered: S - 1 steps of deletion, then as many of insertion."""
    place = np.empty(grid.cells, dtype=int)
    place[order] = np.arange(grid.cells)
    counts = np.round(np.arange(1, steps) / steps * grid.cells).astype(int)[:, None]
    return torch.from_numpy(np.concatenate([place < counts, place >= counts]))
