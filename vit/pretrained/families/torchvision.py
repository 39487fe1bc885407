"""torchvision's Vision Transformers."""

from typing import Any

from ...data.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from .. import layouts
from ..layouts import rename
from ..weights import Weights
from .common import WeightsFile, vision_transformer


def from_torchvision(file: WeightsFile) -> Weights:
    tensors = rename(file.tensors, layouts.TORCHVISION)
    family, resampling = "torchvision", {"antialias": False, "align_corners": True}
    weights = vision_transformer(
        file, family, tensors, {}, IMAGENET_MEAN, IMAGENET_STD, {"interpolation": "bilinear"}, resampling=resampling
    )
    return weights.prepared(**_torchvision_crop(weights))


def _torchvision_crop(weights: Weights) -> dict[str, Any]:
    """Return torchvision's evaluation: its own models from 256 pixels (L/16: 242), the larger SWAG ones whole."""
    if weights.preprocessing.image_size != (224, 224) or weights.options["patch_size"] == 14:
        return {"interpolation": "bicubic", "crop_fraction": 1.0}
    large = weights.options["embed_dim"] == 1024 and weights.options["patch_size"] == 16
    return {"crop_fraction": 224 / (242 if large else 256)}
