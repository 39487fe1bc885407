"""The evaluation transform against torchvision's, pixel for pixel, and against Pillow where torchvision has none."""

import pickle
import resource
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from vit.data import preprocessing as preprocessing_module
from vit.data.decoding.reading import read_image
from vit.data.preprocessing import Preprocessing, elongated, normalize, to_size

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def torchvision_transform(size: int, interpolation: str, crop_fraction: float) -> transforms.Compose:
    return transforms.Compose(
        [
            transforms.Resize(int(size / crop_fraction), InterpolationMode(interpolation)),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("size", "crop_fraction"), [(224, 0.875), (96, 0.9), (33, 1.0)])
def test_is_what_torchvision_computes_on_photographs(size, crop_fraction, interpolation, photographs):
    ours = Preprocessing((size, size), MEAN, STD, interpolation, crop_fraction).transform()
    theirs = torchvision_transform(size, interpolation, crop_fraction)
    for path in photographs if size == 224 else photographs[::8]:
        image = read_image(path)
        torch.testing.assert_close(ours(image), theirs(image), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "size", [(49, 98), (98, 49), (300, 200), (20, 45), (7, 500), (256, 341), (224, 224), (255, 256)]
)
@pytest.mark.parametrize(("side", "crop_fraction"), [(224, 0.875), (224, 1.0), (32, 1.0)])
def test_is_what_torchvision_computes_at_any_size(size, side, crop_fraction):
    """The longer side is a quotient that rounding must not push below a whole number: 98 / 49 * 256 is 512."""
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    ours = Preprocessing((side, side), MEAN, STD, "bilinear", crop_fraction).transform()
    theirs = torchvision_transform(side, "bilinear", crop_fraction)
    torch.testing.assert_close(ours(image), theirs(image), atol=1e-6, rtol=0)


def test_a_small_photograph_is_enlarged_as_torchvision_does(photographs):
    smallest = min(map(read_image, photographs), key=lambda image: image.width * image.height)
    ours = Preprocessing((384, 384), MEAN, STD).transform()
    torch.testing.assert_close(ours(smallest), torchvision_transform(384, "bicubic", 1.0)(smallest), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("image_size", "box"),
    [((320, 200), (102, 64)), ((400, 200), (128, 64)), ((200, 400), (96, 192)), ((192, 128), (96, 64))],
    ids=["wide", "wider", "tall", "fitting"],
)
def test_covers_an_oblong_target_without_distortion(image_size, box, photographs):
    image = read_image(photographs[0]).resize(image_size)
    ours = to_size(Preprocessing((64, 96), MEAN, STD, "bilinear"), image)
    resized = image.resize(box, Image.Resampling.BILINEAR)
    left, top = (box[0] - 96) // 2, (box[1] - 64) // 2
    expected = resized.crop((left, top, left + 96, top + 64))
    assert ours.size == (96, 64)
    difference = np.abs(np.asarray(ours).astype(int) - np.asarray(expected))
    assert difference.max() == 0


def test_an_image_of_the_right_size_keeps_its_pixels():
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for interpolation in ("nearest", "bilinear", "bicubic", "lanczos"):
        kept = to_size(Preprocessing((20, 30), MEAN, STD, interpolation), Image.fromarray(noise))
        np.testing.assert_array_equal(np.asarray(kept), noise)


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_interpolates_as_named(name, photographs):
    image = read_image(photographs[0]).resize((64, 64))
    ours = to_size(Preprocessing((40, 40), MEAN, STD, name), image)
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(image.resize((40, 40), Image.Resampling[name.upper()])))


def test_every_mode_becomes_three_channels():
    transform = Preprocessing((6, 4), (0.0,) * 3, (1.0,) * 3).transform()
    for mode in ("RGB", "L", "RGBA", "P", "CMYK", "1"):
        assert transform(Image.new(mode, (9, 9))).shape == (3, 6, 4)


