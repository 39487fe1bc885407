"""Small sets lie on the device as one tensor, and their batches are a function of seed, epoch and image alone."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from vit.data.loading import in_memory
from vit.data.loading.loaders import evaluation_loader, make_loaders, preprocessing_of
from vit.data.loading.order import Position
from vit.data.sources import datasets
from vit.errors import UserError
from vit.hardware.processes import ALONE, Share
from vit.recipe import Recipe, load_recipe

CPU = torch.device("cpu")
STEPS = ["random_crop", "horizontal_flip", {"affine": {"degrees": 10}}, "color_jitter", "randaugment"]
STEPS += [{"random_erasing": {"p": 0.5}}]


def recipe_of(augment: list, **overrides) -> Recipe:
    return load_recipe("digits_resnet", {"augment": augment, "training.batch_size": 16} | overrides)


def loader(recipe: Recipe, share: Share = ALONE, start: Position = Position()) -> DataLoader:  # noqa: B008
    dataset = datasets.load(recipe.data)
    return make_loaders(recipe, dataset, preprocessing_of(recipe.data, dataset)).training(1, share, start, CPU)


def test_digits_are_resident_and_what_needs_the_whole_image_is_not():
    assert isinstance(loader(recipe_of(STEPS)).dataset, in_memory.InMemoryTraining)
    assert isinstance(loader(recipe_of([])).dataset, in_memory.InMemoryTraining)
    crop = loader(recipe_of(["random_resized_crop", "horizontal_flip"]))
    assert not isinstance(crop.dataset, in_memory.InMemoryTraining)
    assert next(iter(crop))[0].shape == (16, 3, 8, 8)


def test_a_set_too_large_for_the_memory_it_may_take_is_read_image_by_image(monkeypatch):
    monkeypatch.setattr(in_memory, "MOST_BYTES", 1_000)
    large = loader(recipe_of(STEPS))
    assert not isinstance(large.dataset, in_memory.InMemoryTraining)
    images, labels = next(iter(large))
    assert images.shape == (16, 3, 8, 8) and labels.shape == (16,)


def test_without_steps_the_pixels_are_those_of_the_images():
    recipe = recipe_of([])
    dataset = datasets.load(recipe.data)
    batches = loader(recipe)
    for number, (images, labels) in enumerate(batches):
        for name, image, label in zip(batches.batch_sampler.names(0, number), images, labels, strict=True):  # type: ignore[union-attr]
            place = dataset.train.ids.index(name)
            np.testing.assert_array_equal(image.permute(1, 2, 0), np.asarray(dataset.train.read(place)))
            assert label == dataset.train.labels[place]
        if number == 5:
            break


def test_shares_and_a_later_start_give_the_batches_of_one_process():
    recipe = recipe_of(STEPS)
    whole = list(loader(recipe, start=Position(2)))
    halves = [list(loader(recipe, Share(rank, 2), Position(2))) for rank in range(2)]
    for one, first, second in zip(whole, *halves, strict=True):
        assert one[0].equal(torch.cat([first[0], second[0]])) and one[1].equal(torch.cat([first[1], second[1]]))
    late = list(loader(recipe, start=Position(2, 30)))
    assert len(late) == len(whole) - 30 and late[0][0].equal(whole[30][0])
    assert not next(iter(loader(recipe, start=Position(3))))[0].equal(whole[0][0])


def test_the_last_epochs_are_larger():
    sizes = {"data.image_size": 16, "schedule.epochs": 3, "schedule.warmup_epochs": 0}
    sizes |= {"schedule.lower_image_size": 8, "schedule.raised_epochs": 1}
    sides = [next(iter(loader(recipe_of(STEPS, **sizes), start=Position(epoch))))[0].shape[-1] for epoch in range(3)]
    assert sides == [8, 8, 16]


@pytest.mark.parametrize("share", [ALONE, Share(1, 2)])
def test_evaluation_sees_what_prediction_sees(share, cifar_folder):
    recipe = load_recipe("cifar10_resnet18", {"data.path": str(cifar_folder), "data.crop_fraction": 0.9})
    images = datasets.load(recipe.data).test
    preprocessing = preprocessing_of(recipe.data, datasets.load(recipe.data))
    batches = list(evaluation_loader(images, preprocessing, "auto", small=True, share=share, batch_size=3))
    inputs, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    mine = list(range(share.rank, len(images), share.world_size))
    assert labels.tolist() == images.labels[mine].tolist()
    transform = preprocessing.transform()
    assert all(row.equal(transform(images.read(i))) for row, i in zip(inputs, mine, strict=True))


def test_a_broken_file_is_named(cifar_folder):
    recipe = load_recipe("cifar10_resnet18", {"data.path": str(cifar_folder)})
    dataset = datasets.load(recipe.data)
    broken = cifar_folder / dataset.train.ids[3]
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(UserError, match=broken.name):
        make_loaders(recipe, dataset, preprocessing_of(recipe.data, dataset)).training(1, ALONE, Position(), CPU)


def test_options_out_of_range_are_refused_with_the_recipe():
    steps = [{"randaugment": {"magnitude": 31}}, {"horizontal_flip": {"p": 1.5}}, {"random_crop": {"padding": -1}}]
    with pytest.raises(UserError) as refused:
        recipe_of(steps)
    message = str(refused.value)
    assert "randaugment.magnitude: should be less than or equal to 30" in message
    assert "horizontal_flip.p" in message and "random_crop.padding" in message
