"""What is timed: a model of one shape, image size and batch, the same for everybody who builds it."""

import re
from dataclasses import dataclass
from typing import Any

from torch import nn

from .. import models
from ..errors import UserError
from ..registry import complete_options

NOTATION = re.compile(r"(?P<model>\w+)(/(?P<patch>\d+))?(\+(?P<attention>\w+))?(@(?P<size>\d+))?")
BATCH_SIZES = {"vit_base": 16, "vit_large": 4, "vit_tiny/4@32": 256}
BATCH_SIZE = 32  # of the others
NUM_CLASSES = 1000


@dataclass(frozen=True)
class BenchmarkCase:
    """A model of MODELS with its options, at one image size, in batches of one size."""

    name: str
    model: str
    options: dict[str, Any]
    image_size: int
    batch_size: int

    @property
    def shape(self) -> dict[str, Any]:
        """Return every option of the model: widths, depths and so on."""
        return complete_options(self.model, self.options)

    @property
    def is_vit(self) -> bool:
        return "embed_dim" in self.shape

    def build(self) -> nn.Module:
        return models.build(self.model, num_classes=NUM_CLASSES, image_size=self.image_size, **self.options)


def read_case(name: str, batch_size: int | None = None) -> BenchmarkCase:
    """Read NAME[/PATCH][+ATTENTION][@PIXELS]: `vit_tiny/4@32`, `resnet50+se`; 224 pixels where none are given.

    Raises UserError for what cannot be read, and for unknown models.
    """
    match = NOTATION.fullmatch(name)
    if match is None:
        raise UserError(f"{name}: write a model as NAME[/PATCH][+ATTENTION][@PIXELS], as in vit_tiny/4@32, resnet50+se")
    options: dict[str, Any] = {}
    if match["patch"]:
        options["patch_size"] = int(match["patch"])
    if match["attention"]:
        options["attention"] = match["attention"]
    batch_size = batch_size or BATCH_SIZES.get(name, BATCH_SIZE)
    found = BenchmarkCase(name, match["model"], options, int(match["size"] or 224), batch_size)
    found.build()  # refuses unknown models, and options that do not fit
    return found
