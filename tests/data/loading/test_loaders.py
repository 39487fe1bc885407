"""What a batch holds is a function of seed, epoch and image: never of workers, position or what came before."""

import pickle
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vit.data.decoding.reading import read_image
from vit.data.loading.loaders import evaluation_loader, make_loaders, preprocessing_of
from vit.data.loading.order import Position
from vit.data.loading.training_images import Steps, TrainingImages
from vit.data.preprocessing import Preprocessing, normalize, to_size
from vit.data.sources import datasets, downloads
from vit.data.sources.datasets import Dataset, Images
from vit.data.sources.stores import Files, Pixels
from vit.hardware.processes import ALONE
from vit.recipe import Recipe, load_recipe, parse
from vit.registry import TRANSFORMS

CPU = torch.device("cpu")

ALL_STEPS = [
    {"affine": {"degrees": 20, "shift": 0.2, "scale": [0.8, 1.2]}},
    "random_crop",
    "horizontal_flip",
    "color_jitter",
    "randaugment",
    {"random_erasing": {"p": 0.9}},
]
STRONG = {name: {"p": 0.5} if name in ("horizontal_flip", "random_erasing") else {} for name in TRANSFORMS}
STRONG["affine"] = {"degrees": 20, "shift": 0.2}


def make_recipe(augment: list | None = None, seed: int = 0, batch_size: int = 4, **data) -> Recipe:
    values = {
        "data": {"name": "digits", "image_size": 8} | data,
        "augment": augment or [],
        "model": {"name": "resnet18"},
        "schedule": {"epochs": 2},
        "training": {"seed": seed, "batch_size": batch_size},
    }
    return parse(values)


def noise_images(count: int = 10, height: int = 16, width: int = 24) -> Images:
    pixels = np.random.default_rng(7).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return Images(tuple(f"image {i}" for i in range(count)), np.arange(count), store=Pixels(pixels))


def numbered(count: int) -> Dataset:
    """A dataset of which image i is of class i and has the value i everywhere."""
    pixels = np.broadcast_to(np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1), (count, 8, 8, 3)).copy()
    images = Images(tuple(f"{i}" for i in range(count)), np.arange(count), store=Pixels(pixels))
    return Dataset(tuple(map(str, range(count))), images, images, images, (0.5,) * 3, (0.5,) * 3, small=True)


def training_images(augment: list, images: Images | None = None, seed: int = 0) -> TrainingImages:
    preprocessing = Preprocessing((16, 24), (0.0,) * 3, (1.0,) * 3)
    return TrainingImages(images or noise_images(), preprocessing, make_recipe(augment, seed))


def training_loader(recipe: Recipe, dataset: Dataset):
    return make_loaders(recipe, dataset, preprocessing_of(recipe.data, dataset)).training(1, ALONE, Position(), CPU)


def epoch_of(loader, epoch: int) -> list[tuple[Tensor, Tensor]]:
    loader.batch_sampler.set_epoch(epoch)
    return list(loader)


def same(left: list[tuple[Tensor, Tensor]], right: list[tuple[Tensor, Tensor]]) -> bool:
    pairs = list(zip(left, right, strict=True))
    assert pairs
    return all(a[0].equal(b[0]) and a[1].equal(b[1]) for a, b in pairs)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_gives_pixels_of_the_models_size(name):
    image, label = training_images([{name: STRONG[name]}])[(0, 3)]
    assert image.shape == (3, 16, 24)
    assert image.dtype == torch.uint8
    assert label == 3


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_depends_on_seed_epoch_and_image_alone(name):
    images = training_images([{name: STRONG[name]}])
    first = [images[(2, i)][0] for i in range(10)]
    np.random.seed(99)
    torch.manual_seed(99)
    assert all(images[(2, i)][0].equal(first[i]) for i in reversed(range(10)))
    assert not all(images[(3, i)][0].equal(first[i]) for i in range(10))
    other_seed = training_images([{name: STRONG[name]}], seed=1)
    assert not all(other_seed[(2, i)][0].equal(first[i]) for i in range(10))


def test_the_place_of_an_image_in_its_set_changes_nothing():
    whole = noise_images()
    some = whole.where(np.isin(np.arange(10), [2, 5, 9]))
    images, subset = training_images(ALL_STEPS, whole), training_images(ALL_STEPS, some)
    for place, i in enumerate([2, 5, 9]):
        assert subset[(1, place)][0].equal(images[(1, i)][0])
        assert subset[(1, place)][1] == i


