"""A model as it is shipped: pixels in, so that nobody normalises wrongly; logits and probabilities out."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from ..inference.half_precision import fold_batch_norms
from ..model import Model

EXAMPLE_BATCH = 2  # of 1, torch would make a program for 1 alone


class PixelsIn(nn.Module):
    """A copy of a model's module that normalises by itself: uint8 RGB [B, 3, height, width] to what `outputs` names."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: Model, fold: bool):
        super().__init__()
        self.module = deepcopy(model.module).cpu().float().eval().requires_grad_(False)
        if fold:
            fold_batch_norms(self.module)
        self.module.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
        self.output = model.output
        preprocessing = model.preprocessing
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(preprocessing.std).view(3, 1, 1))
        self.outputs = ("logits", "probabilities") if model.architecture.num_classes else ("features",)
        self.example = torch.zeros(EXAMPLE_BATCH, 3, *preprocessing.image_size, dtype=torch.uint8)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        logits = self.module((images.float() / 255 - self.mean) / self.std)
        if len(self.outputs) == 1:
            return (logits,)
        return logits, logits.sigmoid() if self.output == "sigmoid" else logits.softmax(-1)
