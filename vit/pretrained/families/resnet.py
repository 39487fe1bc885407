"""Residual networks of timm and torchvision."""

from ...data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from .. import describe
from ..class_names import names_of
from ..weights import Weights
from .common import WeightsFile


def from_resnet(file: WeightsFile) -> Weights:
    options = describe.residual_network(file.tensors, file.source)
    head = file.tensors.get("fc.weight")
    count = 0 if head is None else len(head)
    preprocessing = Preprocessing((224, 224), IMAGENET_MEAN, IMAGENET_STD, "bilinear", 0.875)
    notes = ("no configuration beside it: torchvision's usual preprocessing, 256 to 224 pixels, bilinear",)
    return Weights(
        file.source, "ResNet", "resnet", options, file.tensors, preprocessing, count, names_of(count), notes=notes
    )
