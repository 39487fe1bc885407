"""Residual networks (He et al. 2016, arXiv:1512.03385), with one slot for an attention module in every block.

B images, C channels, H x W positions. Module names are timm's; the slot is called `se` there, whatever stands in it.
What no backward pass needs, a norm's output and a sum, is written over: it saves memory and its traffic.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from .channel_attention import ATTENTION_MODULES
from .drop_path import DropPath
from .interface import Structure
from .strides import thin_out

AttentionName = Literal["none", "se", "eca", "cbam", "spatial"]
SMALL_IMAGE = 64  # pixels; below, the 7x7 stem and its pooling would leave nothing to look at


def attention_module(name: AttentionName, channels: int) -> nn.Module:
    return nn.Identity() if name == "none" else ATTENTION_MODULES[name](channels)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int, attention: AttentionName, drop_path: float):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.se = attention_module(attention, width)
        self.downsample = shortcut(channels, width, stride)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.se(self.bn2(self.conv2(y)))
        return F.relu(self.drop_path(y).add_(self.downsample(x)), inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions beside a shortcut; the stride is on the 3x3."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int, attention: AttentionName, drop_path: float):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.se = attention_module(attention, 4 * width)
        self.downsample = shortcut(channels, 4 * width, stride)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.se(self.bn3(self.conv3(y)))
        return F.relu(self.drop_path(y).add_(self.downsample(x)), inplace=True)


def shortcut(channels: int, width: int, stride: int) -> nn.Module:
    if stride == 1 and channels == width:
        return nn.Identity()
    return nn.Sequential(thin_out(nn.Conv2d(channels, width, 1, stride, bias=False)), nn.BatchNorm2d(width))


class ResNet(nn.Module):
    """A stem, stages of residual blocks that halve the positions and double the width, mean pooling, a linear head.

    images [B, 3, height, width] -> logits [B, num_classes], or features where num_classes is 0. `attention` stands at
    the end of every residual branch. `stem` is 3x3 without pooling for images up to 64 pixels and 7x7 with
    pooling above, unless it is named.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        image_size: tuple[int, int] = (224, 224),
        block: Literal["basic", "bottleneck"],
        depths: tuple[int, ...],
        width: int = 64,
        attention: AttentionName = "none",
        stem: Literal["auto", "3x3", "7x7"] = "auto",
        drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0,
    ):
        super().__init__()
        if min(width, *depths, len(depths)) < 1:
            raise ValueError(f"width {width} and depths {list(depths)} must be positive")
        make_block = {"basic": BasicBlock, "bottleneck": Bottleneck}[block]
        small = stem == "3x3" or (stem == "auto" and min(image_size) <= SMALL_IMAGE)
        self.settled_options = {"stem": "3x3" if small else "7x7"}
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False) if small else nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        self.stages = [f"layer{i + 1}" for i in range(len(depths))]
        rates = iter(drop_path * i / max(sum(depths) - 1, 1) for i in range(sum(depths)))
        channels = width
        for i, (stage, depth) in enumerate(zip(self.stages, depths, strict=True)):
            blocks = nn.Sequential()
            for j in range(depth):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(make_block(channels, width << i, stride, attention, next(rates)))
                channels = (width << i) * make_block.expansion
            self.add_module(stage, blocks)
        self.fc = nn.Linear(channels, num_classes) if num_classes else nn.Identity()
        self.initialize()

    def initialize(self) -> None:
        """Draw He-normal convolutions, and let every residual branch start at zero (arXiv:1706.02677, section 5.1)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        for module in self.modules():
            if isinstance(module, BasicBlock):
                nn.init.zeros_(module.bn2.weight)
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)

    def structure(self) -> Structure:
        """Return what the network is made of."""
        blocks = (f"{stage}.{i}" for stage in self.stages for i in range(len(self.get_submodule(stage))))  # pyright: ignore[reportArgumentType]
        return Structure(family="cnn", heads=("fc",), blocks=tuple(blocks))

    def features(self, images: Tensor) -> Tensor:
        """Return what the head sees: [B, C]."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(images)), inplace=True))  # [B, C, H, W]
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        return x.mean((2, 3))

    def classify(self, features: Tensor) -> Tensor:
        return self.fc(features)  # [B, num_classes]

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.features(images))


def normalized_convolutions(module: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Yield every part of ours that holds a convolution with a norm behind it, and the names of both within it."""
    for part in module.modules():
        if not isinstance(part, BasicBlock | Bottleneck | ResNet):
            continue
        names = {name for name, _ in part.named_children()}
        yield from ((part, f"conv{i}", f"bn{i}") for i in (1, 2, 3) if f"conv{i}" in names)
        if "downsample" in names and isinstance(part.downsample, nn.Sequential):
            yield part, "downsample.0", "downsample.1"
