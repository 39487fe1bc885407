"""SE, ECA, CBAM and spatial attention against timm's modules and against the formulas of their papers."""

import pytest
import torch
from timm.layers import EcaModule, SEModule
from timm.layers.cbam import CbamModule, SpatialAttn
from torch import Tensor

from vit.models.channel_attention import (
    ATTENTION_MODULES,
    ChannelGate,
    EfficientChannelAttention,
    SpatialGate,
    SqueezeExcitation,
)

TIMM_MODULES = {"se": SEModule, "eca": EcaModule, "cbam": CbamModule, "spatial": lambda channels: SpatialAttn()}


@pytest.mark.parametrize("channels", [8, 40, 64, 200, 256])
@pytest.mark.parametrize("name", ATTENTION_MODULES)
def test_computes_what_timm_computes(name, channels, randomize):
    ours, theirs = randomize(ATTENTION_MODULES[name](channels)), TIMM_MODULES[name](channels)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, channels, 5, 7)
    for training in (True, False):  # in training, batch normalisation takes its statistics from the batch
        torch.testing.assert_close(ours.train(training)(x), theirs.train(training)(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ATTENTION_MODULES)
def test_scales_by_a_gate_between_zero_and_one(name, randomize):
    module = randomize(ATTENTION_MODULES[name](16)).eval()
    x = torch.randn(2, 16, 3, 11)
    gate = module(x) / x
    assert gate.shape == x.shape
    assert gate.min() > 0
    assert gate.max() < 1
    assert gate.std() > 1e-3


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def test_squeeze_excitation_is_the_formula(randomize):
    """s = sigmoid(W2 relu(W1 z)), z the mean over positions (arXiv:1709.01507, eq. 2-4)."""
    module = randomize(SqueezeExcitation(32)).double()
    x = torch.randn(2, 32, 3, 5, dtype=torch.float64)
    w1, w2 = module.fc1.weight[:, :, 0, 0], module.fc2.weight[:, :, 0, 0]
    for image, out in zip(x, module(x), strict=True):
        z = image.sum((1, 2)) / 15
        s = sigmoid(w2 @ (w1 @ z + module.fc1.bias).clamp(min=0) + module.fc2.bias)
        torch.testing.assert_close(out, image * s[:, None, None])


@pytest.mark.parametrize(("channels", "hidden"), [(64, 8), (256, 16), (512, 32), (2048, 128), (200, 16)])
def test_squeeze_excitation_narrows_by_sixteen_in_multiples_of_eight(channels, hidden):
    assert SqueezeExcitation(channels).fc1.weight.shape == (hidden, channels, 1, 1)


def test_efficient_channel_attention_is_the_formula(randomize):
    """Every channel's gate looks at k neighbouring channels, nothing beyond the first and the last."""
    module = randomize(EfficientChannelAttention(256)).double()
    x = torch.randn(2, 256, 3, 5, dtype=torch.float64)
    weights = module.conv.weight.flatten()
    reach = len(weights) // 2
    for image, out in zip(x, module(x), strict=True):
        z = image.mean((1, 2))
        for c in range(256):
            window = [(j, c + j - reach) for j in range(len(weights)) if 0 <= c + j - reach < 256]
            gate = sigmoid(sum(weights[j] * z[neighbour] for j, neighbour in window))
            torch.testing.assert_close(out[c], image[c] * gate)


@pytest.mark.parametrize(("channels", "size"), [(2, 3), (16, 3), (64, 3), (128, 5), (256, 5), (512, 5), (2048, 7)])
def test_efficient_channel_attention_widens_with_the_channels(channels, size):
    """The sizes that the authors' code gives for gamma 2 and b 1 (github.com/BangguWu/ECANet)."""
    assert EfficientChannelAttention(channels).conv.kernel_size == (size,)


def channel_gate_by_formula(gate: ChannelGate, image: Tensor) -> Tensor:
    """sigmoid(W1 relu(W0 mean) + W1 relu(W0 max)) of one image [C, H, W] (arXiv:1807.06521, eq. 2)."""
    w0, w1 = gate.fc1.weight[:, :, 0, 0], gate.fc2.weight[:, :, 0, 0]
    mean, peak = image.flatten(1).mean(1), image.flatten(1).max(1).values
    return sigmoid(w1 @ (w0 @ mean).clamp(min=0) + w1 @ (w0 @ peak).clamp(min=0))[:, None, None]


def spatial_gate_by_formula(gate: SpatialGate, image: Tensor) -> Tensor:
    """sigmoid of a 7x7 window over [mean; max] of the channels of one image, normalised (eq. 3)."""
    convolution, norm = gate.conv.get_submodule("conv"), gate.conv.get_submodule("bn")
    kernel = convolution.weight[0]
    height, width = image.shape[1:]
    padded = torch.zeros(2, height + 6, width + 6, dtype=image.dtype)
    padded[0, 3:-3, 3:-3], padded[1, 3:-3, 3:-3] = image.mean(0), image.max(0).values
    rows = [[(kernel * padded[:, y : y + 7, x : x + 7]).sum() for x in range(width)] for y in range(height)]
    raw = torch.stack([torch.stack(row) for row in rows])
    normed = (raw - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps) * norm.weight + norm.bias
    return sigmoid(normed)


def test_channel_gate_is_the_formula(randomize):
    gate = randomize(ChannelGate(32)).double()
    x = torch.randn(2, 32, 4, 5, dtype=torch.float64)
    expected = torch.stack([image * channel_gate_by_formula(gate, image) for image in x])
    torch.testing.assert_close(gate(x), expected)


def test_spatial_gate_is_the_formula(randomize):
    gate = randomize(SpatialGate(6)).double().eval()
    x = torch.randn(2, 6, 4, 9, dtype=torch.float64)
    expected = torch.stack([image * spatial_gate_by_formula(gate, image) for image in x])
    torch.testing.assert_close(gate(x), expected)


def test_block_attention_gates_the_channels_before_the_positions(randomize):
    module = randomize(ATTENTION_MODULES["cbam"](32)).double().eval()
    image = torch.randn(32, 4, 5, dtype=torch.float64)
    refined = image * channel_gate_by_formula(module.channel, image)
    expected = refined * spatial_gate_by_formula(module.spatial, refined)
    torch.testing.assert_close(module(image[None])[0], expected)
