"""Channel and spatial attention for convolutional networks: gates in (0, 1) that scale a feature map.

B images, C channels, H x W positions. Every module maps [B, C, H, W] to the same shape; parameter names are timm's.
"""

from collections.abc import Callable
from math import log2

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """SE: x * sigmoid(W2 relu(W1 mean(x))), the mean over positions (Hu et al. 2018, arXiv:1709.01507, eq. 2-4).

    The hidden width is C / reduction, rounded to a multiple of 8.
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        hidden = _multiple_of_eight(channels / reduction)
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.relu(as_linear(self.fc1, x.mean((2, 3))))  # [B, hidden]
        return x * as_linear(self.fc2, hidden).sigmoid()[..., None, None]


class EfficientChannelAttention(nn.Module):
    """ECA: x * sigmoid(conv1d_k(mean(x))), k neighbouring channels at a time (Wang et al. 2020, arXiv:1910.03151).

    k = |log2(C) / 2 + 1 / 2|, made odd upwards, at least 3 (eq. 12, gamma 2 and b 1).
    """

    def __init__(self, channels: int):
        super().__init__()
        size = int(abs(log2(channels) + 1) / 2)
        size = max(size if size % 2 else size + 1, 3)
        self.conv = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = x.mean((2, 3)).unsqueeze(1)  # [B, 1, C]
        return x * self.conv(squeezed).sigmoid().transpose(1, 2).unsqueeze(-1)  # gate: [B, C, 1, 1]


class ChannelGate(nn.Module):
    """CBAM's channel gate: x * sigmoid(MLP(mean(x)) + MLP(max(x))), one MLP for both (arXiv:1807.06521, eq. 2).

    The MLP ends in a linear map without bias, so the two are added before it.
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        hidden = max(1, int(channels / reduction + 0.5))
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.stack([x.mean((2, 3)), x.amax((2, 3))])  # [2, B, C]
        hidden = F.relu(as_linear(self.fc1, pooled)).sum(0)  # [B, hidden]
        return x * as_linear(self.fc2, hidden).sigmoid()[..., None, None]


class SpatialGate(nn.Module):
    """CBAM's spatial gate: x * sigmoid(BN(conv7x7([mean(x); max(x)]))), over channels (arXiv:1807.06521, eq. 3).

    The batch normalisation is that of the authors' code.
    """

    def __init__(self, channels: int, kernel_size: int = 7):
        super().__init__()
        self.conv = nn.Sequential()
        self.conv.add_module("conv", nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False))
        self.conv.add_module("bn", nn.BatchNorm2d(1))

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)  # [B, 2, H, W]
        return x * self.conv(pooled).sigmoid()


class ConvolutionalBlockAttention(nn.Module):
    """CBAM: the channel gate, then the spatial gate (Woo et al. 2018, arXiv:1807.06521, eq. 1)."""

    def __init__(self, channels: int):
        super().__init__()
        self.channel = ChannelGate(channels)
        self.spatial = SpatialGate(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.spatial(self.channel(x))


ATTENTION_MODULES: dict[str, Callable[[int], nn.Module]] = {
    "se": SqueezeExcitation,
    "eca": EfficientChannelAttention,
    "cbam": ConvolutionalBlockAttention,
    "spatial": SpatialGate,
}


def as_linear(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a 1x1 convolution to pooled channels [..., C]: the same product without a convolution's preparations."""
    return F.linear(x, convolution.weight.flatten(1), convolution.bias)


def _multiple_of_eight(width: float) -> int:
    return max(8, int(width + 4) // 8 * 8)