@pytest.mark.parametrize("name", TRANSFORMS)
def test_training_images_can_be_sent_to_another_process(name):
    """On macOS and Windows, and from Python 3.14 on, a worker gets them as a pickle."""
    images = training_images([{name: STRONG[name]}])
    assert pickle.loads(pickle.dumps(images))[(0, 1)][0].equal(images[(0, 1)][0])


def test_without_steps_the_pixels_are_those_of_the_image():
    images = noise_images()
    for i in range(len(images)):
        np.testing.assert_array_equal(training_images([], images)[(5, i)][0].permute(1, 2, 0), images.store.array[i])


@pytest.fixture
def photo_loader(photo_folder) -> Callable:
    """Return the function that makes a training loader of photographs, with some workers and a seed."""

    def make(workers: int, seed: int = 0):
        recipe = make_recipe(
            ALL_STEPS, seed, name="folder", path=str(photo_folder), image_size=[24, 32], workers=workers
        )
        dataset = datasets.load(recipe.data)
        return training_loader(recipe, dataset)

    return make


def test_workers_change_no_batch(photo_loader):
    alone, helped = photo_loader(0), photo_loader(2)
    for epoch in (0, 3):
        assert same(epoch_of(alone, epoch), epoch_of(helped, epoch))


def test_another_epoch_or_seed_gives_other_batches(photo_loader):
    loader = photo_loader(0)
    first = epoch_of(loader, 0)
    assert not same(first, epoch_of(loader, 1))
    assert same(first, epoch_of(loader, 0))
    assert not same(first, epoch_of(photo_loader(0, seed=1), 0))


def test_batches_of_photographs_have_the_recipes_size(photo_loader):
    images, labels = epoch_of(photo_loader(0), 0)[0]
    assert images.shape == (4, 3, 24, 32)
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64


def test_every_image_comes_once_an_epoch_and_the_smaller_batch_is_left_out():
    dataset = numbered(11)
    recipe = make_recipe()
    loader = training_loader(recipe, dataset)
    left_out = set()
    for epoch in range(12):
        batches = epoch_of(loader, epoch)
        assert [len(images) for images, _ in batches] == [4, 4]
        labels = torch.cat([labels for _, labels in batches])
        assert torch.cat([images for images, _ in batches])[:, 0, 0, 0].equal(labels.to(torch.uint8))
        assert len(labels.unique()) == 8
        left_out |= set(range(11)) - set(labels.tolist())
    assert len(left_out) > 6


def test_a_set_smaller_than_the_batch_is_one_batch():
    dataset = numbered(5)
    recipe = make_recipe(batch_size=128)
    batches = epoch_of(training_loader(recipe, dataset), 0)
    assert [sorted(labels.tolist()) for _, labels in batches] == [[0, 1, 2, 3, 4]]


def test_large_images_are_evaluated_in_smaller_batches(photo_folder):
    for side, expected in ((64, 256), (224, 256), (384, 87), (1024, 12), (5000, 1)):
        dataset = datasets.load(make_recipe(name="folder", path=str(photo_folder), image_size=side).data)
        loader = evaluation_loader(dataset.train, Preprocessing((side, side), (0.5,) * 3, (0.5,) * 3), 0, small=False)
        assert loader.batch_sampler.batches.batch_size == expected


def test_evaluation_gives_every_image_once_in_order(photo_folder):
    recipe = make_recipe(name="folder", path=str(photo_folder), image_size=[24, 32], workers=2)
    dataset = datasets.load(recipe.data)
    preprocessing = preprocessing_of(recipe.data, dataset)
    batches = list(evaluation_loader(dataset.train, preprocessing, recipe.data.workers, small=False, batch_size=4))
    assert [len(inputs) for inputs, _ in batches] == [4, 4, 4, 3]
    inputs = torch.cat([inputs for inputs, _ in batches])
    np.testing.assert_array_equal(torch.cat([labels for _, labels in batches]), dataset.train.labels)
    for i in range(len(dataset.train)):
        assert inputs[i].equal(preprocessing.transform()(dataset.train.read(i)))


