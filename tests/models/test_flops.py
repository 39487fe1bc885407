"""Multiply-accumulates against the closed formulas, against hooks, and against the published counts."""

import pytest
import timm
import torch
from torch import nn

from vit import create_model
from vit.models.channel_attention import ChannelGate, SqueezeExcitation
from vit.models.flops import count_macs, count_parameters

WIDTHS = {"vit_tiny": (192, 12), "vit_small": (384, 12), "vit_base": (768, 12)}
PUBLISHED = {"vit_tiny": 1.25e9, "vit_small": 4.60e9, "vit_base": 17.56e9, "resnet50": 4.11e9}  # at 224 pixels


def on_meta(name: str, image_size: tuple[int, int] = (224, 224), num_classes: int = 1000, **options) -> nn.Module:
    with torch.device("meta"):
        return create_model(name, num_classes=num_classes, image_size=image_size, **options)


def macs_of_a_vision_transformer(
    patches: int, patch_size: int, width: int, depth: int, hidden: int, num_classes: int
) -> int:
    """Patches; in every block q, k, v and the output, the MLP, and attention's two products; the head."""
    tokens = patches + 1
    block = 4 * tokens * width**2 + 2 * tokens * width * hidden + 2 * tokens**2 * width
    return patches * patch_size**2 * 3 * width + depth * block + width * num_classes


@pytest.mark.parametrize("name", WIDTHS)
def test_transformers_are_counted_by_the_closed_formula(name):
    width, depth = WIDTHS[name]
    expected = macs_of_a_vision_transformer(14 * 14, 16, width, depth, 4 * width, 1000)
    assert count_macs(on_meta(name), (224, 224)) == expected


def test_a_transformer_of_odd_sizes_is_counted_by_the_closed_formula():
    options = {"patch_size": 7, "embed_dim": 60, "depth": 5, "num_heads": 4, "mlp_ratio": 2.5}
    module = on_meta("vit", (21, 35), num_classes=13, **options)
    assert count_macs(module, (21, 35)) == macs_of_a_vision_transformer(3 * 5, 7, 60, 5, 150, 13)


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_are_the_published_ones(name):
    assert count_macs(on_meta(name), (224, 224)) == pytest.approx(PUBLISHED[name], rel=0.01)


@pytest.mark.parametrize("fused", [True, False])
def test_attention_of_timm_is_counted_like_ours(fused):
    timm.layers.set_fused_attn(fused)
    try:
        theirs = create_model("timm/vit_tiny_patch16_224", num_classes=10, image_size=64)
    finally:
        timm.layers.set_fused_attn(True)
    assert count_macs(theirs, (64, 64)) == count_macs(on_meta("vit_tiny", (64, 64), 10), (64, 64))


def macs_by_hooks(module: nn.Module, image_size: tuple[int, int]) -> int:
    """Sum, over convolutions and linear layers, the outputs times the inputs that each is made of."""
    found = []

    def count(layer, inputs, output) -> None:
        found.append(output.numel() * layer.weight[0].numel())

    hooks = [
        part.register_forward_hook(count)
        for part in module.modules()
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        module.eval()(torch.zeros(1, 3, *image_size))
    for hook in hooks:
        hook.remove()
    return sum(found) + sum(macs_of_a_gate(part) for part in module.modules())


def macs_of_a_gate(part: nn.Module) -> int:
    """Count layers that are applied as matrices, and not called: CBAM's first to a mean and a peak, which then add."""
    times = {SqueezeExcitation: (1, 1), ChannelGate: (2, 1)}.get(type(part), (0, 0))
    return sum(n * layer.weight.numel() for n, layer in zip(times, part.children(), strict=False) if n)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {"attention": "se"}),
        ("resnet_cifar", {"attention": "eca"}),
        ("resnet_cifar", {"attention": "cbam"}),
        ("timm/efficientnet_b0", {}),  # grouped convolutions
        ("timm/convnext_atto", {}),
    ],
)
def test_networks_without_attention_heads_are_counted_layer_by_layer(name, options):
    module = create_model(name, num_classes=7, image_size=(64, 96), **options)
    expected = macs_by_hooks(module, (64, 96))
    assert expected > 1e6
    assert count_macs(module, (64, 96)) == expected


class TorchAttention(nn.Module):
    """Four patches of 8 channels, and torch's own attention over them."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)
        return self.attention(x, x, x, need_weights=False)[0].mean(1)


def test_attention_of_torch_itself_is_counted():
    expected = 4 * 48 * 8 + 4 * 4 * 8 * 8 + 2 * 4 * 4 * 8
    assert count_macs(TorchAttention(), (8, 8)) == expected


def test_counting_leaves_the_module_as_it_was():
    module = create_model("resnet_cifar", num_classes=3, image_size=16).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    count_macs(module, (16, 16))
    assert module.training
    assert all(tensor.equal(before[name]) for name, tensor in module.state_dict().items())
    assert not module.eval().training
    count_macs(module, (16, 16))
    assert not module.training


def test_counts_parameters_by_the_formula():
    assert count_parameters(nn.Sequential(nn.Linear(3, 5), nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4))) == 100
