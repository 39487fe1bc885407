"""Random resized crops are distributed as torchvision's, and filtered as Pillow filters."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp
from torchvision.transforms import RandomResizedCrop as Torchvision

from vit.data.augment.crops import random_resized_crop
from vit.data.decoding.reading import read_image

DRAWS = 4000


def described(boxes: np.ndarray, width: int, height: int) -> dict[str, np.ndarray]:
    """Return each box's share of the area, shape, and place among those where it fits."""
    left, top, across, down = boxes.T
    inside = {"x": left[across < width] / (width - across[across < width])}
    inside["y"] = top[down < height] / (height - down[down < height])
    return {"scale": across * down / (width * height), "ratio": across / down} | inside


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (64, 64), (600, 120)])
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.5, 0.9)])
def test_scale_shape_and_place_are_distributed_as_torchvisions(
    size: tuple[int, int], scale: tuple[float, float]
) -> None:
    width, height = size
    crop = random_resized_crop((224, 224), scale=scale, ratio=(3 / 4, 4 / 3))
    ours = np.array([crop.box(width, height, seed) for seed in range(DRAWS)])
    ours[:, 2:] -= ours[:, :2]
    torch.manual_seed(1)
    blank = Image.new("L", size)
    theirs = np.array([Torchvision.get_params(blank, scale, (3 / 4, 4 / 3)) for _ in range(DRAWS)])[:, [1, 0, 3, 2]]
    for name, values in described(ours, width, height).items():
        others = described(theirs, width, height)[name]
        if not len(values) and not len(others):  # as wide, or as high, as the image every time
            continue
        assert ks_2samp(values, others).pvalue > 1e-3, name
        assert abs(values.mean() - others.mean()) <= 5 * np.hypot(values.std(), others.std()) / np.sqrt(DRAWS / 2), name


def test_where_no_region_fits_it_is_the_centre() -> None:
    crop = random_resized_crop((8, 8), scale=(1.0, 1.0), ratio=(1.0, 1.0))
    for seed in range(20):
        assert crop.box(100, 40, seed) == (30, 0, 70, 40)
        assert crop.box(40, 101, seed) == (0, 30, 40, 70)


def test_the_box_depends_on_the_seed_alone() -> None:
    crop = random_resized_crop((8, 8))
    boxes = [crop.box(500, 375, seed) for seed in range(100)]
    assert boxes == [crop.box(500, 375, seed) for seed in range(100)] and len(set(boxes)) == 100


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(40, 56), (224, 224), (500, 700)])
def test_filtered_as_by_pillow(interpolation, size: tuple[int, int], photographs) -> None:
    crop = random_resized_crop(size, interpolation=interpolation)
    image = read_image(photographs[2])
    expected = np.asarray(image.resize(size[::-1], Image.Resampling[interpolation.upper()])).astype(int)
    seen = crop.resized(np.asarray(image)).transpose(1, 2, 0)
    assert seen.dtype == np.uint8 and np.abs(seen - expected).max() <= 2 and np.abs(seen - expected).mean() < 0.3


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(40, 56), (60, 80), (150, 200)])
def test_without_antialiasing_it_is_nearly_the_same_picture(interpolation, size: tuple[int, int], photographs) -> None:
    image = read_image(photographs[2])
    smooth = random_resized_crop(size, interpolation=interpolation).resized(np.asarray(image)).astype(int)
    sharp = random_resized_crop(size, interpolation=interpolation, antialias=False).resized(np.asarray(image))
    assert sharp.shape == smooth.shape and sharp.dtype == np.uint8
    assert 0 < np.abs(sharp - smooth).mean() < 10
    details = [np.abs(np.diff(pixels.astype(int), axis=2)).mean() for pixels in (smooth, sharp)]
    assert 0.9 < details[1] / details[0] < 1.4


@pytest.mark.parametrize("options", [{"scale": (0.0, 1.0)}, {"scale": (0.9, 0.5)}, {"ratio": (-1.0, 1.0)}])
def test_what_no_region_has_is_refused(options) -> None:
    with pytest.raises(ValueError, match=r"random_resized_crop\.(scale|ratio)"):
        random_resized_crop((8, 8), **options)
