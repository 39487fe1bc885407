"""Train, validation and test, disjoint and stratified; and nested subsets of train.

Every choice depends on an image's name, its class and the seed: not on the other classes, the order or the machine.
"""

from collections.abc import Sequence

import numpy as np

from ...randomness import derive_seed


def choose(ids: Sequence[str], labels: np.ndarray, fraction: float, seed: int, purpose: str) -> np.ndarray:
    """Return a mask [N] of `fraction` of every class, at least one image of each; a smaller fraction lies inside.

    Images of several labels [N, C] stand for the rarest of theirs.
    """
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


def rarest(labels: np.ndarray) -> np.ndarray:
    """Return the class [N] of each image that the fewest images have, or -1 for one without any."""
    images = np.where(labels, labels.sum(0), len(labels) + 1)
    return np.where(labels.any(1), images.argmin(1), -1)
