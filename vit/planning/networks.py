"""Networks that a comparison may choose from: pairs of a ViT and a ResNet of like parameters, from small to large."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LARGE_PATCH = 16  # pixels
PATCHES = 7  # a side, or more: fewer say too little of where something is
PHOTOGRAPHS = 96  # pixels of the shorter side, from which on images are photographs and not icons
SMALL = 40  # pixels, up to which images keep their size
ATTENTION = ("se", "cbam")  # channel attention, and channel and spatial attention


@dataclass(frozen=True)
class Pair:
    """A ViT and a ResNet, as `model` sections, of parameters within a tenth of each other, from scratch."""

    vit: Mapping[str, Any]
    resnet: Mapping[str, Any]
    image_size: int  # of photographs
    mlp_ratio_with_large_patches: float | None = None  # of a ViT so narrow that they are a quarter of its parameters

    def vit_for(self, image_size: int) -> dict[str, Any]:
        """Return the `model` section of the ViT for images of a size."""
        patch_size = patch_size_for(image_size)
        narrower = self.mlp_ratio_with_large_patches
        changed = {"mlp_ratio": narrower} if patch_size == LARGE_PATCH and narrower else {}
        return {"name": "vit", "patch_size": patch_size, **self.vit, **changed, "position_std": 1.0}


# Widths after arXiv:2106.10270's ViT-Ti and ViT-S and arXiv:1512.03385's ResNet-18 and 50, and narrower ones, which
# learn in minutes of a processor.
PAIRS = (
    Pair({"embed_dim": 64, "depth": 4, "num_heads": 4, "mlp_ratio": 3.0}, {"name": "resnet18", "width": 8}, 128, 2.0),
    Pair({"embed_dim": 128, "depth": 6, "num_heads": 4, "mlp_ratio": 3.0}, {"name": "resnet18", "width": 20}, 128),
    Pair({"embed_dim": 192, "depth": 9, "num_heads": 3, "mlp_ratio": 4.0}, {"name": "resnet18", "width": 40}, 128),
    Pair({"embed_dim": 192, "depth": 12, "num_heads": 3, "mlp_ratio": 4.0}, {"name": "resnet18", "width": 44}, 224),
    Pair({"embed_dim": 384, "depth": 12, "num_heads": 6, "mlp_ratio": 4.0}, {"name": "resnet50"}, 224),
)
PRETRAINED = (("vit_tiny", "resnet18"), ("vit_small", "resnet50"))  # names with published weights, from small to large


def image_size_for(side: int, pair: Pair) -> int:
    """Return the size that images of such a shorter side are brought to: their own where they are small."""
    if side <= SMALL:
        return max(8, round(side / 4) * 4)
    return pair.image_size if side >= PHOTOGRAPHS else 64


def patch_size_for(image_size: int) -> int:
    """Return the largest size of patches that leaves PATCHES a side: 4 of 32 pixels, 16 of 128."""
    if image_size == 224:
        return LARGE_PATCH  # the paper's, with 14 a side
    return max(d for d in range(1, image_size + 1) if image_size % d == 0 and image_size // d >= PATCHES)
