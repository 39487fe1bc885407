"""Changed images are what they are called, and what is measured on them is what a model answers."""

import numpy as np
import pytest

from vit.robustness import changes
from vit.robustness.corruptions import CORRUPTIONS

NAMES = [f"{i}.png" for i in range(12)]


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (12, 16, 24, 3), dtype=np.uint8)


def test_occlusion_covers_its_share_and_a_larger_one_covers_the_same_and_more(images):
    colour = images.reshape(-1, 3).mean(0).round().astype(np.uint8)
    covered = {share: (changes.occluded(images, NAMES, share) == colour).all(-1) for share in (0.25, 0.5, 0.75)}
    for share, where in covered.items():
        assert where.mean((1, 2)) == pytest.approx(share, abs=0.01)
    assert (covered[0.5] >= covered[0.25]).all() and (covered[0.75] >= covered[0.5]).all()
    assert not np.array_equal(covered[0.5][0], covered[0.5][1])
    backwards = changes.occluded(images[::-1], NAMES[::-1], 0.5)[::-1]
    assert np.array_equal(backwards, changes.occluded(images, NAMES, 0.5))


def test_a_shift_moves_right_and_down(images):
    moved = changes.shifted(images, 3)
    assert np.array_equal(moved[:, 3:, 3:], images[:, :-3, :-3])
    assert np.array_equal(moved[:, 2, 3:], images[:, 1, :-3])  # mirrored


def test_a_coarser_image_has_its_size_and_less_detail(images):
    result = changes.coarser(images, 0.5)
    assert result.shape == images.shape
    assert result.std() < 0.7 * images.std()


def test_what_is_measured_is_what_the_model_answers(images):
    """A model that looks whether the image is bright."""
    images[6:] //= 4
    labels = np.array([1] * 6 + [0] * 6)
    labels[0] = 0  # one it errs on
    found = changes.measure(lambda pixels: (pixels.mean((1, 2, 3)) > 64).astype(int), images, labels, NAMES)
    assert found["images"] == 12 and found["clean"] == pytest.approx(11 / 12)
    assert [row["name"] for row in found["corruptions"]] == list(CORRUPTIONS)
    top1 = {row["name"]: row["top1"] for row in found["corruptions"]}
    assert top1["defocus_blur"] == [pytest.approx(11 / 12)] * 5
    assert top1["brightness"][-1] == pytest.approx(5 / 12)  # all are bright then
    assert [row["same"] for row in found["shift"]] == [1.0] * len(found["shift"])
    assert [row["shift"] * 16 for row in found["shift"]] == [1, 2, 3, 4]
    assert [row["top1"] for row in found["resolution"]] == [pytest.approx(11 / 12)] * 4
