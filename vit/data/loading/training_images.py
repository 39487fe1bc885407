"""How a training image is augmented and brought to size: a function of seed, epoch and image alone."""

import random
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from ...randomness import derive_seed
from ...recipe import Recipe
from ...registry import TRANSFORMS
from ..augment.crops import RandomResizedCrop
from ..augment.epoch_schedule import EpochSchedule, NamedSteps
from ..preprocessing import Preprocessing, to_size
from ..sources.datasets import Images


class TrainingImages(TorchDataset):
    """(epoch, index) -> augmented uint8 image [3, height, width] and its class number, or its row [C] of labels."""

    def __init__(self, images: Images, preprocessing: Preprocessing, recipe: Recipe):
        self.images = images
        self.stages = EpochSchedule(recipe, preprocessing, partial(AugmentedImages, images))
        self.seed = recipe.training.seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int | np.ndarray]:
        pixels, target = self.pixels(*key)
        return torch.from_numpy(np.ascontiguousarray(pixels)), target

    def pixels(self, epoch: int, index: int) -> tuple[np.ndarray, int | np.ndarray]:
        """Return an item with its image as an array."""
        seed = derive_seed(self.seed, "augment", epoch, self.images.ids[index])
        return self.stages.at(epoch).pixels(index, seed), self.images.target(index)

    def image_size(self, epoch: int) -> tuple[int, int]:
        """Return height and width of the images of an epoch."""
        return self.stages.at(epoch).preprocessing.image_size

    @property
    def leaves_the_lock(self) -> bool:
        """Whether most of the work is done outside of Python's lock, so that threads can share it."""
        return self.stages.last.steps.crop is not None and not self.stages.last.steps.rest


class AugmentedImages:
    """Images of one size, and a recipe's way there: a crop of the whole image, or as in evaluation; then the rest."""

    def __init__(self, images: Images, preprocessing: Preprocessing, steps: NamedSteps):
        self.images = images
        self.preprocessing = preprocessing
        self.steps = Steps(steps, preprocessing.image_size)

    def pixels(self, index: int, seed: int) -> np.ndarray:
        """Return an augmented image, uint8 [3, height, width]."""
        crop = self.steps.crop
        if crop is None:
            sized = to_size(self.preprocessing, self.images.read(index))
            return self.steps.augmented(np.asarray(sized), seed)
        image = crop.resized(self.images.region(index, partial(crop.box, seed=seed), crop.size))
        if random.Random(derive_seed(seed, "flip")).random() < self.steps.flip_probability:
            image = image[..., ::-1]
        return self.steps.augmented(image.transpose(1, 2, 0), seed) if self.steps.rest else image


class Steps:
    """A recipe's `augment`.

    Where it begins with random_resized_crop, `crop` is that step, and `flip_probability` that of the horizontal_flip
    which may be the second: albumentations, which does the `rest`, takes longer for both. Raises ValueError for options
    that a step refuses.
    """

    def __init__(self, steps: NamedSteps, size: tuple[int, int]):
        steps = list(steps)
        self.crop: RandomResizedCrop | None = None
        self.flip_probability = 0.0
        if steps and steps[0][0] == "random_resized_crop":
            self.crop = TRANSFORMS["random_resized_crop"](size, **steps.pop(0)[1])
            if steps and steps[0][0] == "horizontal_flip":
                self.flip_probability = steps.pop(0)[1].get("p", 0.5)
        if any(name == "random_resized_crop" for name, _ in steps):
            raise ValueError("random_resized_crop has to be the first step, where the whole image is at hand")
        self.rest = bool(steps)
        if self.rest:
            from ..augment.per_image import (
                in_turn,  # here: albumentations takes a second to come, and small sets need none
            )

            self.compose = in_turn([TRANSFORMS[name](size, **options) for name, options in steps])

    def augmented(self, pixels: np.ndarray, seed: int) -> np.ndarray:
        """Return pixels [height, width, 3] after the rest of the steps: uint8 [3, height, width]."""
        if self.rest:
            self.compose.set_random_seed(seed)
            torch.default_generator.manual_seed(seed)  # of torchvision's operations, in randaugment
            pixels = self.compose(image=np.ascontiguousarray(pixels))["image"]
        return pixels.transpose(2, 0, 1)
