"""Corruptions spoil images of any size, more with every severity, and the same way each time."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from vit.robustness.corruptions import CORRUPTIONS, SEVERITIES, corrupted


@pytest.fixture(scope="module")
def photos(photographs) -> np.ndarray:
    """Four photographs, uint8 [4, 64, 96, 3]."""
    read = [cv2.imread(str(path))[..., ::-1] for path in photographs[:4]]
    return np.stack([cv2.resize(image, (96, 64), interpolation=cv2.INTER_AREA) for image in read])


NAMES = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_severity_is_further_from_the_image(name, photos):
    away = [np.abs(corrupted(photos, NAMES, name, s).astype(float) - photos).mean() for s in SEVERITIES]
    assert all(b > a for a, b in pairwise(away))
    assert 0.3 < away[0] < 40 and away[-1] < 140


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("size", [(8, 8), (32, 32), (17, 40), (224, 224)])
def test_images_of_any_size_stay_images(name, size, photos):
    images = np.stack([cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA) for image in photos[:2]])
    for severity in (1, 5):
        result = corrupted(images, NAMES[:2], name, severity)
        assert result.shape == images.shape and result.dtype == np.uint8


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_what_happens_to_an_image_depends_on_its_name_alone(name, photos):
    together = corrupted(photos, NAMES, name, 3)
    assert np.array_equal(corrupted(photos[[2]], ["c.jpg"], name, 3)[0], together[2])
    flat = np.full((2, 32, 32, 3), 90, dtype=np.uint8)
    if name.endswith("noise") or name in ("fog", "snow"):
        first, second = corrupted(flat, ["x", "y"], name, 3)
        assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", ["defocus_blur", "motion_blur", "zoom_blur", "pixelate"])
def test_blur_takes_detail_and_leaves_the_brightness(name, photos):
    result = corrupted(photos, NAMES, name, 4).astype(float)
    detail = lambda images: np.abs(np.diff(images.astype(float), axis=2)).mean()  # noqa: E731
    assert detail(result) < 0.9 * detail(photos)
    assert abs(result.mean() - photos.mean()) < 3
