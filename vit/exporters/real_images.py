"""Real images as a model takes them: of its own data, of a folder that is named, or of two photographs at hand."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..data.decoding.reading import read_image
from ..data.preprocessing import to_pixels
from ..data.sources import datasets
from ..data.sources.datasets import Dataset
from ..data.sources.given import evenly, image_files
from ..errors import UserError
from ..model import Model
from ..places import expanded

CHECKED = 64
CROPS_A_SIDE = 6  # of each of scikit-learn's two photographs


@dataclass(frozen=True)
class RealImages:
    """Images in pixels as a model takes them, uint8 [N, 3, height, width], and what they are."""

    pixels: np.ndarray
    title: str


def own_data(model: Model) -> Dataset | None:
    """Return the data that a model was trained on, where they lie where they lay; None else."""
    data = model.recipe.data if model.recipe else None
    if data is None or (data.path is not None and not expanded(data.path).exists()):
        return None
    return datasets.load(data)


def to_check_on(model: Model, own: Dataset | None, given: str | Path | None) -> RealImages:
    """Return images that a file is compared with its model on: those given, else the test images, else photographs."""
    if given is not None:
        files = evenly(image_files([given])[0], CHECKED)
        return RealImages(stacked(model, read_image, files), f"{len(files)} images of {given}")
    if own is not None:
        chosen = evenly(range(len(own.test)), CHECKED)
        return RealImages(stacked(model, own.test.read, chosen), f"{len(chosen)} of its test images")
    crops = photographs()
    why = "; its own images are not at hand: --images FOLDER checks on yours" if model.recipe else ""
    return RealImages(
        stacked(model, crops.__getitem__, range(len(crops))), f"{len(crops)} crops of two photographs{why}"
    )


def stacked(model: Model, read: Callable[[Any], Image.Image], items: Any) -> np.ndarray:
    """Return images in pixels, as the model takes them: uint8 [N, 3, height, width]."""
    if not len(items):
        raise UserError(f"no image is there to check {model.source} on; give some by --images FOLDER")
    return np.stack([to_pixels(model.preprocessing, read(item)) for item in items])


def photographs() -> list[Image.Image]:
    """Return overlapping crops of the photographs that scikit-learn carries."""
    from sklearn.datasets import load_sample_images

    crops = []
    for whole in load_sample_images().images:  # pyright: ignore[reportAttributeAccessIssue]
        image = Image.fromarray(whole)
        width, height = image.width // 2, image.height // 2
        for row in range(CROPS_A_SIDE):
            for column in range(CROPS_A_SIDE):
                left, top = column * width // CROPS_A_SIDE, row * height // CROPS_A_SIDE
                crops.append(image.crop((left, top, left + width, top + height)))
    return crops
