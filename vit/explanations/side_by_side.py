"""Several models on the same images: each one's maps, on one grid, and what all images say of every method."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ..data.decoding.reading import read_image
from ..errors import UserError
from ..model import Model
from ..progress import Countdown
from ..report.explanations import gain
from ..report.results import ExplanationRow
from .cells import Grid, grid_for
from .explain import Explanation, explained, wanted_classes
from .faithfulness import Fill, Protocol
from .hooks import answering
from .methods import METHODS, OCCLUSION, default_method, own_method
from .overlays import shown
from .weights_check import likeness

FEW = 3  # images that are looked at in every way


@dataclass(frozen=True)
class ExplainedImage:
    """A small copy of an image, its file's width and height, and what each model says of it.

    `answers` holds for every class, by the model's name, an explanation a method.
    """

    path: Path
    copy: Image.Image
    size: tuple[int, int]
    answers: Mapping[str, Mapping[str, Sequence[Explanation]]]  # class -> model -> one a method


@dataclass(frozen=True)
class SideBySide:
    """Explanations of several models, on one grid, with how they were measured, and each one's input of all images."""

    models: Mapping[str, Model]
    inputs: Mapping[str, Tensor]
    images: Sequence[ExplainedImage]
    methods: Sequence[ExplanationRow]
    grid: Grid
    protocol: Protocol


def explain_side_by_side(
    models: Mapping[str, Model],
    paths: Sequence[Path],
    *,
    method: str | None = None,
    class_names: Sequence[str] = (),
    fill: Fill = "mean",
    unreadable: Callable[[UserError], object],
) -> SideBySide:
    """Return what every model says of every image; `unreadable` is told of those that cannot be read.

    Where no method is named, by integrated gradients, which all models have, and by the method of each one's kind. Few
    images are covered cell by cell too, and measured finely; of many the mean counts.
    Raises UserError where no image can be read.
    """
    images, inputs = _opened(models, paths, unreadable)
    few = len(images) <= FEW
    protocol = Protocol(fill) if few else Protocol(fill, random_orders=1)
    grid = min((grid_for(model.preprocessing.image_size) for model in models.values()), key=lambda grid: grid.cells)
    wanted = classes_by_image(models, inputs, class_names)
    countdown = Countdown(len(models) * len(images), "{done:,} of {total:,} answers explained; {left} left")
    behind = iter(range(1, countdown.total + 1))
    found: dict[str, list[list[Explanation]]] = {}
    rows: list[ExplanationRow] = []
    for name, model in models.items():
        numbers = [[model.classes.index(one) for one in some if one in model.classes] for some in wanted]
        found[name] = explained(
            model,
            inputs[name],
            numbers,
            [str(i) for i in range(len(images))],
            methods=_methods(model, inputs[name], method, few),
            grid=grid,
            protocol=protocol,
            done=lambda: countdown.tell(next(behind)),
        )
        rows += _rows(name, model, inputs[name], found[name], grid, protocol)
    explained_images = [
        ExplainedImage(path, copy, size, {one: _of_class(found, i, one) for one in wanted[i]})
        for i, (path, copy, size) in enumerate(images)
    ]
    return SideBySide(models, inputs, explained_images, rows, grid, protocol)


def _opened(
    models: Mapping[str, Model], paths: Sequence[Path], unreadable: Callable[[UserError], object]
) -> tuple[list[tuple[Path, Image.Image, tuple[int, int]]], dict[str, Tensor]]:
    """Return small copies of the images that can be read, with their sizes, and each model's input of them."""
    images, complaints, inputs = [], [], {name: [] for name in models}
    for path in paths:
        try:
            image = read_image(path)
        except UserError as error:
            unreadable(error)
            complaints.append(str(error))
            continue
        images.append((path, shown(image), image.size))
        for name, model in models.items():
            inputs[name].append(model.transform(image))
    if not images:
        raise UserError("\n".join(complaints))
    return images, {name: torch.stack(some) for name, some in inputs.items()}


def _of_class(found: Mapping[str, Sequence[Sequence[Explanation]]], i: int, name: str) -> dict[str, list[Explanation]]:
    return {model: [one for one in by_image[i] if one.class_name == name] for model, by_image in found.items()}


def classes_by_image(
    models: Mapping[str, Model], inputs: Mapping[str, Tensor], class_names: Sequence[str]
) -> list[list[str]]:
    """Return for every image the classes that are explained: those named, else each model's own answers."""
    by_model = []
    for name, model in models.items():
        with answering(model.module):
            numbers = wanted_classes(model, inputs[name], class_names)
        by_model.append([[model.classes[i] for i in row] for row in numbers])
    return [list(dict.fromkeys(one for row in rows for one in row)) for rows in zip(*by_model, strict=True)]


def _methods(model: Model, inputs: Tensor, method: str | None, few: bool) -> list[str]:
    """Return the methods for a model: the one named, or all models' and its kind's own, of few images occlusion too."""
    if method is not None:
        return [method]
    with answering(model.module):
        own = own_method(model.module, inputs)
    usual = default_method(model.module)
    return list(dict.fromkeys([usual, *([own] if own else []), *([OCCLUSION] if few else [])]))


def _rows(
    name: str,
    model: Model,
    inputs: Tensor,
    found: Sequence[Sequence[Explanation]],
    grid: Grid,
    protocol: Protocol,
) -> list[ExplanationRow]:
    """Return what the likeliest explained class of every image says of each method."""
    rows = []
    for method in dict.fromkeys(one.method for some in found for one in some):
        by_image = [[one for one in some if one.method == method] for some in found]
        likeliest = [(i, max(some, key=lambda one: one.probability)) for i, some in enumerate(by_image) if some]
        gains = [one.curves.gains for _, one in likeliest if one.curves]
        deletion, insertion = ([of_one[k] for of_one in gains] for k in (0, 1))
        images = inputs[[i for i, _ in likeliest]]
        rows.append(
            ExplanationRow(
                model=name,
                method=METHODS[method].title,
                answers=METHODS[method].answers,
                images=len(gains),
                deletion=gain([deletion]),
                insertion=gain([insertion]),
                likeness=likeness(model, images, method, [one for _, one in likeliest], grid),
                protocol=protocol.in_words(grid),
            )
        )
    return rows