def test_training_without_augmentation_sees_what_evaluation_sees(photo_folder):
    recipe = make_recipe(name="folder", path=str(photo_folder), image_size=[24, 32], crop_fraction=0.8)
    dataset = datasets.load(recipe.data)
    preprocessing = preprocessing_of(recipe.data, dataset)
    images = TrainingImages(dataset.train, preprocessing, recipe)
    for i in range(len(dataset.train)):
        seen = preprocessing.transform()(dataset.train.read(i))
        torch.testing.assert_close(normalize(images[(0, i)][0], preprocessing), seen)


@pytest.mark.parametrize("crop_fraction", [1.0, 0.875])
def test_images_in_memory_are_trained_on_as_those_in_files(crop_fraction, cifar_folder):
    images = downloads.cifar10(path=str(cifar_folder)).splits["test"]
    preprocessing = Preprocessing((32, 32), (0.0,) * 3, (1.0,) * 3, "bilinear", crop_fraction)
    recipe = make_recipe(image_size=32)
    in_files = TrainingImages(images, preprocessing, recipe)
    in_memory = TrainingImages(images.in_memory(), preprocessing, recipe)
    for i in range(len(images)):
        assert in_memory[(0, i)][0].equal(in_files[(0, i)][0])


def test_a_resizing_crop_is_taken_from_the_whole_photograph(tmp_path, photographs):
    """An image brought to size first would have lost its border."""
    image = read_image(photographs[0]).resize((300, 200))
    image.save(tmp_path / "photo.png")
    recipe = make_recipe([{"random_resized_crop": {"scale": [1.0, 1.0], "ratio": [1.5, 1.5]}}], image_size=24)
    preprocessing = Preprocessing((24, 24), (0.0,) * 3, (1.0,) * 3)
    images = Images(("photo.png",), np.array([0]), Files(tmp_path, ("photo.png",)))
    whole = np.asarray(image.resize((24, 24), Image.Resampling.BOX)).astype(float)
    crop = TrainingImages(images, preprocessing, recipe)[(0, 0)][0].permute(1, 2, 0).numpy()
    covered = np.asarray(to_size(preprocessing, image))
    assert np.abs(crop - whole).mean() < 2
    assert np.abs(covered - whole).mean() > 5


def test_a_random_crop_is_taken_of_every_image():
    recipe = load_recipe("cifar10_resnet18", {"augment": [{"random_crop": {"padding": 4}}]})
    steps = Steps(recipe.augment_steps(), (32, 32))
    white = np.full((32, 32, 3), 255, dtype=np.uint8)
    bordered = [bool((steps.augmented(white, seed) == 0).any()) for seed in range(400)]
    # All offsets but the middle one of 9 x 9 show the padding.
    assert np.mean(bordered) > 0.95


def test_preprocessing_is_the_recipes_then_the_weights_then_the_usual():
    dataset = datasets.load(load_recipe("digits_vit").data)
    trained = Preprocessing((224, 224), (0.1, 0.2, 0.3), (1.0, 2.0, 3.0), "bilinear", 0.9, "squash")
    silent = load_recipe("digits_vit", {"data.image_size": 16}).data
    assert preprocessing_of(silent, dataset) == Preprocessing(
        (16, 16), dataset.mean, dataset.std, "bicubic", 1.0, "center"
    )
    assert preprocessing_of(silent, dataset, trained) == replace(trained, image_size=(16, 16))
    told = load_recipe("digits_vit", {"data.mean": [0.5, 0.5, 0.5], "data.crop_fraction": 0.8}).data
    expected = replace(trained, image_size=(8, 8), mean=(0.5, 0.5, 0.5), crop_fraction=0.8)
    assert preprocessing_of(told, dataset, trained) == expected


def test_the_last_epochs_see_larger_images():
    overrides = {"data.image_size": 16, "schedule.epochs": 3, "schedule.warmup_epochs": 0}
    overrides |= {"schedule.lower_image_size": 8, "schedule.raised_epochs": 1}
    recipe = load_recipe("digits_vit", overrides)
    dataset = datasets.load(recipe.data)
    loader = training_loader(recipe, dataset)
    sides = []
    for epoch in range(3):
        loader.batch_sampler.set_epoch(epoch)
        sides.append(next(iter(loader))[0].shape[-2:])
    assert sides == [(8, 8), (8, 8), (16, 16)]
