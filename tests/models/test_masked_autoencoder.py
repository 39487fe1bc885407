"""Masked autoencoding beside transformers' ViTMAE: the same loss and gradients; and what the trunk cannot have read."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import ViTMAEConfig, ViTMAEForPreTraining

import vit
from vit.models.masked_autoencoder import MaskedAutoencoder
from vit.models.positions import fixed_positions
from vit.models.vision_transformer import VisionTransformer
from vit.pretrained import layouts

SMALL = {"patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 4, "mlp_ratio": 2.0}
THEIRS = ViTMAEConfig(
    hidden_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=96,
    image_size=32,
    patch_size=8,
    decoder_hidden_size=24,
    decoder_num_hidden_layers=2,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=96,
    layer_norm_eps=1e-6,
)
DECODER = {"embed": "decoder_embed", "norm": "decoder_norm", "out": "decoder_pred", "mask_token": "mask_token"}


def autoencoder(**options) -> MaskedAutoencoder:
    trunk = vit.create_model("vit", num_classes=0, image_size=32, positions="sincos_2d", **SMALL)
    assert isinstance(trunk, VisionTransformer)
    return MaskedAutoencoder(trunk, decoder_depth=2, **options)


def ours_of(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of transformers' model under our names; its positions are fixed, and ours computed."""
    trunk, rest = layouts.below(tensors, "vit.")
    decoder = layouts.below(rest, "decoder.")[0]
    blocks = {name.removeprefix("decoder_"): tensor for name, tensor in decoder.items() if "layers" in name}
    named = {f"trunk.{name}": part for name, part in translated(trunk).items() if name != "pos_embed"}
    named |= translated(blocks)
    for ours, theirs in DECODER.items():
        named |= {name.replace(theirs, ours): part for name, part in decoder.items() if name.startswith(theirs)}
    return named


def translated(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return layouts.fuse(layouts.rename(tensors, layouts.TRANSFORMERS))


@pytest.mark.parametrize("normalize", [False, True])
def test_loss_and_gradients_are_those_of_transformers(normalize: bool, randomize: Callable) -> None:
    theirs = randomize(ViTMAEForPreTraining(THEIRS))
    for table in (theirs.vit.embeddings.position_embeddings, theirs.decoder.decoder_pos_embed):  # as in its files
        table.data.zero_()[:, 1:] = fixed_positions("sincos_2d", (4, 4), table.shape[2])
    theirs.config.norm_pix_loss = normalize
    ours = autoencoder(normalize_targets=normalize)
    ours.load_state_dict(ours_of(theirs.state_dict()))
    images, noise = torch.randn(3, 3, 32, 32), torch.rand(3, 16)
    expected = theirs(pixel_values=images, noise=noise).loss
    ours.order_of = lambda images: noise.argsort(1)  # type: ignore[method-assign]
    loss, by_image = ours.train()(images, torch.zeros(3, 1))
    assert torch.allclose(loss, expected, atol=1e-5)
    assert torch.allclose(by_image.mean(), loss, atol=1e-6)
    expected.backward()
    loss.backward()
    slopes = ours_of({name: p.grad for name, p in theirs.named_parameters() if p.grad is not None})
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None and torch.allclose(parameter.grad, slopes[name], atol=1e-4), name


def test_what_is_hidden_is_not_read_and_what_is_seen_is_not_asked() -> None:
    module = autoencoder().eval()
    images = torch.randn(2, 3, 32, 32)
    order = module.order_of(images)
    kept, hidden = order[:, :4], order[:, 4:]
    other = images.clone()
    for image, places in zip(other, hidden, strict=True):
        for place in places.tolist():
            image[:, place // 4 * 8 : place // 4 * 8 + 8, place % 4 * 8 : place % 4 * 8 + 8] = torch.randn(3, 8, 8)
    with torch.no_grad():
        assert torch.equal(module.seen(images, kept), module.seen(other, kept))
        drawn, marks = module.drawn(images, order)
        assert torch.equal(module.drawn(other, order)[0], drawn)
        assert not torch.equal(module(images), module(other)), "the hidden pixels are what is asked"
    assert marks.gather(1, kept).sum() == 0 and marks.sum() == hidden.numel()
    pixels = module.patches(images)
    assert torch.equal(pixels[0, 6].view(8, 8, 3).permute(2, 0, 1), images[0, :, 8:16, 16:24]), "row 1, column 2"


@pytest.mark.parametrize("normalize", [False, True])
def test_pictures_show_what_was_seen_and_what_was_drawn(normalize: bool, monkeypatch) -> None:
    module = autoencoder(normalize_targets=normalize).eval()
    images = torch.randn(2, 3, 32, 32)
    order, truth = module.order_of(images), module.patches(images)
    hidden = torch.ones(2, 16).scatter(1, order[:, :4], 0.0)
    monkeypatch.setattr(module, "drawn", lambda images, order: (truth, hidden))
    masked, whole = module.pictures(images)
    assert torch.allclose(whole, images, atol=1e-5), "who draws the truth gets the image back"
    assert torch.equal(masked == images, (masked != 0)) and (masked == 0).float().mean() == 0.75


def test_training_draws_masks_and_validation_keeps_its_own() -> None:
    module = autoencoder()
    images = torch.randn(4, 3, 32, 32)
    torch.manual_seed(1)
    first = module.train().order_of(images)
    again = module.order_of(images)
    torch.manual_seed(1)
    assert torch.equal(module.order_of(images), first) and not torch.equal(again, first)
    fixed = module.eval().order_of(images)
    torch.manual_seed(2)
    assert torch.equal(module.order_of(images), fixed)
    assert not torch.equal(fixed[0], fixed[1]), "each image of a batch has a mask of its own"


@pytest.mark.parametrize("options", [{"positions": "rope"}, {"mixer": "pooling", "class_token": False, "pool": "mean"}])
def test_trunks_that_need_every_patch_are_refused(options: dict) -> None:
    trunk = vit.create_model("vit", num_classes=0, image_size=32, **SMALL, **options)
    with pytest.raises(ValueError, match="masked pretraining leaves patches out"):
        MaskedAutoencoder(trunk)  # type: ignore[arg-type]
