"""Train, validation and test, disjoint and stratified; nested subsets of train; and folds, each tested in its turn.

Every choice depends on an image's name, its class, its group where it has one, and the seed: not on the order or the
machine, nor, but for folds and groups of several classes, on the other classes. N images, C classes, K folds.
"""

from collections.abc import Sequence

import numpy as np

from ...randomness import derive_seed


def choose(
    ids: Sequence[str],
    labels: np.ndarray,
    fraction: float,
    seed: int,
    purpose: str,
    groups: np.ndarray | None = None,
) -> np.ndarray:
    """Return a mask [N] of `fraction` of every class, at least one image of each; a smaller fraction lies inside.

    Images of several labels [N, C] stand for the rarest of theirs. With `groups` [N], whole groups, as near to the
    fraction as they allow.
    """
    if groups is not None:
        return _choose_groups(ids, labels, fraction, seed, purpose, groups)
    chosen = np.zeros(len(ids), dtype=bool)
    rank = np.array([derive_seed(seed, purpose, name) for name in ids])
    strata = labels if labels.ndim == 1 else rarest(labels)
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum).tolist()
        count = max(1, round(fraction * len(members)))
        if fraction < 1:
            count = min(count, max(1, len(members) - 1))  # a part never takes the last image of a class
        order = sorted(members, key=lambda i: (rank[i], ids[i]))
        chosen[order[:count]] = True
    return chosen


def partition(ids: Sequence[str], labels: np.ndarray, count: int, seed: int, groups: np.ndarray) -> np.ndarray:
    """Return the fold of every image, 0 to `count` - 1: int [N]. Groups [N] stay whole.

    Folds have as many images as each other, in all and of every class, as far as groups allow: the largest group first,
    each goes where its classes and then images are fewest.
    """
    strata = labels if labels.ndim == 1 else rarest(labels)
    _, strata = np.unique(strata, return_inverse=True)
    sizes = np.bincount(strata)
    members = _members(ids, seed, "folds", groups)
    of_class, of_all = np.zeros((count, len(sizes))), np.zeros(count)
    fold = np.empty(len(ids), dtype=np.int64)
    for images in sorted(members, key=len, reverse=True):  # stable: else by their ranks
        classes, here = np.unique(strata[images], return_counts=True)
        squares = ((2 * of_class[:, classes] + here) * here / sizes[classes]).sum(1)  # by which they would grow
        squares += (2 * of_all + len(images)) * len(images) / len(ids)
        place = int(squares.round(9).argmin())
        fold[images] = place
        of_class[place, classes] += here
        of_all[place] += len(images)
    return fold


def _choose_groups(
    ids: Sequence[str], labels: np.ndarray, fraction: float, seed: int, purpose: str, groups: np.ndarray
) -> np.ndarray:
    """Return what `choose` does, of whole groups: each belongs to the class that most of its images have.

    The first groups of a class, as many as come nearest to the fraction, one at least and, below 1, not the last; one
    that holds more than half of its class comes last.
    """
    chosen = np.zeros(len(ids), dtype=bool)
    strata = labels if labels.ndim == 1 else rarest(labels)
    by_class: dict[int, list[list[int]]] = {}
    for images in _members(ids, seed, purpose, groups):
        names, here = np.unique(strata[images], return_counts=True)
        by_class.setdefault(int(names[here.argmax()]), []).append(images)
    for members in by_class.values():
        whole = sum(map(len, members))
        ordered = sorted(members, key=lambda images: 2 * len(images) > whole)
        reached = np.cumsum([len(images) for images in ordered])
        count = 1 + int(np.abs(reached - fraction * whole).argmin())
        if fraction < 1:
            count = min(count, max(1, len(ordered) - 1))
        for images in ordered[:count]:
            chosen[images] = True
    return chosen


def _members(ids: Sequence[str], seed: int, purpose: str, groups: np.ndarray) -> list[list[int]]:
    """Return the images of every group, the groups in the order that chance gives their first names."""
    members: dict[int, list[int]] = {}
    for image, group in enumerate(groups.tolist()):
        members.setdefault(group, []).append(image)
    first = {group: min(ids[i] for i in images) for group, images in members.items()}
    order = sorted(members, key=lambda group: (derive_seed(seed, purpose, first[group]), first[group]))
    return [members[group] for group in order]


def rarest(labels: np.ndarray) -> np.ndarray:
    """Return the class [N] of each image that the fewest images have, or -1 for one without any."""
    images = np.where(labels, labels.sum(0), len(labels) + 1)
    return np.where(labels.any(1), images.argmin(1), -1)
