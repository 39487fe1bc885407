"""`vit explain`: why models answer as they do, side by side, and whether the maps mean anything."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from rich.table import Table

from ..data.decoding.reading import is_image_name, read_image
from ..data.sources.given import evenly, image_files
from ..errors import UserError
from ..explanations import page
from ..explanations.explain import Explanation, explained, wanted_classes
from ..explanations.faithfulness import FILLS, Fill
from ..explanations.hooks import answering
from ..explanations.methods import DEFAULT, method_named
from ..explanations.side_by_side import SideBySide, explain_side_by_side
from ..model import Model, load
from ..places import short_names
from ..pretrained import hub
from ..report import explanations as wording
from ..run_folder import RunFolder, new_folder
from ..runtimes import exported
from ..terminal import as_text, one_line

logger = logging.getLogger(__name__)

MOST_IMAGES = 500  # a mean over more says no more, and each takes dozens of answers


@dataclass(frozen=True)
class Explained:
    """What `vit explain` found and wrote, and what it could not read, with the reasons."""

    found: SideBySide
    page: Path
    unreadable: list[str]


def explain(
    model: str | Path | Model,
    images: Sequence[str | Path | Image.Image] | str | Path | Image.Image,
    *,
    method: str = DEFAULT,
    classes: Sequence[str] = (),
) -> list[Explanation]:
    """Return, for every image and each of its classes, a map of why the model gives it: arrays, and nothing written.

    `classes` are names that the model knows; without them the likeliest class of each image, or all labels that it is
    given. `method` is one of METHODS. Raises UserError for an image that cannot be read, an unknown
    class or method, and a method that is not made for the model.
    """
    model = model if isinstance(model, Model) else load(model)
    some = [images] if isinstance(images, str | Path | Image.Image) else list(images)
    inputs = torch.stack([model.transform(_opened(image)) for image in some])
    with answering(model.module):
        wanted = wanted_classes(model, inputs, classes)
    found = explained(model, inputs, wanted, [str(i) for i in range(len(some))], methods=[method])
    return [explanation for of_image in found for explanation in of_image]


def explain_to_folder(
    given: Sequence[str],
    *,
    method: str | None = None,
    classes: Sequence[str] = (),
    fill: Fill = "mean",
    out: str | Path | None = None,
) -> Explained:
    """Explain models' answers to images side by side, and write a page, pictures, maps and numbers.

    `given` are models and then images. Raises UserError before anything is computed for what is not there.
    """
    names, paths = models_and_images(given)
    if method is not None:
        method_named(method)
    if fill not in FILLS:
        raise UserError(f"--fill is {fill}; allowed: {', '.join(FILLS)}")
    files, unreadable = image_files(paths)
    models = dict(zip(short_names(names), map(load, names), strict=True))
    for model in models.values():
        if not model.classes:
            raise UserError(f"{model.source} names no classes: there is no answer to explain")
    folder = new_folder(out, "explanations", Path(paths[0]).stem)
    found = explain_side_by_side(
        models,
        some_of(files),
        method=method,
        class_names=classes,
        fill=fill,
        unreadable=lambda error: unreadable.append(str(error)),
    )
    return Explained(found, page.write(found, folder), unreadable)


def some_of(files: Sequence[Path]) -> list[Path]:
    """Return the files, or of very many some, which is told."""
    if len(files) > MOST_IMAGES:
        logger.info(f"{MOST_IMAGES:,} of {len(files):,} images are explained, evenly taken")
    return evenly(files, MOST_IMAGES)


def models_and_images(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return which of some arguments are models, the first ones, and which are images: files and folders of them."""
    first = next((i for i, name in enumerate(given) if i and is_of_images(name)), len(given))
    if first == len(given):
        raise UserError(f"given: {', '.join(given)}; allowed: models first, and then image files or folders of images")
    return list(given[:first]), list(given[first:])


def is_of_images(name: str) -> bool:
    """Return whether a name is that of an image or of a folder that holds no model."""
    path = Path(name).expanduser()
    if path.is_dir():
        weights = any((path / file).is_file() for file in hub.WEIGHTS) or exported.find(path) is not None
        return not RunFolder(path).recipe.is_file() and not weights
    return is_image_name(path)


def show(found: SideBySide) -> str:
    """Return what every method is worth, as a table."""
    table = Table(box=None, header_style="bold")
    for name in ("model", "method", "deletion", "insertion", "verdict"):
        table.add_column(name, overflow="fold")
    for row in found.methods:
        gains = (wording.gain_in_words(gain, row) for gain in (row.deletion, row.insertion))
        table.add_row(one_line(row.model), row.method, *gains, wording.verdict(row))
    return as_text(table)


def _opened(image: str | Path | Image.Image) -> Image.Image:
    return image if isinstance(image, Image.Image) else read_image(Path(image))
