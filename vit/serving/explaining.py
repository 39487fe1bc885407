"""Why a model answers as it does, for one image that was sent: a picture, and one line on how faithful it is."""

from typing import Any

from PIL import Image

from ..data.preprocessing import seen_of
from ..explanations import overlays
from ..explanations.cells import grid_for
from ..explanations.explain import Explanation, explained, wanted_classes
from ..explanations.faithfulness import Protocol
from ..explanations.hooks import answering
from ..explanations.methods import METHODS, default_method
from ..model import Model

QUICK = Protocol(steps=5, random_orders=1)  # a page waits for it


def explanation(model: Model, image: Image.Image, wanted: str | None, method: str | None) -> dict[str, Any]:
    """Return a map of one class of an image as a picture, what it answers, and whether following it beats chance.

    Raises UserError for a class that the model does not know, and a method that is not made for it.
    """
    inputs = model.transform(image)[None]
    chosen = method or default_method(model.module)
    with answering(model.module):
        numbers = wanted_classes(model, inputs, [] if wanted is None else [wanted])
    grid = grid_for(model.preprocessing.image_size)
    one = explained(model, inputs, numbers, ["0"], methods=[chosen], grid=grid, protocol=QUICK)[0][0]
    return {
        "class": one.class_name,
        "probability": one.probability,
        "method": METHODS[one.method].title,
        "answers": METHODS[one.method].answers,
        "flat": one.flat,
        "faithfulness": faithfulness(one),
        "picture": None if one.flat else overlays.address(picture(model, image, one)),
    }


def picture(model: Model, image: Image.Image, one: Explanation) -> Image.Image:
    return overlays.drawn(overlays.shown(image), image.size, one.cells, seen_of(model.preprocessing, image.size))


def faithfulness(one: Explanation) -> str:
    """Return whether following a map changes the answer sooner than a random order of cells, on this image."""
    if one.curves is None:
        return "not measured: the map is flat"
    deletion, insertion = one.curves.gains
    found = {2: "better than a random order here", 0: "no better than a random order here"}
    verdict = found.get((deletion > 0) + (insertion > 0), "better than a random order in one of two ways here")
    return f"{verdict}: deletion {deletion:+.2f}, insertion {insertion:+.2f} (above 0: sooner than chance; one image)"
