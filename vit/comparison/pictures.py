"""The pictures of a comparison's report: test images that the rivals disagree on, and what each answer rests on."""

from collections.abc import Sequence

import torch
from PIL import Image

from ..audit.thumbnails import picture
from ..data.preprocessing import seen_of
from ..data.sources import datasets
from ..data.sources.datasets import Images
from ..errors import UserError
from ..explanations import overlays
from ..explanations.explain import Explanation, explained
from ..model import Model, load
from ..report.pictures import Pictures
from ..report.results import Answer, Galleries, GalleryImage, Results
from .folds import tested_images
from .plan import PlannedRun

EXPLAINED = (3, 3, 2)  # images that only one of the rivals knows, that only the other does, that neither does
SIDE = 200  # pixels


def pictures_of(results: Results, planned: Sequence[PlannedRun]) -> Pictures:
    """Return small copies of the images in the galleries, and the rivals' maps of some of them."""
    galleries = results.agreement.galleries
    if galleries is None or results.rivals is None:
        return Pictures()
    wanted = {row.id for row in (*galleries.only_a, *galleries.only_b, *galleries.neither)}
    test = tested_images(planned[0].recipe.data)
    copies = {name: picture(test, i) for i, name in enumerate(test.ids) if name in wanted}
    rows = explained_rows(galleries)
    a, b = results.rivals
    answers = {a: [(row, row.a) for row in rows], b: [(row, row.b) for row in rows]}
    by_model = {name: maps_of(first_of(planned, name), some, test) for name, some in answers.items()}
    maps = {row.id: {name: found[row.id] for name, found in by_model.items() if row.id in found} for row in rows}
    return Pictures(copies, maps)


def explained_rows(galleries: Galleries) -> list[GalleryImage]:
    """Return the images of which maps are shown, those on which the rivals disagree first."""
    kinds = (galleries.only_a, galleries.only_b, galleries.neither)
    return [row for kind, most in zip(kinds, EXPLAINED, strict=True) for row in kind[:most]]


def first_of(planned: Sequence[PlannedRun], name: str) -> PlannedRun:
    """Return a model's first training of all images; of several folds, the first one's."""
    largest = max(p.fraction for p in planned)
    return next(p for p in planned if p.model == name and p.fraction == largest)


def maps_of(planned: PlannedRun, rows: Sequence[tuple[GalleryImage, Answer]], test: Images) -> dict[str, str]:
    """Return maps of one training's answers, drawn on the images, by name: of those that are in its test split."""
    if planned.fold is not None:  # `test` holds the images of all folds
        test = datasets.load(planned.recipe.data).test
    place = {name: i for i, name in enumerate(test.ids)}
    images = [(row.id, answer.prediction, image) for row, answer in rows if (image := read(test, place.get(row.id)))]
    if not images:
        return {}
    model = load(planned.folder.path)
    inputs = torch.stack([model.transform(image) for _, _, image in images])
    names = [name for name, _, _ in images]
    found = explained(model, inputs, [[wanted] for _, wanted, _ in images], names)
    return {
        name: overlays.address(on_image(image, one, model))
        for (name, _, image), (one,) in zip(images, found, strict=True)
        if not one.flat
    }


def on_image(image: Image.Image, explanation: Explanation, model: Model) -> Image.Image:
    seen = seen_of(model.preprocessing, image.size)
    return overlays.drawn(overlays.shown(image, SIDE), image.size, explanation.cells, seen)


def read(images: Images, index: int | None) -> Image.Image | None:
    """Return an image, or nothing where it has gone."""
    if index is None:
        return None
    try:
        return images.read(index)
    except UserError:
        return None
