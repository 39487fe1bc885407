"""Cross-validation of a comparison: copies and near-copies are found before anything trains, and share a fold."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..audit import fingerprints
from ..chains import chains_of
from ..data.sources import datasets
from ..data.sources.datasets import Images
from ..data.sources.groups import write_groups
from ..errors import UserError
from ..recipe import Comparison, Data
from .audits import MOST_IMAGES
from .plan import check_same_data, plan
from .recipes import recipes_of

logger = logging.getLogger(__name__)


def grouped(comparison: Comparison, folder: Path) -> Comparison:
    """Return a comparison by folds whose recipes never part copies and near-copies; others as they are.

    They are kept in groups.csv, as long as there are runs; groups that recipes name are taken as they are. Raises
    UserError, with nothing written, for what `check_same_data` refuses, and for recipes with folds of their own.
    """
    sections = {recipe.folder: recipe.read().data for recipe in recipes_of(comparison)}
    own = [name for name, data in sections.items() if data.folds is not None]
    if comparison.folds is None:
        return comparison
    if own:
        raise UserError(f"folds is {comparison.folds}, and data.folds of {own[0]} is given; leave out the recipe's own")
    if any(data.groups for data in sections.values()):
        return comparison
    kept = (folder / "groups.csv").absolute()
    begun = any(folder.glob("runs/*/*/recipe.yaml")) or any(folder.glob("search/*/*/recipe.yaml"))
    if not (begun and kept.is_file()):
        if not begun:
            check_same_data(plan(comparison, folder))
        write_groups(kept, near_groups(next(iter(sections.values()))))
    return replace(comparison, overrides=comparison.overrides | {"data.groups": str(kept)})


def near_groups(data: Data) -> list[list[str]]:
    """Return the names of images that are the same or nearly the same, or are so by a chain of others."""
    source = datasets.read_source(data.name, data.path)
    if data.on_error == "skip":
        source, _ = datasets.without_broken(source)
    images = source.splits["train"]
    if len(images) > MOST_IMAGES:
        logger.info(f"{len(images):,} images are more than are searched for copies; data.groups may name those known")
        return []
    prints = fingerprints.of_images(images)
    pairs = [(group[0], other) for group in fingerprints.same(prints) for other in group[1:]]
    found = chains([*pairs, *fingerprints.nearly_same(prints)], len(images))
    if found:
        many = sum(map(len, found))
        logger.info(
            f"{many:,} images are copies of others or nearly so, in {len(found):,} groups that share a fold each"
        )
    return [[images.ids[i] for i in group] for group in found]


def chains(pairs: Sequence[tuple[int, int]], count: int) -> list[list[int]]:
    """Return the groups of two or more that pairs of numbers below `count` chain together."""
    members: dict[int, list[int]] = {}
    for number, of in enumerate(chains_of(np.array(pairs, dtype=int).reshape(-1, 2), count).tolist()):
        members.setdefault(of, []).append(number)
    return [group for group in members.values() if len(group) > 1]


def tested_images(data: Data) -> Images:
    """Return the images on which a recipe's data are tested: those of all folds, where there are any."""
    return datasets.load(data).test if data.folds is None else datasets.tested_in_folds(data)[0]
