"""A model and images become explanations: a map of each answer, and whether following the map changes the answer.

B images of one model's size. The module is what `vit.load` gives, in float32: a faster copy is another function.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError, nearest
from ..model import Model
from ..models.interface import device_of
from .cells import Grid, grid_for, to_cells
from .faithfulness import Covering, Curves, Protocol
from .hooks import answering
from .methods import DEFAULT, default_method, method_named, why_flat

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
    classes: Sequence[Sequence[int]],
    keys: Sequence[str],
    *,
    methods: Sequence[str] = (DEFAULT,),
    grid: Grid | None = None,
    protocol: Protocol | None = None,
    done: Callable[[], object] = lambda: None,
) -> list[list[Explanation]]:
    """Return explanations of each image [B, 3, height, width], the model's input: of its classes, by every method each.

    `keys` name the images, and draw their random orders; with `protocol` the maps' faithfulness is measured. `done` is
    called after every image. Raises UserError for a method that does not exist or is not made for the model.
    """
    grid = grid or grid_for(model.preprocessing.image_size)
    images = images.to(device_of(model.module))
    found: list[list[Explanation]] = []
    with answering(model.module):
        for start in range(0, len(images), AT_ONCE):
            some, wanted = images[start : start + AT_ONCE], classes[start : start + AT_ONCE]
            pairs = [(i, c) for i, of_image in enumerate(wanted) for c in of_image]
            maps = {method: _by_pair(model, some, pairs, method, grid) for method in methods}
            for i, key in enumerate(keys[start : start + AT_ONCE]):
                of_image = {(c, method): maps[method][i, c] for c in wanted[i] for method in methods}
                found.append(_of_image(model, some[i : i + 1], of_image, grid, protocol, key))
                done()
    return found


def _of_image(
    model: Model,
    image: Tensor,
    maps: Mapping[tuple[int, str], Tensor],
    grid: Grid,
    protocol: Protocol | None,
    key: str,
) -> list[Explanation]:
    """Return an explanation of every map, by its class and method, of one image [1, 3, height, width]."""
    covering = Covering(model.probabilities, image, grid, protocol, key) if protocol else None
    answer = covering.whole if covering else model.probabilities(image)[0]
    return [_explanation(model, values, method, c, answer, grid, covering) for (c, method), values in maps.items()]


def _by_pair(
    model: Model, images: Tensor, pairs: Sequence[tuple[int, int]], method: str, grid: Grid
) -> dict[tuple[int, int], Tensor]:
    which, wanted = [i for i, _ in pairs], [c for _, c in pairs]
    return dict(zip(pairs, maps_of(model, images[which], wanted, method, grid), strict=True))


def maps_of(model: Model, images: Tensor, classes: Sequence[int], method: str, grid: Grid) -> list[Tensor]:
    """Return the maps [rows, columns] of a method, one of each image for its class."""
    make, numbers = method_named(method).maps, torch.tensor(classes, device=images.device)
    try:
        parts = [
            make(model.module, some, wanted, grid)
            for some, wanted in zip(images.split(AT_ONCE), numbers.split(AT_ONCE), strict=True)
        ]
    except UserError as error:
        raise UserError(f"{model.source}: {method} {error}; {default_method(model.module)} explains it") from error
    return [values.detach().float().cpu() for part in parts for values in part]


def wanted_classes(model: Model, images: Tensor, named: Sequence[str]) -> list[list[int]]:
    """Return for each image the classes to explain: those named, else the likeliest, or all labels that it is given.

    Raises UserError for a class that the model does not know.
    """
    if named:
        return [[class_number(model, name) for name in named]] * len(images)
    answers = np.concatenate([model.probabilities(some) for some in images.split(AT_ONCE)])
    if model.output == "sigmoid":
        return [_labels(row) for row in answers]
    return [[int(row.argmax())] for row in answers]


def class_number(model: Model, name: str) -> int:
    """Return a class's place: by its name, one of its names (ImageNet's have several), or its WordNet number.

    Raises UserError where no class, or more than one, is called so.
    """
    if name in model.classes:
        return model.classes.index(name)
    called_so = [i for i, names in enumerate(model.classes) if name.lower() in names.lower().split(", ")]
    if len(called_so) > 1:
        those = ", ".join(repr(model.classes[i]) for i in called_so)
        raise UserError(f"{model.source} calls several classes {name}: {those}; name one of them whole")
    if called_so:
        return called_so[0]
    if name not in model.class_numbers:
        raise UserError(f"{model.source} knows no class {name}{nearest(name, model.classes)}")
    return model.class_numbers[name]


def _labels(row: np.ndarray) -> list[int]:
    given = [int(i) for i in np.argsort(-row, kind="stable") if row[i] >= 0.5]
    return given[:MOST_LABELS] or [int(row.argmax())]


def _explanation(
    model: Model,
    values: Tensor,
    method: str,
    wanted: int,
    answer: np.ndarray,
    grid: Grid,
    covering: Covering | None,
) -> Explanation:
    cells = to_cells(values[None], grid)[0]
    flat = why_flat(values, model.module)
    return Explanation(
        class_name=model.classes[wanted],
        probability=float(answer[wanted]),
        method=method,
        map=values.numpy(),
        cells=cells.reshape(grid.rows, grid.columns),
        flat=flat,
        curves=covering.curves(cells, wanted) if covering and not flat else None,
    )
