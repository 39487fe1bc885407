"""The families of published weights: how each is recognised, and the facts that its own code goes with.

The family is told from the names of the tensors; a configuration beside the file, where there is one, overrides what is
usual. Sources: the reference code of each family, and docs/parity.md, where every one is compared with it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ...errors import UserError
from ..weights import Weights
from .clip import from_clip
from .common import WeightsFile
from .jax import from_jax
from .resnet import from_resnet
from .timm import from_timm_names
from .torchvision import from_torchvision
from .transformers import from_transformers, prefixes

SHAPELESS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class Family:
    """A family's name, the question whether a file belongs to it, and the way from the file to weights."""

    name: str
    recognises: Callable[[WeightsFile], bool]
    convert: Callable[[WeightsFile], Weights]


FAMILIES = (
    Family("Google JAX", lambda file: any(name.endswith("embedding/kernel") for name in file.tensors), from_jax),
    Family("torchvision ViT", lambda file: file.has("conv_proj.weight"), from_torchvision),
    Family("CLIP", lambda file: file.has("visual.class_embedding") or file.has("class_embedding"), from_clip),
    Family("transformers ViT and DINOv2", lambda file: bool(prefixes(file)), from_transformers),
    Family("timm ViT, DeiT, DeiT III, MAE, DINOv2", lambda file: file.has("patch_embed.proj.weight"), from_timm_names),
    Family("ResNet of timm and torchvision", lambda file: file.has("layer1.0.conv1.weight"), from_resnet),
)


def convert(file: WeightsFile) -> Weights:
    """Return the weights of a file; raises UserError where no family knows its names, or they name no whole model."""
    for family in FAMILIES:
        if not family.recognises(file):
            continue
        try:
            return family.convert(file)
        except SHAPELESS as error:  # names of a family on tensors of any shape, or a configuration of another model
            raise UserError(
                f"{file.source} has the names of {family.name}, but its tensors or the configurations beside it are "
                f"not of one ({' '.join(str(error).split())[:120]}); fetch them again"
            ) from error
    names = ", ".join(list(file.tensors)[:4])
    raise UserError(
        f"{file.source} is of no family known here; its tensors are called {names}, ...\n"
        f"known: {', '.join(dict.fromkeys(family.name for family in FAMILIES))}; other models: timm/<name>"
    )
