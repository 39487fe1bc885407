"""MixUp and CutMix: what is mixed into an image is mixed into its target."""

import pytest
import torch
from torch import Tensor

from vit.data.augment.mixing import make_mixing
from vit.recipe import Mixing

CLASSES = 7
LABELS = torch.tensor([3, 0, 6, 1, 1])


def flat_images(height: int = 9, width: int = 11) -> Tensor:
    """Images [5, 3, height, width] of which each has one value: 10, 20, 30, 40, 50."""
    return torch.arange(10.0, 60.0, 10.0).view(5, 1, 1, 1).expand(5, 3, height, width).clone()


def mixed(seed: int, **settings) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    return make_mixing(Mixing(**settings), CLASSES)(flat_images(), LABELS)


def one_hot(labels: Tensor) -> Tensor:
    return torch.eye(CLASSES)[labels]


def partners() -> list[tuple[int, int]]:
    """(image, the one mixed into it): torchvision takes the one before."""
    return [(i, (i - 1) % 5) for i in range(5)]


@pytest.mark.parametrize("settings", [{}, {"mixup": 0.8, "cutmix": 1.0, "probability": 0.0}])
def test_nothing_is_mixed_when_mixing_is_off(settings):
    images, targets = mixed(0, **settings)
    assert images.equal(flat_images())
    assert targets.equal(one_hot(LABELS))


@pytest.mark.parametrize("settings", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 1.0}])
def test_targets_sum_to_one(settings):
    for seed in range(20):
        images, targets = mixed(seed, **settings)
        assert images.shape == (5, 3, 9, 11)
        assert targets.shape == (5, CLASSES)
        assert targets.min() >= 0
        torch.testing.assert_close(targets.sum(1), torch.ones(5))


def test_mixup_blends_image_and_target_by_the_same_share():
    shares = set()
    for seed in range(10):
        images, targets = mixed(seed, mixup=1.0)
        values = images[:, 0, 0, 0]
        torch.testing.assert_close(images, values.view(5, 1, 1, 1).expand_as(images))
        share = (values[0].item() - 50) / (10 - 50)  # of the first image; the last lies under it
        assert 0 <= share <= 1
        shares.add(round(share, 3))
        for i, other in partners():
            assert values[i].item() == pytest.approx(share * 10 * (i + 1) + (1 - share) * 10 * (other + 1), abs=1e-3)
            expected = share * one_hot(LABELS)[i] + (1 - share) * one_hot(LABELS)[other]
            torch.testing.assert_close(targets[i], expected, atol=1e-5, rtol=0)
    assert len(shares) > 5


def test_cutmix_pastes_a_rectangle_and_weighs_the_target_by_its_area():
    areas = set()
    for seed in range(10):
        images, targets = mixed(seed, cutmix=1.0)
        for i, other in partners():
            pasted = images[i, 0] == 10 * (other + 1)
            assert torch.equal(images[i], torch.where(pasted, 10.0 * (other + 1), 10.0 * (i + 1)).expand(3, -1, -1))
            rows, columns = pasted.any(1), pasted.any(0)
            assert pasted.equal(rows[:, None] & columns[None, :]), "not a rectangle"
            share = 1 - pasted.float().mean().item()
            areas.add(round(share, 3))
            expected = share * one_hot(LABELS)[i] + (1 - share) * one_hot(LABELS)[other]
            torch.testing.assert_close(targets[i], expected, atol=1e-5, rtol=0)
    assert len(areas) > 5


def is_pasted(images: Tensor) -> bool:
    return bool(torch.isin(images, flat_images().unique()).all())


def test_with_both_kinds_a_batch_is_blended_or_pasted():
    kinds = [is_pasted(mixed(seed, mixup=1.0, cutmix=1.0)[0]) for seed in range(60)]
    assert 15 <= sum(kinds) <= 45


def test_a_share_of_the_batches_is_mixed():
    untouched = [mixed(seed, mixup=1.0, probability=0.3)[0].equal(flat_images()) for seed in range(200)]
    assert sum(untouched) == pytest.approx(140, abs=4 * (200 * 0.3 * 0.7) ** 0.5)


def test_the_seed_decides_the_mixture():
    one, again, other = (mixed(seed, mixup=0.8, cutmix=1.0) for seed in (4, 4, 5))
    assert one[0].equal(again[0])
    assert one[1].equal(again[1])
    assert not one[0].equal(other[0])


@pytest.mark.parametrize("settings", [{"mixup": 0.8}, {"cutmix": 1.0}])
def test_rows_of_several_labels_are_mixed_as_classes_are(settings: dict[str, float]) -> None:
    images, targets = mixed(3, **settings)
    torch.manual_seed(3)
    several = torch.eye(CLASSES)[LABELS]
    several[:, 2] = 1
    again, mixed_rows = make_mixing(Mixing(**settings), CLASSES)(flat_images(), several)
    assert again.equal(images)
    assert torch.allclose(mixed_rows[:, [0, 1, 3, 4, 5, 6]], targets[:, [0, 1, 3, 4, 5, 6]])
    assert torch.allclose(mixed_rows[:, 2], torch.ones(5))
    unmixed = make_mixing(Mixing(), CLASSES)(flat_images(), several.bool())[1]
    assert unmixed.equal(several)
