"""Maps of features: sums that must come out, captum's maps, and where a class token leaves no gradient."""

import pytest
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from torch import Tensor, nn

import vit
from vit.explanations.feature_maps import SEEN_BY_THE_HEAD, grad_cam, hirescam, last_map, layer_cam
from vit.explanations.hooks import hooked
from vit.explanations.methods import why_flat
from vit.explanations.pixel_maps import integrated_gradients
from vit.explanations.token_trunks import token_trunk
from vit.models.vision_transformer import all_tokens

CLASSES = torch.tensor([2, 0])


def redrawn(module: nn.Module) -> nn.Module:
    """Return a module in which no gate, norm or head is what it began with."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
        for name, buffer in module.named_buffers():
            if buffer.is_floating_point():
                buffer.add_(torch.rand(buffer.shape, generator=generator) * (1.0 if "var" in name else 0.1))
    return module.eval()


def resnet(attention: str = "none", block: str = "basic") -> nn.Module:
    options = {"block": block, "depths": (1, 1), "width": 8, "attention": attention}
    return redrawn(vit.create_model("resnet", num_classes=3, image_size=(32, 48), **options))


@pytest.mark.parametrize("attention", ["none", "se", "eca", "cbam", "spatial"])
@pytest.mark.parametrize("block", ["basic", "bottleneck"])
def test_hirescam_sums_to_the_logit_less_its_bias(attention: str, block: str) -> None:
    module, images = resnet(attention, block), torch.randn(2, 3, 32, 48)
    at = last_map(module)
    assert at is not None
    logits = module(images).detach()[torch.arange(2), CLASSES]
    sums = hirescam(module, at, images, CLASSES).sum((1, 2))
    expected = logits - module.fc.bias.detach()[CLASSES]
    assert float((sums - expected).abs().max()) <= 1e-4 * float(logits.abs().max())


@pytest.mark.parametrize("attention", ["none", "se", "eca", "cbam", "spatial"])
def test_grad_cam_is_captums(attention: str) -> None:
    module, images = resnet(attention), torch.randn(2, 3, 32, 48)
    at = last_map(module)
    assert at is not None
    theirs = LayerGradCam(module, at.part).attribute(images, target=CLASSES, relu_attributions=True)[:, 0].detach()
    ours = grad_cam(module, at, images, CLASSES)
    assert float((ours - theirs).abs().max()) <= 1e-5 * float(theirs.max())
    assert torch.equal(ours, hirescam(module, at, images, CLASSES).relu()) or torch.allclose(
        ours, hirescam(module, at, images, CLASSES).relu(), atol=1e-5 * float(theirs.max())
    )  # behind mean pooling both are one


def test_layer_cam_leaves_out_what_speaks_against_the_class() -> None:
    module, images = resnet("se"), torch.randn(2, 3, 32, 48)
    at = last_map(module)
    assert at is not None
    kept: list[Tensor] = []
    with hooked([at.part], lambda part, arguments, output: kept.append(output)):
        module(images)
    weights = module.fc.weight[CLASSES].detach() / kept[0].shape[2:].numel()
    expected = torch.einsum("bc,bcij->bij", weights.clamp(min=0), kept[0].detach())
    assert torch.allclose(layer_cam(module, at, images, CLASSES), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("model", ["vit", "resnet"])
def test_integrated_gradients_are_captums_and_complete(model: str) -> None:
    shape = {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3}
    module = (
        resnet("cbam")
        if model == "resnet"
        else redrawn(vit.create_model("vit", num_classes=3, image_size=(32, 48), **shape))
    )
    images = torch.randn(2, 3, 32, 48)
    theirs = IntegratedGradients(module).attribute(images, target=CLASSES, n_steps=32, method="gausslegendre")
    ours = integrated_gradients(module, images, CLASSES, 32)
    expected = theirs.sum(1).detach().float()
    assert float((ours - expected).abs().max()) <= 1e-5 * float(expected.abs().max())
    with torch.no_grad():
        change = (module(images) - module(torch.zeros_like(images)))[torch.arange(2), CLASSES]
    assert torch.allclose(ours.sum((1, 2)), change, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("pool", ["cls", "cls_dist", "mean", "cls_mean"])
def test_the_map_is_taken_where_patches_have_gradients(pool: str) -> None:
    """At the last block's output every patch's gradient is exactly zero, where the head sees class tokens alone."""
    shape = {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3, "pool": pool}
    module, images = (
        redrawn(vit.create_model("vit", num_classes=3, image_size=(16, 24), **shape)),
        torch.randn(2, 3, 16, 24),
    )
    trunk, at = token_trunk(module), last_map(module)
    assert trunk is not None and at is not None
    kept: list[Tensor] = []
    with all_tokens(module), hooked([module.blocks[-1]], lambda part, arguments, output: kept.append(output)):
        logits = module(images).gather(1, CLASSES[:, None]).sum()
    (slopes,) = torch.autograd.grad(logits, kept)
    assert bool(slopes[:, trunk.prefix :].any()) == (pool in SEEN_BY_THE_HEAD)
    for method in (hirescam, grad_cam, layer_cam):
        assert method(module, at, images, CLASSES).shape == (2, 4, 6)
    assert float(hirescam(module, at, images, CLASSES).abs().min()) > 1e-6  # and no rounding, as before a norm


def test_flat_maps_are_told_with_their_reason() -> None:
    untrained = vit.create_model("vit", num_classes=3, image_size=16, patch_size=4, embed_dim=24, depth=1, num_heads=3)
    flat = torch.zeros(4, 4)
    assert "weights are zero" in str(why_flat(flat, untrained))
    assert why_flat(flat, resnet()) == "nothing in the image raises this class's logit"
    assert why_flat(flat + 3, resnet()) == "every place counts the same"
    assert why_flat(flat * torch.nan, resnet()) == "the model's gradients are not finite"
    assert why_flat(torch.eye(4), resnet()) is None
