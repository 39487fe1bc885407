"""What weights are, once they have been read: tensors under our names, and the facts that they were trained with."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from ..data.preprocessing import Preprocessing
from ..errors import UserError
from ..models.resampling import resample_patches, resample_positions
from ..probabilities import Output
from .start import LearnedWithoutLabels


@dataclass(frozen=True)
class Weights:
    """Tensors under the names of `architecture`, a model of MODELS or timm/<name>, and its complete options.

    `preprocessing` is what the images go through before the model; the positions of a Vision Transformer may be learned
    for another `grid`. `classes` are None where nothing names them. `notes` say what was assumed or left aside.
    """

    source: str
    family: str
    architecture: str
    options: dict[str, Any]
    tensors: dict[str, Tensor]
    preprocessing: Preprocessing
    num_classes: int = 0  # outputs of the head; 0: there is none
    classes: tuple[str, ...] | None = None
    resampling: Mapping[str, Any] = field(default_factory=dict)  # how the family resamples its positions
    notes: tuple[str, ...] = ()
    grid: tuple[int, int] | None = None  # rows and columns of the positions; None: no position embedding of ours
    timm_name: str | None = None  # timm/<name> of the model that ours stands for
    recipe: Mapping[str, Any] | None = None  # of a model file of this package
    output: Output = "softmax"
    pretraining: LearnedWithoutLabels | None = None

    def prepared(self, **changes: Any) -> "Weights":
        """Return the weights with other facts of preprocessing."""
        return replace(self, preprocessing=replace(self.preprocessing, **changes))

    def at(self, image_size: tuple[int, int], patch_size: int) -> "Weights":
        """Return the weights for images [height, width] and patches of other sizes, with a note of what changed."""
        if self.grid is None:
            return self.prepared(image_size=image_size)
        try:
            return self._resampled(self.grid, image_size, patch_size)
        except (IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:120]
            raise UserError(f"{self.source}: its positions or patches cannot be resampled ({reason})") from error

    def _resampled(self, grid: tuple[int, int], image_size: tuple[int, int], patch_size: int) -> "Weights":
        tensors, notes = dict(self.tensors), list(self.notes)
        new = (image_size[0] // patch_size, image_size[1] // patch_size)
        if patch_size != self.options["patch_size"]:
            tensors["patch_embed.proj.weight"] = resample_patches(
                tensors["patch_embed.proj.weight"], (patch_size, patch_size)
            )
            notes.append(f"patches {self.options['patch_size']} -> {patch_size} pixels")
        if new != grid:
            tensors["pos_embed"] = resample_positions(tensors["pos_embed"], grid, new, **self.resampling)
            notes.append(f"positions {grid[0]}x{grid[1]} -> {new[0]}x{new[1]}")
        options = self.options | {"patch_size": patch_size}
        changed = replace(self, tensors=tensors, notes=tuple(notes), options=options, grid=new)
        return changed.prepared(image_size=image_size)
