"""What a trunk that learns without labels sees and draws: a picture of some validation images."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..data.preprocessing import pixels_of
from ..data.sources.given import evenly
from ..data.sources.images import Images
from ..files import replace_file
from ..model import Model
from ..models.interface import device_of
from ..models.patch_prediction import PatchPrediction

SHOWN, GAP, LEAST_SIDE = 8, 4, 96  # images; pixels between them; pixels of a shorter side


def write(path: Path, model: Model, module: PatchPrediction, images: Images) -> None:
    """Write a row an image: what was seen, what was drawn in the gaps, and the image itself."""
    chosen = evenly(range(len(images)), SHOWN)
    inputs = torch.stack([model.transform(images.read(i)) for i in chosen]).to(device_of(module))
    masked, drawn = module.eval().pictures(inputs)
    columns = [pixels_of(part, model.preprocessing).transpose(0, 2, 3, 1) for part in (masked, drawn, inputs)]
    picture = Image.fromarray(beside_each_other(columns))
    replace_file(path, lambda beside: picture.save(beside, format="PNG"))


def beside_each_other(columns: list[np.ndarray]) -> np.ndarray:
    """Return arrays of images [B, height, width, 3] as one, an image of each beside the others, white between."""
    times = max(1, round(LEAST_SIDE / min(columns[0].shape[1:3])))
    large = [column.repeat(times, 1).repeat(times, 2) for column in columns]
    count, height, width, _ = large[0].shape
    sheet = np.full((count * (height + GAP) - GAP, len(large) * (width + GAP) - GAP, 3), 255, dtype=np.uint8)
    for place, column in enumerate(large):
        for number, image in enumerate(column):
            top, left = number * (height + GAP), place * (width + GAP)
            sheet[top : top + height, left : left + width] = image
    return sheet
