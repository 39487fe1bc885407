"""Steps for batches do to every image what they should, by amounts that are its own."""

import cv2
import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from vit.data.augment.batch_changes import brighter, by_amount, more_contrasting, more_saturated, moved, other_hue
from vit.data.augment.per_batch import STEPS
from vit.data.augment.per_image import random_erasing as erasing_of_one
from vit.data.augment.randaugment import operations
from vit.randomness import Draws, keys_of
from vit.registry import TRANSFORMS
from vit.registry.table import Lazy, options_of

HEIGHT, WIDTH = 16, 24
OPTIONS = {
    "affine": {"degrees": 20, "shift": 0.2, "scale": (0.8, 1.2)},
    "color_jitter": {"hue": 0.2},
    "random_erasing": {"p": 0.7},
}


@pytest.fixture(scope="module")
def images(photographs) -> Tensor:
    """Photographs and noise, uint8 [14, 3, height, width]."""
    photos = [cv2.resize(cv2.imread(str(path)), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for path in photographs]
    noise = np.random.default_rng(0).integers(0, 256, (4, HEIGHT, WIDTH, 3), dtype=np.uint8)
    return torch.from_numpy(np.stack([*photos[:10], *noise])).permute(0, 3, 1, 2).contiguous()


def draws(count: int, seed: int = 0) -> Draws:
    return Draws(keys_of(f"image {i}" for i in range(count)), seed)


def furthest(left: Tensor, right: Tensor) -> int:
    return int((left.int() - right.int()).abs().max())


@pytest.mark.parametrize("name", STEPS)
def test_a_step_has_the_options_of_its_namesake_for_one_image(name):
    ours = {option: declared.default for option, declared in options_of(STEPS[name]).items()}
    assert isinstance(TRANSFORMS[name], Lazy)
    assert ours == {option: declared.default for option, declared in options_of(TRANSFORMS[name]).items()}


@pytest.mark.parametrize("name", STEPS)
def test_what_becomes_of_an_image_is_its_own_whatever_lies_beside_it(name, images):
    step = STEPS[name]((HEIGHT, WIDTH), **OPTIONS.get(name, {}))
    together = step(images, draws(len(images)))
    assert together.shape == images.shape and together.dtype == torch.uint8
    assert not together.equal(images) and not together.equal(step(images, draws(len(images), seed=1)))
    places = [7, 2, 11]
    some = Draws(keys_of(f"image {i}" for i in places), 0)
    assert step(images[places], some).equal(together[places])


def test_a_crop_is_a_window_of_the_padded_image_and_every_window_comes():
    step = STEPS["random_crop"]((6, 8), padding=2)
    pixels = torch.arange(1, 145, dtype=torch.uint8).view(1, 3, 6, 8).repeat(2_000, 1, 1, 1)
    padded = torch.nn.functional.pad(pixels[0], (2,) * 4)
    windows = [padded[:, y : y + 6, x : x + 8] for y in range(5) for x in range(5)]
    seen = np.zeros(25)
    for image in step(pixels, draws(2_000)):
        (place,) = [i for i, window in enumerate(windows) if image.equal(window)]
        seen[place] += 1
    assert stats.chisquare(seen).pvalue > 1e-3


def test_as_many_images_are_mirrored_as_asked(images):
    many = images[:1].repeat(2_000, 1, 1, 1)
    mirrored = STEPS["horizontal_flip"]((HEIGHT, WIDTH), p=0.3)(many, draws(2_000))
    is_mirrored = (mirrored == images[0].flip(-1)).flatten(1).all(1)
    assert (is_mirrored | (mirrored == images[0]).flatten(1).all(1)).all()
    assert abs(is_mirrored.float().mean() - 0.3) < 0.05


def test_images_are_moved_as_opencv_moves_them(images):
    generator = np.random.default_rng(0)
    matrices = np.tile(np.eye(2, 3), (len(images), 1, 1)) + generator.uniform(-0.3, 0.3, (len(images), 2, 3))
    matrices[:, :, 2] = generator.uniform(-6, 6, (len(images), 2))
    ours = moved(images, matrices, fill=128)
    centre = np.array([WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5])
    for image, matrix, result in zip(images, matrices, ours, strict=True):
        from_corner = np.column_stack([matrix[:, :2], matrix[:, 2] + centre - matrix[:, :2] @ centre])
        pixels = image.permute(1, 2, 0).numpy().astype(np.float32)  # whose weights OpenCV rounds less than for uint8
        theirs = cv2.warpAffine(pixels, from_corner, (WIDTH, HEIGHT), borderValue=(128.0,) * 3)
        away = np.abs(theirs - result.permute(1, 2, 0).numpy())
        assert away.max() < 6 and away.mean() < 0.8  # OpenCV's places are 32nds of a pixel


def test_affine_stays_within_its_bounds():
    """A bright square in the middle goes where its mean may go, and grows as it may."""
    pixels = torch.zeros(500, 3, 40, 40, dtype=torch.uint8)
    pixels[:, :, 15:25, 15:25] = 200
    result = STEPS["affine"]((40, 40), shift=0.1, scale=(0.5, 1.5))(pixels, draws(500)).float()[:, 0]
    rows, columns = result.sum(2), result.sum(1)
    places = torch.arange(40) + 0.5 - 20
    for profile in (rows, columns):
        shifts = ((profile * places).sum(1) / profile.sum(1)).numpy()
        assert np.abs(shifts).max() < 4.1 and stats.kstest(shifts, stats.uniform(-4, 8).cdf).pvalue > 1e-3
    sides = (rows.sum(1) / rows.amax(1)).numpy() / 10
    assert 0.45 < sides.min() < 0.6 and 1.4 < sides.max() < 1.55
    assert (result.amax((1, 2)) == 200).all()


@pytest.mark.parametrize(
    ("change", "theirs", "low", "high"),
    [
        (brighter, F.adjust_brightness, 0.2, 1.8),
        (more_contrasting, F.adjust_contrast, 0.2, 1.8),
        (more_saturated, F.adjust_saturation, 0.2, 1.8),
        (other_hue, F.adjust_hue, -0.5, 0.5),
    ],
)
def test_colours_change_as_in_torchvision(change, theirs, low, high, images):
    amounts = np.random.default_rng(0).uniform(low, high, len(images))
    ours = by_amount(change, amounts)(images, np.arange(len(images)))
    for image, amount, result in zip(images, amounts, ours, strict=True):
        assert furthest(result, theirs(image, amount)) <= 1 + (change is other_hue)  # theirs rounds down


def test_hue_alone_leaves_grey_and_comes_round():
    grey = torch.arange(0, 240, 10).view(-1, 1, 1, 1).expand(-1, 3, 2, 2).to(torch.uint8)
    assert by_amount(other_hue, np.full(24, 0.3))(grey, np.arange(24)).equal(grey)
    red = torch.tensor([200, 10, 10], dtype=torch.uint8).view(1, 3, 1, 1)
    turned = [by_amount(other_hue, np.array([turn]))(red, np.array([0])).flatten().tolist() for turn in (0, 1 / 3, 1)]
    assert turned == [[200, 10, 10], [10, 200, 10], [200, 10, 10]]


@pytest.mark.parametrize("magnitude", [1, 9, 15, 30])
def test_randaugment_has_torchvisions_operations(magnitude, images):
    """Of its strength; moves round elsewhere, and fill their border more exactly."""
    both_ways = operations((HEIGHT, WIDTH), magnitude / 30)
    inside = torch.ones(1, 3, HEIGHT, WIDTH)
    for (there, back), (name, theirs) in zip(both_ways, torchvisions(magnitude).items(), strict=True):
        found = []
        for ours in (there, back):
            for sign in (1, -1):
                expected = theirs(images, sign)
                covered = theirs(inside, sign) > 0.999 if name in MOVES else torch.ones_like(inside, dtype=torch.bool)
                away = ((ours(images).int() - expected.int()).abs() * covered).max()
                found.append(bool(away <= 2 if name in MOVES else away <= 1))  # theirs has its amounts in float32
        assert found in ([True, False, False, True], [False, True, True, False], [True] * 4), name


MOVES = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")


def torchvisions(magnitude: int) -> dict:
    from torchvision.transforms.v2 import RandAugment

    transform = RandAugment(1, magnitude, interpolation=InterpolationMode.BILINEAR, fill=0)
    space = transform._AUGMENTATION_SPACE

    def one(name: str):
        magnitudes, signed = space[name]
        values = magnitudes(31, HEIGHT, WIDTH)
        amount = 0.0 if values is None else float(values[magnitude])
        return lambda images, sign: transform._apply_image_or_video_transform(
            images, name, amount * (sign if signed else 1), InterpolationMode.BILINEAR, transform._fill
        )

    order = ["Identity", "Posterize", "Solarize", "AutoContrast", "Equalize"]
    blends = ["Brightness", "Color", "Contrast", "Sharpness"]
    assert set(space) == {*MOVES, *blends, *order}
    return {name: one(name) for name in (*MOVES, *blends, *order)}


def test_randaugment_draws_every_operation_as_often(images):
    step = STEPS["randaugment"]((HEIGHT, WIDTH), num_ops=1, magnitude=20)
    result = step(images[:1].repeat(2_800, 1, 1, 1), draws(2_800))
    _, counts = result.unique(dim=0, return_counts=True)
    # One way: identity, posterize, solarize, autocontrast, equalize. Two ways: the other nine.
    assert len(counts) == 23
    assert counts.max() < 260 and counts.min() > 60


def test_a_rectangle_becomes_noise_as_albumentations_draws_it():
    white = torch.full((4_000, 3, HEIGHT, WIDTH), 255, dtype=torch.uint8)
    result = STEPS["random_erasing"]((HEIGHT, WIDTH), p=0.5)(white, draws(4_000))
    ours = [rectangle(image.numpy()) for image in result]
    one = erasing_of_one((HEIGHT, WIDTH), p=0.5)
    one.set_random_seed(0)
    pixels = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    theirs = [rectangle(one(image=pixels)["image"].transpose(2, 0, 1)) for _ in ours]
    assert abs(sum(r is not None for r in ours) / 4_000 - 0.5) < 0.04
    for side in range(4):  # top, left, height, width
        mine, others = ([r[side] for r in some if r is not None] for some in (ours, theirs))
        assert stats.ks_2samp(mine, others).pvalue > 1e-3
    noise = np.concatenate([image[image != 255].numpy() for image in result])
    assert abs(noise.mean() - 127) < 1 and len(np.unique(noise)) == 255


def rectangle(image: np.ndarray) -> tuple[int, int, int, int] | None:
    """Return top, left, height and width of what is not white in an image [3, h, w], checked to be a rectangle."""
    rows, columns = np.nonzero((image != 255).any(0))
    if not len(rows):
        return None
    top, left = rows.min(), columns.min()
    height, width = rows.max() - top + 1, columns.max() - left + 1
    assert len(rows) >= 0.97 * height * width
    return top, left, height, width
