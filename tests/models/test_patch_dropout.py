"""Patches are left out in training alone, at random, and the prefix never."""

import pytest
import torch

from vit import create_model
from vit.errors import UserError
from vit.models.patch_dropout import PatchDropout


def numbered(images: int, prefix: int, patches: int) -> torch.Tensor:
    """Tokens that hold their own number."""
    return torch.arange(prefix + patches).float().view(1, -1, 1).expand(images, -1, 3)


@pytest.mark.parametrize(("rate", "kept"), [(0.5, 8), (0.25, 12), (0.99, 1), (0.0, 16)])
def test_so_many_different_patches_stay_behind_the_prefix(rate: float, kept: int) -> None:
    torch.manual_seed(0)
    tokens = PatchDropout(rate, prefix=2).train()(numbered(5, 2, 16))
    assert tokens.shape == (5, 2 + kept, 3)
    for image in tokens[..., 0].long().tolist():
        assert image[:2] == [0, 1] and len(set(image)) == len(image) and min(image[2:]) >= 2


def test_every_patch_stays_as_often_and_images_differ() -> None:
    torch.manual_seed(0)
    chosen = PatchDropout(0.5, prefix=1).train()(numbered(4_000, 1, 8))[:, 1:, 0].long() - 1
    shares = torch.bincount(chosen.flatten(), minlength=8) / 4_000
    assert shares.tolist() == pytest.approx([0.5] * 8, abs=0.03)
    assert len({tuple(sorted(row)) for row in chosen.tolist()}) == 70  # of 8 over 4


def test_a_model_leaves_patches_out_in_training_alone() -> None:
    shape = {"patch_size": 4, "embed_dim": 24, "depth": 1, "num_heads": 3, "patch_dropout": 0.5}
    module = create_model("vit", num_classes=3, image_size=16, **shape)
    seen: list[int] = []
    module.blocks.register_forward_pre_hook(lambda block, inputs: seen.append(inputs[0].shape[1]))
    images = torch.randn(2, 3, 16, 16)
    module.train()(images)
    module.eval()(images)
    assert seen == [1 + 8, 1 + 16]


def test_an_impossible_rate_is_refused() -> None:
    with pytest.raises(UserError, match=r"model\.patch_dropout: should be less than 1, given 1\.0"):
        create_model("vit_tiny", num_classes=3, image_size=32, patch_size=4, patch_dropout=1.0)
