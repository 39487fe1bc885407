"""A model and images become explanations: a map of each answer, and whether following the map changes the answer.

B images of one model's size. The module is what `vit.load` gives, in float32: a faster copy is another function.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError, nearest
from ..model import Model
from ..probabilities import probabilities
from .cells import Grid, grid_for, to_cells
from .faithfulness import Curves, Protocol, curves_of
from .hooks import answering
from .methods import DEFAULT, method_named, why_flat

AT_ONCE = 8  # images, whose activations are kept for the way back
MOST_LABELS = 3  # explained of an image that has several


@dataclass(frozen=True)
class Explanation:
    """Why a model gives an image a class: what was asked, the answer, and a map of it.

    `map` [rows, columns] is as the method makes it, of its own resolution; `cells` [rows, columns] on the grid that all
    models share. `flat` says why a map says nothing, where it does. `curves` are None where nobody measured.
    """

    class_name: str
    probability: float
    method: str
    map: np.ndarray
    cells: np.ndarray
    flat: str | None
    curves: Curves | None


def explained(
    model: Model,
    images: Tensor,
    classes: Sequence[int],
    keys: Sequence[str],
    *,
    method: str = DEFAULT,
    grid: Grid | None = None,
    protocol: Protocol | None = None,
    done: Callable[[], object] = lambda: None,
) -> list[Explanation]:
    """Return an explanation of each image [B, 3, height, width], the model's input, for one of its classes each.

    `keys` name the images, and draw their random orders; with `protocol` the maps' faithfulness is measured. `done` is
    called after every image. Raises UserError for a method that does not exist or is not made for the model.
    """
    grid = grid or grid_for(model.preprocessing.image_size)
    images = images.to(next(model.module.parameters()).device)
    with answering(model.module):
        maps = maps_of(model, images, classes, method, grid)
        found = []
        for i, values in enumerate(maps):
            found.append(_explanation(model, images[i : i + 1], classes[i], keys[i], values, method, grid, protocol))
            done()
    return found


def maps_of(model: Model, images: Tensor, classes: Sequence[int], method: str, grid: Grid) -> list[Tensor]:
    """Return the maps [rows, columns] of a method, image by image."""
    make = method_named(method).maps
    try:
        parts = [
            make(model.module, some, torch.tensor(wanted, device=some.device), grid)
            for some, wanted in zip(images.split(AT_ONCE), _split(classes), strict=True)
        ]
    except UserError as error:
        raise UserError(f"{model.source}: {method} {error}; {DEFAULT} explains any model") from error
    return [values.detach().float().cpu() for part in parts for values in part]


def probabilities_of(model: Model, images: Tensor) -> np.ndarray:
    """Return the probabilities [B, classes] of images, the model's input."""
    with torch.inference_mode():
        logits = model.module(images).float().cpu().numpy()
    return probabilities(logits.astype(np.float64), model.output)


def wanted_classes(model: Model, images: Tensor, named: Sequence[str]) -> list[list[int]]:
    """Return for each image the classes to explain: those named, else the likeliest, or all labels that it is given.

    Raises UserError for a class that the model does not know.
    """
    if named:
        return [[class_number(model, name) for name in named]] * len(images)
    answers = np.concatenate([probabilities_of(model, some) for some in images.split(AT_ONCE)])
    if model.output == "sigmoid":
        return [_labels(row) for row in answers]
    return [[int(row.argmax())] for row in answers]


def class_number(model: Model, name: str) -> int:
    """Return a class's place, by its name or, of ImageNet, its WordNet number."""
    if name in model.classes:
        return model.classes.index(name)
    if name not in model.class_numbers:
        raise UserError(f"{model.source} knows no class {name}{nearest(name, model.classes)}")
    return model.class_numbers[name]


def _labels(row: np.ndarray) -> list[int]:
    given = [int(i) for i in np.argsort(-row, kind="stable") if row[i] >= 0.5]
    return given[:MOST_LABELS] or [int(row.argmax())]


def _explanation(
    model: Model,
    image: Tensor,
    wanted: int,
    key: str,
    values: Tensor,
    method: str,
    grid: Grid,
    protocol: Protocol | None,
) -> Explanation:
    cells = to_cells(values[None], grid)[0]
    flat = why_flat(values, model.module)
    curves = None
    if protocol and not flat:
        curves = curves_of(lambda some: probabilities_of(model, some)[:, wanted], image, cells, grid, protocol, key)
    return Explanation(
        class_name=model.classes[wanted],
        probability=float(probabilities_of(model, image)[0, wanted]),
        method=method,
        map=values.numpy(),
        cells=cells.reshape(grid.rows, grid.columns),
        flat=flat,
        curves=curves,
    )


def _split(classes: Sequence[int]) -> list[Sequence[int]]:
    return [classes[start : start + AT_ONCE] for start in range(0, len(classes), AT_ONCE)]
