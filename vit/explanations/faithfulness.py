"""Whether a map is better than chance: what becomes of the answer when cells are taken away, or put back, in its order.

K cells of a grid, S steps. After RISE (Petsiuk et al. 2018, arXiv:1806.07421), on cells and not on pixels, so that maps
of any resolution are asked the same; and always beside random orders, without which such an area says little
(Wu et al. 2024, arXiv:2404.01415: popular metrics hardly tell advanced methods from random ones).
"""

from collections.abc import Callable, Sequence
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
    steps: int = 20
    random_orders: int = 5

    def in_words(self, grid: Grid) -> str:
        orders = "1 random order" if self.random_orders == 1 else f"{self.random_orders} random orders"
        cells = f"a grid of {grid.rows} x {grid.columns} cells, covered with {FILLS[self.fill]} in {self.steps} steps"
        return f"{cells}, beside {orders} an image"

    @property
    def forwards(self) -> int:
        """Return how many answers one image takes."""
        return 2 + 2 * (self.steps - 1) * (1 + self.random_orders)


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


def curves_of(
    answer: Callable[[Tensor], np.ndarray],
    image: Tensor,
    relevance: np.ndarray,
    grid: Grid,
    protocol: Protocol,
    key: str,
) -> Curves:
    """Return the curves of one image [1, 3, height, width] and a map of it over the grid [K].

    `answer` gives the class's probability of images; `key` names the image, which draws its random orders.
    """
    generator = np.random.default_rng(derive_seed("random orders", key))
    orders = [in_order(relevance, generator)]
    orders += [generator.permutation(grid.cells) for _ in range(protocol.random_orders)]
    filled = fill_of(image, protocol.fill)
    whole, nothing = answer(image)[0], answer(filled)[0]
    found = _answers(answer, image, filled, _masks(orders, grid, protocol.steps), grid)
    inner = found.reshape(len(orders), 2, protocol.steps - 1)
    ends = np.broadcast_to(np.array([[whole, nothing], [nothing, whole]])[None], (len(orders), 2, 2))
    curves = np.concatenate([ends[..., :1], inner, ends[..., 1:]], axis=2)
    return Curves(curves[0, 0], curves[0, 1], curves[1:, 0], curves[1:, 1])


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


def _masks(orders: Sequence[np.ndarray], grid: Grid, steps: int) -> Tensor:
    """Return which cells are covered, order after order: S - 1 steps of deletion, then as many of insertion."""
    masks = []
    for order in orders:
        place = np.empty(grid.cells, dtype=int)
        place[order] = np.arange(grid.cells)
        counts = np.round(np.arange(1, steps) / steps * grid.cells).astype(int)[:, None]
        masks += [place < counts, place >= counts]
    return torch.from_numpy(np.concatenate(masks))


def _answers(
    answer: Callable[[Tensor], np.ndarray], image: Tensor, filled: Tensor, masks: Tensor, grid: Grid
) -> np.ndarray:
    return np.concatenate([answer(covered(image, filled, some, grid)) for some in masks.split(AT_ONCE)])