def test_normalizes_by_hand_computed_values():
    pixels = torch.tensor([0, 255, 51], dtype=torch.uint8).view(1, 3, 1, 1).expand(2, 3, 2, 5)
    preprocessing = Preprocessing((2, 5), (0.5, 0.4, 0.3), (0.5, 0.2, 0.1))
    expected = torch.tensor([-1.0, 3.0, -1.0]).view(1, 3, 1, 1).expand(2, 3, 2, 5)
    torch.testing.assert_close(normalize(pixels, preprocessing), expected)


def test_the_transform_can_be_sent_to_another_process(photographs):
    transform = Preprocessing((32, 48), MEAN, STD).transform()
    image = read_image(photographs[0])
    assert pickle.loads(pickle.dumps(transform))(image).equal(transform(image))


@pytest.mark.parametrize(
    ("size", "crop_fraction", "interpolation", "crop_mode"),
    [(224, 0.9, "bicubic", "center"), (384, 1.0, "bicubic", "squash"), (160, 0.875, "bilinear", "center")],
)
def test_is_what_timm_computes_on_photographs(size, crop_fraction, interpolation, crop_mode, photographs):
    theirs = timm.data.create_transform(
        size, mean=MEAN, std=STD, interpolation=interpolation, crop_pct=crop_fraction, crop_mode=crop_mode
    )
    ours = Preprocessing((size, size), MEAN, STD, interpolation, crop_fraction, crop_mode).transform()
    for path in photographs:
        image = read_image(path)
        assert (ours(image) - theirs(image)).abs().max() <= 1e-6, path


@pytest.mark.parametrize(("side", "resized"), [(32, 93), (224, 256), (224, 242), (224, 232)])
def test_a_crop_of_whole_numbers_is_resized_to_that_number(side, resized):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (resized, resized, 3), dtype=np.uint8))
    kept = to_size(Preprocessing((side, side), MEAN, STD, crop_fraction=side / resized), image)
    margin = round((resized - side) / 2)
    np.testing.assert_array_equal(np.asarray(kept), np.asarray(image)[margin : margin + side, margin : margin + side])


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(400, 9), (9, 400), (700, 501), (31, 31), (3000, 2), (2, 3000)])
@pytest.mark.parametrize(("target", "crop_fraction"), [((64, 64), 0.875), ((48, 96), 1.0), ((33, 20), 0.7)])
def test_resizing_what_is_kept_is_resizing_all_and_keeping_that(
    interpolation, size, target, crop_fraction, monkeypatch
):
    """The way of very long images, at sizes where both ways are at hand."""
    small = np.random.default_rng(0).integers(0, 256, (-(-size[1] // 3), -(-size[0] // 3), 3), dtype=np.uint8)
    image = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
    preprocessing = Preprocessing(target, MEAN, STD, interpolation, crop_fraction)
    whole = np.asarray(to_size(preprocessing, image)).astype(int)
    monkeypatch.setattr(preprocessing_module, "MOST_RESIZED_PIXELS", 0)
    part = np.asarray(to_size(preprocessing, image)).astype(int)
    assert part.shape == whole.shape == (*target, 3)
    assert np.abs(part - whole).max() <= 2


@pytest.mark.parametrize("size", [(60_000, 1), (1, 60_000), (20_000, 3)])
def test_a_line_of_many_pixels_costs_little_memory(size):
    """Resized whole, 60,000 x 1 pixels would be 13 million x 224: 12 GB."""
    pixels = np.full((size[1], size[0], 3), (90, 60, 30), dtype=np.uint8)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + 2**28, limits[1]))
    try:
        sized = to_size(Preprocessing((224, 224), MEAN, STD), Image.fromarray(pixels))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    np.testing.assert_array_equal(np.asarray(sized), np.broadcast_to([90, 60, 30], (224, 224, 3)))


def test_tells_which_images_are_far_longer_than_wide():
    assert elongated(np.array([[30_000, 1], [100, 10], [101, 10], [10, 101], [5, 5]])).tolist() == [
        True, False, True, True, False,
    ]  # fmt: skip
