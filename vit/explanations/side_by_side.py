"""Several models on the same images: each one's maps, on one grid, and what all images say of every method."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ..model import Model
from ..progress import Countdown
from ..report.explanations import gain
from ..report.results import ExplanationRow
from .cells import Grid, grid_for
from .explain import Explanation, explained, wanted_classes
from .faithfulness import Fill, Protocol
from .hooks import answering
from .methods import DEFAULT, METHODS, OCCLUSION, own_method
from .weights_check import likeness

FEW = 3  # images that are looked at in every way


@dataclass(frozen=True)
class ExplainedImage:
    """An image, and what each model says of it: for every class a list of explanations by the model's name."""

    path: Path
    image: Image.Image
    answers: Mapping[str, Mapping[str, Sequence[Explanation]]]  # class -> model -> one a method


@dataclass(frozen=True)
class SideBySide:
    """Explanations of several models, on one grid, with how they were measured."""

    models: Mapping[str, Model]
    images: Sequence[ExplainedImage]
    methods: Sequence[ExplanationRow]
    grid: Grid
    protocol: Protocol


def explain_side_by_side(
    models: Mapping[str, Model],
    images: Sequence[tuple[Path, Image.Image]],
    *,
    method: str | None = None,
    class_names: Sequence[str] = (),
    fill: Fill = "mean",
) -> SideBySide:
    """Return what every model says of every image.

    Where no method is named, by integrated gradients, which all models have, and by the method of each one's kind. Few
    images are covered cell by cell too, and measured finely; of many the mean counts.
    """
    few = len(images) <= FEW
    protocol = Protocol(fill) if few else Protocol(fill, steps=10, random_orders=1)
    grid = min((grid_for(model.preprocessing.image_size) for model in models.values()), key=lambda grid: grid.cells)
    inputs = {name: torch.stack([model.transform(image) for _, image in images]) for name, model in models.items()}
    wanted = classes_by_image(models, inputs, class_names)
    methods = {name: _methods(model, inputs[name], method, few) for name, model in models.items()}
    work = sum(
        len(methods[name]) for name, model in models.items() for names in wanted for c in names if c in model.classes
    )
    countdown = Countdown(work, "{done:,} of {total:,} maps made and measured; {left} left")
    behind = iter(range(1, work + 1))
    found = {
        name: [
            _of_model(model, inputs[name], wanted, one, grid, protocol, lambda: countdown.tell(next(behind)))
            for one in methods[name]
        ]
        for name, model in models.items()
    }
    rows = [
        _row(name, one, maps, protocol.in_words(grid), _likeness(model, inputs[name], one, maps, grid))
        for name, model in models.items()
        for one, maps in zip(methods[name], found[name], strict=True)
    ]
    return SideBySide(models, _by_image(images, wanted, found), rows, grid, protocol)


def _by_image(
    images: Sequence[tuple[Path, Image.Image]],
    wanted: Sequence[Sequence[str]],
    found: Mapping[str, Sequence[Sequence[Mapping[str, Explanation]]]],
) -> list[ExplainedImage]:
    """Return what was found by model and method, image by image and class by class."""
    return [
        ExplainedImage(path, image, {name: _of_class(found, i, name) for name in wanted[i]})
        for i, (path, image) in enumerate(images)
    ]


def _of_class(
    found: Mapping[str, Sequence[Sequence[Mapping[str, Explanation]]]], i: int, class_name: str
) -> dict[str, list[Explanation]]:
    return {
        model: [maps[i][class_name] for maps in by_method if class_name in maps[i]]
        for model, by_method in found.items()
    }


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
    return [DEFAULT, *([own] if own else []), *([OCCLUSION] if few else [])]


def _of_model(
    model: Model,
    inputs: Tensor,
    wanted: Sequence[Sequence[str]],
    method: str,
    grid: Grid,
    protocol: Protocol,
    done: Callable[[], object],
) -> list[dict[str, Explanation]]:
    """Return one model's explanations of every image by class, where the model knows it."""
    pairs = [(i, name) for i, names in enumerate(wanted) for name in names if name in model.classes]
    some = explained(
        model,
        inputs[[i for i, _ in pairs]],
        [model.classes.index(name) for _, name in pairs],
        [f"{i}/{name}" for i, name in pairs],
        method=method,
        grid=grid,
        protocol=protocol,
        done=done,
    )
    found: list[dict[str, Explanation]] = [{} for _ in wanted]
    for (i, name), explanation in zip(pairs, some, strict=True):
        found[i][name] = explanation
    return found


def _row(
    model: str, method: str, maps: Sequence[Mapping[str, Explanation]], protocol: str, likeness: float | None
) -> ExplanationRow:
    """Return what the likeliest explained class of every image says of a method."""
    likeliest = [max(of_image.values(), key=lambda e: e.probability) for of_image in maps if of_image]
    gains = [explanation.curves.gains for explanation in likeliest if explanation.curves]
    deletion, insertion = ([of_one[i] for of_one in gains] for i in (0, 1))
    told = METHODS[method]
    return ExplanationRow(
        model, told.title, told.answers, len(gains), gain([deletion]), gain([insertion]), likeness, protocol
    )


def _likeness(
    model: Model, inputs: Tensor, method: str, maps: Sequence[Mapping[str, Explanation]], grid: Grid
) -> float | None:
    some = [(i, next(iter(of_image.values()))) for i, of_image in enumerate(maps) if of_image]
    return likeness(model, inputs[[i for i, _ in some]], method, [explanation for _, explanation in some], grid)
