"""The one way an image becomes a model's input outside training: evaluation, prediction and export share it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import pil_to_tensor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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
    # Down, as timm does; but a fraction that was a quotient of whole numbers gives its whole number back.
    height, width = (int(side / preprocessing.crop_fraction + 1e-9) for side in preprocessing.image_size)
    if preprocessing.crop_mode == "squash":
        resized = (width, height)
    elif height * image.width >= width * image.height:  # the height decides; torchvision rounds the other side down
        resized = (int(height * image.width / image.height), height)
    else:
        resized = (width, int(width * image.height / image.width))
    if resized != image.size:
        image = image.resize(resized, Image.Resampling[preprocessing.interpolation.upper()])
    if (image.height, image.width) != preprocessing.image_size:
        height, width = preprocessing.image_size
        left, top = round((image.width - width) / 2), round((image.height - height) / 2)
        image = image.crop((left, top, left + width, top + height))
    return image


def normalize(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Turn uint8 images [..., 3, height, width] into the model's input, on their device."""
    if images.device.type == "cpu":
        return _normalize_into(torch.empty(images.shape), images, preprocessing)
    mean, std = (torch.tensor(v, device=images.device).view(3, 1, 1) for v in (preprocessing.mean, preprocessing.std))
    return images.to(torch.float32, copy=True).div_(255).sub_(mean).div_(std)


class BatchNormalizer:
    """`normalize` for batch after batch: on CPUs the result takes the memory of an earlier one that nobody holds.

    New memory would have to be zeroed by the system page by page, which takes longer than to normalise.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        self._arrays: list[np.ndarray] = []  # a tensor made of one holds it as long as its memory is used

    def __call__(self, images: Tensor) -> Tensor:
        if images.device.type != "cpu":
            return normalize(images, self.preprocessing)
        self._arrays = [array for array in self._arrays if array.shape == tuple(images.shape)]
        free = next((i for i in range(len(self._arrays)) if _holders(self._arrays, i) == _NOBODY), None)
        if free is None:
            free = len(self._arrays)
            self._arrays.append(np.empty(images.shape, dtype=np.float32))
        return _normalize_into(torch.from_numpy(self._arrays[free]), images, self.preprocessing)


def _holders(arrays: list[np.ndarray], place: int) -> int:
    return sys.getrefcount(arrays[place])


_NOBODY = _holders([np.empty(0)], 0)


def _normalize_into(result: Tensor, images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Normalise image by image, each in the cache, and in one thread: more would wait for cores that loading uses."""
    mean, std = (np.array(v, dtype=np.float32).reshape(3, 1, 1) for v in (preprocessing.mean, preprocessing.std))
    size = images.shape[-3:]
    for pixels, values in zip(images.reshape(-1, *size).numpy(), result.view(-1, *size).numpy(), strict=True):
        np.divide(pixels, np.float32(255), out=values, dtype=np.float32)
        np.subtract(values, mean, out=values)
        np.divide(values, std, out=values)
    return result


def _to_input(preprocessing: Preprocessing, image: Image.Image) -> Tensor:
    return normalize(pil_to_tensor(to_size(preprocessing, image.convert("RGB"))), preprocessing)
