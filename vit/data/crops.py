"""Random resized crops: which region of an image is seen, and how it becomes the model's size."""

import math
import random
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .jpeg import Box

ATTEMPTS = 10


@dataclass(frozen=True)
class RandomResizedCrop:
    """Szegedy et al. 2015, arXiv:1409.4842: a region of random area and shape, resized to height and width `size`."""

    size: tuple[int, int]
    scale: tuple[float, float]
    ratio: tuple[float, float]
    interpolation: Literal["bilinear", "bicubic"]

    def box(self, width: int, height: int, seed: int) -> Box:
        """Draw a region of an image, distributed as torchvision's.

        The area is drawn uniformly, width to height log-uniformly, and both again where the region does not fit. After
        ten attempts it is the largest region in the centre whose shape is allowed.
        """
        generator = random.Random(seed)
        lowest, highest = (math.log(bound) for bound in self.ratio)
        for _ in range(ATTEMPTS):
            area = width * height * generator.uniform(*self.scale)
            ratio = math.exp(generator.uniform(lowest, highest))
            across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < across <= width and 0 < down <= height:
                left, top = generator.randint(0, width - across), generator.randint(0, height - down)
                return left, top, left + across, top + down
        return self._centre(width, height)

    def resized(self, pixels: np.ndarray) -> Tensor:
        """Bring a region [h, w, 3] to size with Pillow's filter: uint8 [3, height, width]."""
        image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
        return F.interpolate(image, self.size, mode=self.interpolation, antialias=True)[0]

    def _centre(self, width: int, height: int) -> Box:
        across = min(width, round(height * self.ratio[1]))
        down = min(height, round(width / self.ratio[0]))
        left, top = (width - across) // 2, (height - down) // 2
        return left, top, left + across, top + down


def random_resized_crop(
    size: tuple[int, int],
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (0.75, 1.3333),
    interpolation: Literal["bilinear", "bicubic"] = "bicubic",
) -> RandomResizedCrop:
    """`scale` of the area, `ratio` of width to height; raises ValueError for what no region has."""
    if not 0 < scale[0] <= scale[1] <= 1:
        raise ValueError(
            f"random_resized_crop.scale goes from above 0 to at most 1, smaller first; given {list(scale)}"
        )
    if not 0 < ratio[0] <= ratio[1]:
        raise ValueError(f"random_resized_crop.ratio is two numbers above 0, smaller first; given {list(ratio)}")
    return RandomResizedCrop(size, scale, ratio, interpolation)
