"""Patches in order: what a prediction may have read, and that a picture is what was predicted."""

import torch
from torch import Tensor

import vit
from vit.models.autoregression import Autoregression
from vit.models.vision_transformer import VisionTransformer

SMALL = {"patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 4, "mlp_ratio": 2.0}


def autoregression(**options) -> Autoregression:
    trunk = vit.create_model("vit", num_classes=0, image_size=32, positions="sincos_2d", **SMALL)
    assert isinstance(trunk, VisionTransformer)
    return Autoregression(trunk, decoder_depth=2, **options)


def with_other(images: Tensor, place: int) -> Tensor:
    """Return images of 4 x 4 patches with one of them replaced."""
    other = images.clone()
    row, column = place // 4 * 8, place % 4 * 8
    other[:, :, row : row + 8, column : column + 8] = torch.randn(len(images), 3, 8, 8)
    return other


@torch.no_grad()
def test_a_prediction_reads_neither_its_patch_nor_a_later_one() -> None:
    module = autoregression().eval()
    images = torch.randn(2, 3, 32, 32)
    predicted, asked = module.predicted(images)
    assert asked[:, :8].sum() == 0 and asked[:, 8:].min() == 1, "half of the patches are told"
    for place in range(8, 16):
        other, _ = module.predicted(with_other(images, place))
        assert torch.equal(other[:, 8 : place + 1], predicted[:, 8 : place + 1])
        if place < 15:
            assert not torch.equal(other[:, place + 1], predicted[:, place + 1]), "the next one has read it"
    other, _ = module.predicted(with_other(images, 7))
    assert not torch.equal(other[:, 8], predicted[:, 8])


@torch.no_grad()
def test_the_prefix_sees_itself_whole() -> None:
    module = autoregression().eval()
    images = torch.randn(2, 3, 32, 32)
    known = torch.tensor([8, 8])
    first = module.following(images, known)[:, 0]
    assert not torch.equal(module.following(with_other(images, 7), known)[:, 0], first)
    assert torch.equal(module.following(with_other(images, 9), known)[:, 0], first)
    alone = torch.tensor([1, 1])
    assert torch.equal(module.following(with_other(images, 7), alone)[:, 0], module.following(images, alone)[:, 0])


def test_prefixes_are_drawn_in_training_and_the_loss_is_of_what_is_behind_them() -> None:
    module = autoregression().train()
    torch.manual_seed(0)
    known = module.known(1_000, 16, torch.device("cpu"))
    assert known.min() == 1 and known.max() == 15
    images = torch.randn(3, 3, 32, 32)
    loss, by_image = module(images, torch.zeros(3, 1))
    assert torch.allclose(by_image.mean(), loss)
    loss.backward()
    assert all(parameter.grad is not None for name, parameter in module.named_parameters() if "cls_token" not in name)


def test_a_picture_goes_on_from_what_it_has_drawn() -> None:
    module = autoregression().eval()
    images = torch.randn(2, 3, 32, 32)
    masked, drawn = module.pictures(images)
    assert torch.equal(drawn[:, :, :16], images[:, :, :16]) and (masked[:, :, 16:] == 0).all()
    with torch.no_grad():
        predicted, _ = module.predicted(drawn)
    assert torch.allclose(module.pixels(drawn)[:, 8:], predicted[:, 8:], atol=1e-5), "each is told by those before it"
