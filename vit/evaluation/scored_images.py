"""Which images an evaluation is of: the split that a run set apart, or others; and where its results belong.

What they are is known by their content: a folder may be moved, and another may stand in its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np

from ..data.sources import contents, datasets
from ..data.sources.contents import Contents
from ..data.sources.datasets import Dataset, Images
from ..errors import UserError
from ..files import digest_of_file, read_memory
from ..model import Model
from ..places import expanded, place_to_write
from ..recipe import Data
from ..run_folder import RunFolder
from ..runtimes import exported


@dataclass(frozen=True)
class ScoredImages:
    """The images of an evaluation, of a model of which `run` is the folder.

    `own` says that they are the very split that the run set apart; `trained_on` how many of them the model was trained
    on, None where nobody knows or all of them are meant to be; `unlabelled` how many its start saw without labels.
    `title` names them; `facts` are kept with the scores.
    """

    run: Path
    images: Images
    small: bool
    own: bool
    trained_on: int | None
    unlabelled: int
    title: str
    facts: dict[str, Any]


def images_to_score(model: str | Path, loaded: Model, data: str | Path | None, split: str) -> ScoredImages:
    """Return a split of the model's own data, or of the folder or dataset `data`; a folder without splits is whole.

    Raises UserError where there are no such images, and for images that cannot be read.
    """
    run = run_of(model)
    kept = contents.read(RunFolder(run).images)
    dataset = own_dataset(model, loaded, data, split, kept)
    if dataset is not None:
        images, small = dataset.split(split), dataset.small
    else:
        assert data is not None
        images, small = other_images(data, split, loaded)
    if not len(images):
        raise UserError(f"no image of the {split} split is left to score: see what is left out, and mend some")
    digests = contents.digests_of(images)
    own = dataset is not None and (kept is None or kept.has(split, images.ids, digests))
    if data is None and not own:
        raise UserError(
            f"the {split} images of {model} are not those that were set apart when it was trained: some are new, gone, "
            f"or others under the same names; score them as other images: vit evaluate {model} DATA"
        )
    trained_on = None
    if kept is not None and not (own and split == "train"):
        trained_on = int(np.isin(digests, kept.digests["train"]).sum())
    seen = RunFolder(run).learned_without_labels()
    before = contents.read(seen) if seen else None
    unlabelled = int(np.isin(digests, before.digests["train"]).sum()) if before else 0
    facts = {
        "images_digest": contents.digest_of_all(digests),
        "model_digest": digest_of_model(model, run),
        "trained_on": trained_on,
        **({"learned_without_labels": unlabelled} if before else {}),
    }
    title = loaded.source if data is None else expanded(data).name
    return ScoredImages(run, images, small, own, trained_on, unlabelled, title, facts)


def own_dataset(
    model: str | Path, loaded: Model, data: str | Path | None, split: str, kept: Contents | None
) -> Dataset | None:
    """Return the model's own data, wherever they lie now; None where `data` are others."""
    own = loaded.recipe.data if loaded.recipe else None
    if own is None:
        if data is None:
            raise UserError(f"{model} was not trained here, so it has no images of its own: vit evaluate {model} DATA")
        return None
    if data is None:
        if own.path and not expanded(own.path).exists():
            raise UserError(f"there is no {own.path}, which {model} was trained on; moved? vit evaluate {model} FOLDER")
        return datasets.load(own)
    return datasets.load(own) if is_own(own, data) else moved(own, data, split, kept)


def is_own(own: Data, data: str | Path) -> bool:
    """Return whether `data` is what the model was trained on, however its path is written."""
    if own.path is None:
        return str(data) == own.name
    return expanded(data).resolve() == expanded(own.path).resolve()


def moved(own: Data, data: str | Path, split: str, kept: Contents | None) -> Dataset | None:
    """Return the data of a run at another place, or None where `data` have other images in the split."""
    if kept is None:
        return None
    try:
        name, path = datasets.named(data)
        dataset = datasets.load(replace(own, name=name, path=path))
    except UserError:  # told where it is read as other data
        return None
    return dataset if dataset.split(split).ids == tuple(kept.ids[split].tolist()) else None


def other_images(data: str | Path, split: str, loaded: Model) -> tuple[Images, bool]:
    """Return the images of a folder or dataset that the model was not trained on, labelled by the model's classes."""
    name, path = datasets.named(data)
    source = datasets.read_source(name, path)
    numbers = loaded.class_numbers
    unknown = set(source.classes) - set(numbers)
    if unknown:
        known = f"{len(loaded.classes)} ({_shortened(loaded.classes)})" if loaded.classes else "none that are named"
        raise UserError(
            f"the data has {len(source.classes)} classes ({_shortened(source.classes)}), "
            f"the model {known}; it cannot know {_shortened(sorted(unknown))}"
        )
    whole = set(source.splits) == {"train"}
    if not whole and split not in source.splits:
        raise UserError(f"{data} has no split {split} ({', '.join(source.splits)})")
    images = source.splits["train" if whole else split]
    places = np.array([numbers[name] for name in source.classes])
    return replace(images, labels=labels_at(places, images.labels, len(loaded.classes))), source.small


def labels_at(places: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return labels in which class c of the data is class places[c] of the model."""
    if labels.ndim == 1:
        return places[labels]
    moved = np.zeros((len(labels), num_classes), dtype=bool)
    moved[:, places] = labels
    return moved


def run_of(model: str | Path) -> Path:
    """Return the run folder of a model, or the path that stands for it where it has none."""
    path = expanded(model)
    in_its_folder = path in (RunFolder(path.parent).model, exported.find(path.parent))
    return path.parent if in_its_folder else path.with_suffix("") if path.is_file() else path


def digest_of_model(model: str | Path, run: Path) -> str:
    """Return what stands for a model: the digest of its file, or its name where it is no file."""
    files = (exported.find(expanded(model)), RunFolder(run).model, expanded(model))
    path = next((path for path in files if path is not None and path.is_file()), None)
    return digest_of_file(path) if path else str(model)


def place_of(scored: ScoredImages, manner: str, split: str, out: str | Path | None) -> RunFolder:
    """Return where an evaluation is written: `out`, the run of its own images, or a place of its own.

    No evaluation of other images or of another model is replaced; raises UserError where `out` holds one.
    """
    if out is not None:
        folder = RunFolder(place_to_write(out))
        _refuse_others(folder, scored, manner, split)
        return folder
    if scored.own and not manner:
        return RunFolder(place_to_write(scored.run))
    name = scored.run.name + ("" if scored.own else f"-{scored.title}") + manner
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    found = (RunFolder(Path("evaluations") / name) for name in names)
    return RunFolder(place_to_write(next(folder.path for folder in found if _is_free(folder, scored, split))))


def _refuse_others(folder: RunFolder, scored: ScoredImages, manner: str, split: str) -> None:
    at_home = scored.own and not manner and folder.path.resolve() == scored.run.resolve()
    if folder.recipe.exists() and not at_home:
        raise UserError(f"{folder.path} is a run, whose own evaluation belongs there; choose another --out")
    if not at_home and not _is_free(folder, scored, split):
        raise UserError(
            f"{folder.scores(split)} is of other images or of another model, and would be lost; choose another --out"
        )


def _is_free(folder: RunFolder, scored: ScoredImages, split: str) -> bool:
    """Return whether there is no evaluation of other images or another model."""
    if not folder.scores(split).exists():
        return True
    scores = read_memory(folder.scores(split)) or {}  # not of ours, or damaged
    return all(scores.get(key) == scored.facts[key] for key in ("images_digest", "model_digest"))


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
