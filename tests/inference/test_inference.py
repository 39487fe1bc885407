"""A module that is made ready for inference answers as before, but for bf16."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from vit import create_model
from vit.inference.half_precision import HalfPrecision, fold_batch_norms
from vit.inference.packed_blocks import PackedBlock, pack_blocks
from vit.inference.token_merging import merge_tokens
from vit.kernels.packed_linear import Int8Linear, bf16_supported, int8_supported


def trained(name: str, **options) -> nn.Module:
    """A model whose norms and gates are not at their initial values."""
    torch.manual_seed(0)
    module = create_model(name, num_classes=7, image_size=40, **options).eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight.data, part.bias.data, part.running_mean, part.running_var):
                tensor.uniform_(0.5, 1.5)
    nn.init.normal_(module.get_submodule("head" if name == "vit" else "fc").weight)
    return module


@pytest.mark.parametrize("attention", ["none", "se", "eca", "cbam", "spatial"])
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_folded_norms_change_nothing(name: str, attention: str) -> None:
    module = trained(name, attention=attention)
    images = torch.randn(2, 3, 40, 40)
    folded = deepcopy(module)
    fold_batch_norms(folded)
    left = [part for name, part in folded.named_modules() if isinstance(part, nn.BatchNorm2d) and ".se." not in name]
    with torch.inference_mode():
        expected = module(images)
        assert left == [] and torch.allclose(folded(images), expected, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit", {"patch_size": 4, "embed_dim": 48, "depth": 2, "num_heads": 3}),
        ("vit", {"patch_size": 8, "embed_dim": 40, "depth": 2, "num_heads": 2, "layer_scale": 0.3, "registers": 2}),
        ("vit", {"patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 2, "activation": "swiglu"}),
        ("resnet18", {}),
        ("resnet_cifar", {"attention": "cbam"}),
    ],
)
def test_answers_differ_by_bf16_alone(name: str, options: dict) -> None:
    module = trained(name, **options)
    images = torch.randn(4, 3, 40, 40)
    with torch.inference_mode():
        expected = module(images)
        with torch.autocast("cpu", torch.bfloat16):
            usual = (module(images).float() - expected).norm() / expected.norm()
        ready = HalfPrecision(module, torch.bfloat16)
        found = ready(images)
    assert found.dtype == torch.float32
    assert (found - expected).norm() / expected.norm() < max(0.02, 2 * usual)


@pytest.mark.parametrize("options", [{"activation": "gelu"}, {"activation": "swiglu"}])
def test_the_usual_blocks_are_packed_and_merge_tokens_too(options: dict) -> None:
    module = trained("vit", patch_size=4, embed_dim=48, depth=2, num_heads=3, **options)
    merge_tokens(module, 20)
    images = torch.randn(4, 3, 40, 40)
    with torch.inference_mode():
        expected = module(images)
        found = HalfPrecision(module, torch.bfloat16)(images)
    packed = [isinstance(block, PackedBlock) for block in module.blocks]
    assert packed == [bf16_supported() and options["activation"] == "gelu"] * 2
    assert (found - expected).norm() / expected.norm() < 0.1  # other tokens may be the most alike


@pytest.mark.skipif(not int8_supported(), reason="the processor has no instructions for int8")
@pytest.mark.parametrize("factors", [None, torch.linspace(0.5, 2, 24)])
def test_a_linear_map_in_int8_is_off_by_its_rounding_alone(factors: torch.Tensor | None) -> None:
    layer = nn.Linear(64, 24)
    x, other = torch.randn(2, 9, 64).bfloat16() + 0.5, torch.randn(2, 9, 24).bfloat16()
    packed = Int8Linear(layer, 18, factors)
    expected = layer(x.float()) * (1 if factors is None else factors)
    pairs = [
        (packed(x), expected),
        (packed.gelu(x), nn.functional.gelu(expected)),
        (packed.plus(x, other), expected + other),
    ]
    for found, right in pairs:
        assert found.shape == right.shape and found.dtype == torch.bfloat16
        assert (found - right).norm() / right.norm() < 0.02


@pytest.mark.skipif(not int8_supported(), reason="the processor has no instructions for int8")
def test_blocks_in_int8_answer_nearly_the_same() -> None:
    module = trained("vit", patch_size=4, embed_dim=48, depth=2, num_heads=3, layer_scale=0.5)
    images = torch.randn(4, 3, 40, 40)
    with torch.inference_mode():
        expected = module(images)
        assert pack_blocks(module, Int8Linear)
        found = HalfPrecision(module, torch.bfloat16)(images)
    assert (found - expected).norm() / expected.norm() < 0.1
