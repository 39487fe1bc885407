"""A folder of explanations: one page that needs nothing else, pictures, maps as arrays, and all numbers."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..data.preprocessing import seen_of
from ..files import replace_file, write_json, write_text
from ..model import Model
from ..report import explanations as wording
from ..report.pages import templates
from ..report.results.explanations import FEWEST
from . import overlays
from .explain import Explanation
from .figures import attention_mosaic, curves_figure
from .methods import METHODS
from .side_by_side import ExplainedImage, SideBySide

PAGE, NUMBERS, MAPS, PICTURES = "explanation.html", "explanation.json", "maps.npz", "overlays"
MOST_SHOWN = 24  # images, as pictures
MOST_CURVES = 6  # images, whose curves are drawn one by one


@dataclass(frozen=True)
class Picture:
    """One map over its image, as the page shows it."""

    method: str
    probability: float
    ground: str
    colours: str
    scale: str
    flat: str | None
    found: str


def write(found: SideBySide, folder: Path) -> Path:
    """Write everything into a folder; return the page."""
    pictures = folder / PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    written = set()
    for name, image in _overlays(found):
        replace_file(pictures / name, lambda beside, image=image: image.save(beside, "PNG"))
        written.add(name)
    for former in pictures.glob("*.png"):
        if former.name not in written:
            former.unlink()
    replace_file(folder / MAPS, lambda beside: _save_maps(beside, found))
    write_json(folder / NUMBERS, numbers(found))
    write_text(folder / PAGE, page(found))
    return folder / PAGE


def numbers(found: SideBySide) -> dict[str, Any]:
    """Return everything that was measured, as plain values."""
    return {
        "protocol": asdict(found.protocol) | {"rows": found.grid.rows, "columns": found.grid.columns},
        "methods": [asdict(row) | {"verdict": wording.verdict(row)} for row in found.methods],
        "images": [
            {"path": str(image.path), "explanations": [_numbers_of(*row) for row in rows(image)]}
            for image in found.images
        ],
    }


def rows(image: ExplainedImage) -> Iterator[tuple[str, Explanation]]:
    """Yield (model, explanation) of an image, class by class."""
    for by_model in image.answers.values():
        for model, some in by_model.items():
            yield from ((model, explanation) for explanation in some)


def page(found: SideBySide) -> str:
    """Return the page."""
    shown = found.images[:MOST_SHOWN]
    with_curves = 1 < len(found.images) <= MOST_CURVES  # of one image the mean's are its own
    return (
        templates(autoescape=True)
        .get_template(PAGE)
        .render(
            models=list(found.models),
            count=len(found.images),
            methods=[wording.in_words(row) for row in found.methods],
            protocol=found.protocol.in_words(found.grid),
            images=[_shown(image, found, with_curves) for image in shown],
            mean_curves=curves_figure(_likeliest(found)),
            inside=_inside(found),
            title=_title(found),
            lead=wording.in_one_sentence(found.methods),
            questions={row.method: row.answers for row in found.methods},
            fewest=FEWEST,
        )
    )


def _title(found: SideBySide) -> str:
    models = " and ".join(found.models) if len(found.models) < 3 else f"{len(found.models)} models"
    return f"Why does {models} answer so?" if len(found.models) == 1 else f"Why do {models} answer so?"


def _shown(image: ExplainedImage, found: SideBySide, with_curves: bool) -> dict[str, Any]:
    """Return what the page shows of an image: for each class its models' pictures, and its curves."""
    classes = [
        {
            "name": name,
            "models": {
                model: [_picture(one, image, found.models[model]) for one in some]
                for model, some in by_model.items()
                if some
            },
            "curves": curves_figure({model: some[:1] for model, some in by_model.items()}) if with_curves else None,
        }
        for name, by_model in image.answers.items()
    ]
    return {"name": image.path.name, "photo": overlays.address(image.copy), "classes": classes}


def _picture(one: Explanation, image: ExplainedImage, of: Model) -> Picture:
    seen = seen_of(of.preprocessing, image.size)
    return Picture(
        method=METHODS[one.method].title,
        probability=one.probability,
        ground=overlays.address(overlays.ground(image.copy, image.size, seen)),
        colours="" if one.flat else overlays.address(overlays.layer(one.cells, image.size, seen, image.copy.size)),
        scale=overlays.scale_in_words(one.cells),
        flat=one.flat,
        found=_gains_in_words(one),
    )


def _gains_in_words(one: Explanation) -> str:
    return "deletion {:+.2f}, insertion {:+.2f}".format(*one.curves.gains) if one.curves else ""


def _likeliest(found: SideBySide) -> dict[str, list[Explanation]]:
    """Return each model's explanations by its first method, of the class that it finds likeliest in every image."""
    result: dict[str, list[Explanation]] = {}
    for name in found.models:
        by_image = [[some[name][0] for some in image.answers.values() if some[name]] for image in found.images]
        result[name] = [max(some, key=lambda one: one.probability) for some in by_image if some]
    return result


def _inside(found: SideBySide) -> list[dict[str, str]]:
    mosaics = ((name, attention_mosaic(model.module, found.inputs[name][:1])) for name, model in found.models.items())
    image = found.images[0].path.name
    return [{"model": name, "image": image, "picture": overlays.address(m)} for name, m in mosaics if m is not None]


def _overlays(found: SideBySide) -> Iterator[tuple[str, Image.Image]]:
    for number, image in enumerate(found.images[:MOST_SHOWN], 1):
        for model, one in rows(image):
            seen = seen_of(found.models[model].preprocessing, image.size)
            yield (
                f"{_stem(number, image.path, model, one)}.png",
                overlays.drawn(image.copy, image.size, one.cells, seen),
            )


def _stem(number: int, path: Path, model: str, one: Explanation) -> str:
    parts = (f"{number:03}", path.stem, model, one.class_name, one.method)
    return "-".join(re.sub(r"[^\w.]+", "_", part)[:40] for part in parts)


def _save_maps(beside: Path, found: SideBySide) -> None:
    maps = {
        _stem(number, image.path, model, one): one.map
        for number, image in enumerate(found.images, 1)
        for model, one in rows(image)
    }
    with beside.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **maps)


def _numbers_of(model: str, one: Explanation) -> dict[str, Any]:
    curves = one.curves
    return {
        "model": model,
        "class": one.class_name,
        "probability": one.probability,
        "method": one.method,
        "flat": one.flat,
        "map": {
            "rows": one.map.shape[0],
            "columns": one.map.shape[1],
            "least": float(one.map.min()),
            "most": float(one.map.max()),
        },
        "curves": None if curves is None else {key: values.tolist() for key, values in vars(curves).items()},
        "gains": None if curves is None else dict(zip(("deletion", "insertion"), curves.gains, strict=True)),
    }
