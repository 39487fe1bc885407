"""Random resized crops: which region of an image is seen, and how it becomes the model's size."""

import math
import random
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from ..decoding.jpeg import Box

ATTEMPTS = 10
CV2_FILTERS = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


@dataclass(frozen=True)
class RandomResizedCrop:
    """Szegedy et al. 2015, arXiv:1409.4842: a region of random area and shape, resized to height and width `size`."""

    size: tuple[int, int]
    scale: tuple[float, float]
    ratio: tuple[float, float]
    interpolation: Literal["bilinear", "bicubic"]
    antialias: bool

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
                left = int(generator.random() * (width - across + 1))  # the same part of a smaller copy
                top = int(generator.random() * (height - down + 1))
                return left, top, left + across, top + down
        return self._centre(width, height)

    def resized(self, pixels: np.ndarray) -> np.ndarray:
        """Bring a region [h, w, 3] to size: uint8 [3, height, width].

        With `antialias` as Pillow does it. Without, it is halved while it stays large enough, by means of 2 x 2 pixels,
        and then taken from the 2 x 2 or 4 x 4 pixels around each place, whatever the scale.
        """
        height, width = self.size
        enlarged = pixels.shape[0] <= height and pixels.shape[1] <= width
        if self.antialias and not (enlarged and self.interpolation == "bilinear"):  # where both ways are one
            image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
            return F.interpolate(image, self.size, mode=self.interpolation, antialias=True)[0].numpy()
        while pixels.shape[0] >= 2 * height and pixels.shape[1] >= 2 * width:
            down, across = (side // 2 for side in pixels.shape[:2])
            pixels = cv2.resize(pixels[: 2 * down, : 2 * across], (across, down), interpolation=cv2.INTER_AREA)
        image = cv2.resize(pixels, (width, height), interpolation=CV2_FILTERS[self.interpolation])
        planes = np.empty((3, height, width), dtype=np.uint8)
        cv2.split(image, list(planes))
        return planes

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
    antialias: bool = True,
) -> RandomResizedCrop:
    """`scale` of the area, `ratio` of width to height; raises ValueError for what no region has."""
    if not 0 < scale[0] <= scale[1] <= 1:
        raise ValueError(
            f"random_resized_crop.scale goes from above 0 to at most 1, smaller first; given {list(scale)}"
        )
    if not 0 < ratio[0] <= ratio[1]:
        raise ValueError(f"random_resized_crop.ratio is two numbers above 0, smaller first; given {list(ratio)}")
    return RandomResizedCrop(size, scale, ratio, interpolation, antialias)
