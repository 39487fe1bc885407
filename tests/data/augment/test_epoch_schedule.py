"""The size of the images and the strength of their augmentation, epoch by epoch."""

from collections.abc import Callable
from functools import partial

import pytest
import torch

from vit.data.augment.epoch_schedule import EpochSchedule, steps_at
from vit.data.loading.in_memory import InMemoryTraining
from vit.data.loading.loaders import preprocessing_of
from vit.data.loading.training_images import TrainingImages
from vit.data.sources import datasets
from vit.errors import UserError
from vit.recipe import load_recipe

RAMP = {"augment": [{"randaugment": {"num_ops": 2, "magnitude": 10}}, "horizontal_flip"]}
RAMP |= {"schedule.epochs": 6, "schedule.warmup_epochs": 0, "schedule.augment_ramp_epochs": 4}


def magnitudes(**changes) -> list[int]:
    recipe = load_recipe("digits_vit", RAMP | changes)
    return [dict(steps_at(recipe, epoch))["randaugment"]["magnitude"] for epoch in range(6)]


def test_randaugment_grows_to_its_magnitude() -> None:
    assert magnitudes() == [0, 2, 5, 8, 10, 10]
    assert magnitudes(augment=["randaugment"]) == [0, 2, 4, 7, 9, 9]
    assert magnitudes(**{"schedule.augment_ramp_epochs": 0}) == [10] * 6


def test_a_stage_is_made_once_and_the_first_and_last_at_the_start() -> None:
    recipe = load_recipe("digits_vit", RAMP | {"schedule.lower_image_size": 4, "schedule.raised_epochs": 1})
    dataset = datasets.load(recipe.data)
    made = []
    stages = EpochSchedule(
        recipe, preprocessing_of(recipe.data, dataset), lambda *stage: made.append(stage) or len(made)
    )
    assert [(stage.image_size, dict(steps)["randaugment"]["magnitude"]) for stage, steps in made] == [
        ((4, 4), 0),
        ((8, 8), 10),
    ]
    assert [stages.at(epoch) for epoch in (0, 1, 2, 3, 4, 5, 4)] == [1, 3, 4, 5, 6, 2, 6]


@pytest.mark.parametrize("kind", [TrainingImages, partial(InMemoryTraining, device="cpu")])
def test_both_ways_of_loading_follow_the_ramp(kind: Callable) -> None:
    growing, strong = (load_recipe("digits_vit", RAMP | {"schedule.augment_ramp_epochs": ramp}) for ramp in (4, 0))
    dataset = datasets.load(growing.data)
    preprocessing = preprocessing_of(growing.data, dataset)
    images, others = (kind(dataset.train, preprocessing, recipe) for recipe in (growing, strong))
    assert not batch(images, 0).equal(batch(others, 0))
    assert batch(images, 5).equal(batch(others, 5))


def batch(images, epoch: int) -> torch.Tensor:
    if isinstance(images, InMemoryTraining):
        return images.__getitems__([(epoch, place) for place in range(20)])[0]
    return torch.stack([images[(epoch, place)][0] for place in range(20)])


def test_a_ramp_longer_than_the_training_is_refused() -> None:
    with pytest.raises(UserError, match=r"schedule: augment_ramp_epochs \(9\) must not exceed epochs \(6\)"):
        load_recipe("digits_vit", RAMP | {"schedule.augment_ramp_epochs": 9})
