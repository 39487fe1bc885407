"""The recipe of a contestant, complete, on the images that were looked at; its epochs are fitted in later."""

import shutil
from collections.abc import Mapping
from math import prod
from typing import Any

from ..places import cache_folder
from ..recipe import Recipe, override, parse
from ..recipe.types import plain
from . import finetuning
from .contestants import Contestant
from .networks import SMALL
from .survey import Survey

FEW_FOR_A_STEP = 1_000  # images of training, with which a step has half as many
BATCH_SIZES = (32, 64)
SHARE_OF_DISK = 0.25  # that decoded images may take
BYTES_OF_A_PIXEL = 3 * 4 / 3 * (8 / 7) ** 2  # three channels, of a photograph's longer side too, kept for random crops
CROP_SCALE = [0.5, 1.0]  # of the area: milder than ImageNet's, since a set of one's own is seen for few epochs
SCRATCH = {
    "optimizer": {"name": "adamw", "lr": 2.0e-3, "weight_decay": 0.05},
    "training": {"clip_norm": 1.0, "label_smoothing": 0.1},
}


def recipe_for(contestant: Contestant, survey: Survey, size: tuple[int, int], settings: Mapping[str, Any]) -> Recipe:
    """Return a recipe of one epoch, with the user's `settings` in it."""
    cache = {"data.cache": cache_for(survey, size)}
    if contestant.weights is None:
        return override(from_scratch(contestant, survey, size), {**cache, **settings})
    data = survey.data.path or survey.data.name
    source = contestant.model["pretrained"]
    one = {"schedule.epochs": 1, "schedule.warmup_epochs": 0.1}
    recipe, _ = finetuning.choose(source, contestant.weights, data, {**cache, **settings, **one})
    return recipe


def from_scratch(contestant: Contestant, survey: Survey, size: tuple[int, int]) -> Recipe:
    batch_size = BATCH_SIZES[survey.training >= FEW_FOR_A_STEP]
    return parse(
        {
            "data": plain(survey.data) | {"image_size": list(size)},
            "augment": augment_for(survey, size),
            "model": contestant.model,
            "optimizer": SCRATCH["optimizer"],
            "schedule": {"epochs": 1, "warmup_epochs": 0.1},
            "training": SCRATCH["training"] | {"batch_size": batch_size},
        }
    )


def augment_for(survey: Survey, size: tuple[int, int]) -> list[Any]:
    """Return crops, and mirror images unless they are of digits, where a mirror image is none."""
    small = survey.small or survey.side <= SMALL
    crop = (
        {"random_crop": {"padding": max(1, min(size) // 8)}}
        if small
        else {"random_resized_crop": {"scale": CROP_SCALE}}
    )
    return [crop] if survey.data.name == "digits" else [crop, "horizontal_flip"]


def cache_for(survey: Survey, size: tuple[int, int]) -> str:
    """Return `disk` for files, which all trainings then read decoded, where there is room for them."""
    place = next(p for p in (cache_folder(), *cache_folder().parents) if p.exists())
    room = SHARE_OF_DISK * shutil.disk_usage(place).free
    return "disk" if survey.encoded and survey.images * prod(size) * BYTES_OF_A_PIXEL < room else "none"
