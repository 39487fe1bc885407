"""The one way an image becomes a model's input outside training: evaluation, prediction and export share it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .decoding.jpeg import Box

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


MOST_RESIZED_PIXELS = 2**25  # of which the crop keeps little: 128 MB
REACH = 3  # pixels of the coarser side that the widest filter, lanczos, looks at
MOST_ELONGATED = 10


@dataclass(frozen=True)
class Preprocessing:
    """Resize to cover `image_size / crop_fraction`, crop its centre, scale to [0, 1], normalise.

    `crop_mode` "squash" resizes to exactly that size instead, whatever the image's shape.
    """

    image_size: tuple[int, int]  # height, width
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"
    crop_fraction: float = 1.0
    crop_mode: str = "center"

    def transform(self) -> Callable[[Image.Image], Tensor]:
        """Return the function from a PIL image to a tensor [3, height, width]; it can be sent to another process."""
        return partial(_to_input, self)


def to_size(preprocessing: Preprocessing, image: Image.Image) -> Image.Image:
    """Bring an image to the model's size, as in evaluation, and leave its pixels in [0, 255]."""
    resized, kept = _resized_and_kept(preprocessing, image.size)
    resampling = Image.Resampling[preprocessing.interpolation.upper()]
    if resized[0] * resized[1] > MOST_RESIZED_PIXELS:
        return _resized_in_part(image, resized, kept, resampling)
    if resized != image.size:
        image = image.resize(resized, resampling)
    return image.crop(kept) if kept != (0, 0, *resized) else image


def seen_of(preprocessing: Preprocessing, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return what the model sees of an image of a width and height: left, top, right, bottom in its pixels."""
    resized, kept = _resized_and_kept(preprocessing, size)
    scales = [before / after for before, after in zip(size, resized, strict=True)]
    left, top, right, bottom = (kept[i] * scales[i % 2] for i in range(4))
    return left, top, right, bottom


def _resized_and_kept(preprocessing: Preprocessing, size: tuple[int, int]) -> tuple[tuple[int, int], Box]:
    """Return the width and height to which an image of a width and height is resized, and what is kept of it then."""
    # Down, as timm does; but a fraction that was a quotient of whole numbers gives its whole number back.
    height, width = (int(side / preprocessing.crop_fraction + 1e-9) for side in preprocessing.image_size)
    if preprocessing.crop_mode == "squash":
        resized = (width, height)
    elif height * size[0] >= width * size[1]:  # the height decides; torchvision rounds the other side down
        resized = (int(height * size[0] / size[1]), height)
    else:
        resized = (width, int(width * size[1] / size[0]))
    height, width = preprocessing.image_size
    left, top = round((resized[0] - width) / 2), round((resized[1] - height) / 2)
    return resized, (left, top, left + width, top + height)


def _resized_in_part(
    image: Image.Image, resized: tuple[int, int], kept: Box, resampling: Image.Resampling
) -> Image.Image:
    """Return what `kept` is of an image once it is `resized`, to a level or two: the whole would fill the memory."""
    scales = [before / after for before, after in zip(image.size, resized, strict=True)]
    margins = [math.ceil(REACH * max(1.0, scale)) + 1 for scale in scales]
    box = [kept[i] * scales[i % 2] for i in range(4)]
    left, top = (max(0, math.floor(box[i]) - margins[i]) for i in (0, 1))
    right, bottom = (min(image.size[i], math.ceil(box[i + 2]) + margins[i]) for i in (0, 1))
    part = image.crop((left, top, right, bottom))  # Pillow's own `box` is too coarse at a place of many thousands
    inside = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    return part.resize((kept[2] - kept[0], kept[3] - kept[1]), resampling, inside)


def elongated(sizes: np.ndarray) -> np.ndarray:
    """Return which sizes [N, 2], width and height, are so long that a crop of the centre shows next to nothing: [N]."""
    return sizes.max(1) > MOST_ELONGATED * sizes.min(1)


def normalize(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Turn uint8 images [..., 3, height, width] into the model's input, on their device."""
    if images.device.type == "cpu":
        return _normalize_into(torch.empty(images.shape), images, preprocessing)
    mean, std = (torch.tensor(v, device=images.device).view(3, 1, 1) for v in (preprocessing.mean, preprocessing.std))
    return images.to(torch.float32, copy=True).div_(255).sub_(mean).div_(std)


def _normalize_into(result: Tensor, images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Normalise image by image, each in the cache, and in one thread: more would wait for cores that loading uses."""
    mean, std = (np.array(v, dtype=np.float32).reshape(3, 1, 1) for v in (preprocessing.mean, preprocessing.std))
    size = images.shape[-3:]
    for pixels, values in zip(images.reshape(-1, *size).numpy(), result.view(-1, *size).numpy(), strict=True):
        np.divide(pixels, np.float32(255), out=values, dtype=np.float32)
        np.subtract(values, mean, out=values)
        np.divide(values, std, out=values)
    return result


def pixels_of(inputs: Tensor, preprocessing: Preprocessing) -> np.ndarray:
    """Return the uint8 images that a model's inputs [..., 3, height, width] were normalised from."""
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (preprocessing.mean, preprocessing.std))
    return inputs.float().cpu().mul(std).add_(mean).mul_(255).round_().clamp_(0, 255).to(torch.uint8).numpy()


def to_pixels(preprocessing: Preprocessing, image: Image.Image) -> np.ndarray:
    """Return an image as the model takes it before it is normalised: uint8 RGB [3, height, width]."""
    return np.asarray(to_size(preprocessing, image.convert("RGB"))).transpose(2, 0, 1)


def _to_input(preprocessing: Preprocessing, image: Image.Image) -> Tensor:
    return normalize(torch.from_numpy(to_pixels(preprocessing, image).copy()), preprocessing)
