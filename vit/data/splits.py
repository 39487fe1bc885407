"""Train, validation and test, disjoint and stratified; and nested subsets of train.

Every choice depends on an image's name, its class and the seed: not on the other classes, the order or the machine.
"""

from collections.abc import Sequence

import numpy as np

from ..randomness import derive_seed


def choose(ids: Sequence[str], labels: np.ndarray, fraction: float, seed: int, purpose: str) -> np.ndarray:
    """Return a mask [N] of `fraction` of every class, at least one image of each; a smaller fraction lies inside."""
    chosen = np.zeros(len(ids), dtype=bool)
    rank = np.array([derive_seed(seed, purpose, name) for name in ids])
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label).tolist()
        count = max(1, round(fraction * len(members)))
        if fraction < 1:
            count = min(count, max(1, len(members) - 1))  # a part never takes the last image of a class
        order = sorted(members, key=lambda i: (rank[i], ids[i]))
        chosen[order[:count]] = True
    return chosen
