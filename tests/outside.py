"""A model as somebody else's package has it: a trunk of its own, and a head that this package does not know."""

import torch.nn.functional as F
from torch import Tensor, nn

from vit.models.interface import Structure


class CosineHead(nn.Module):
    """Logits are scaled cosines of features and one direction a class."""

    def __init__(self, width: int, num_classes: int):
        super().__init__()
        self.directions = nn.Linear(width, num_classes, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return 10 * F.linear(F.normalize(features, dim=-1), F.normalize(self.directions.weight, dim=-1))


class TwoConvolutions(nn.Module):
    def __init__(self, *, num_classes: int, image_size: tuple[int, int], width: int = 16):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.block = nn.Conv2d(width, width, 3, padding=1)
        self.cosine = CosineHead(width, num_classes)

    def structure(self) -> Structure:
        return Structure(family="cnn", heads=("cosine",), blocks=("block",))

    def features(self, images: Tensor) -> Tensor:
        return F.relu(self.block(F.relu(self.stem(images)))).amax((2, 3))

    def classify(self, features: Tensor) -> Tensor:
        return self.cosine(features)

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.features(images))
