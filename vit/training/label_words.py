"""What a head that says labels one after another is told of the data: the words of every class, and their order."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BETWEEN = "/"  # as in animal/dog/terrier


def words_of_labels(options: Mapping[str, Any], classes: Sequence[str], labels: np.ndarray) -> dict[str, Any]:
    """Return a model's options `label_paths` and `most_labels` where its head is one of sequences, else none.

    `labels` are those of the training images: [N], or [N, C] where an image may have several; the frequent are said
    first then. One label is a path, by the parts of its name.
    """
    if options.get("head") != "sequence":
        return {}
    if labels.ndim == 1:
        return {"label_paths": paths_of(classes), "most_labels": 1}
    first = np.argsort(-labels.sum(0), kind="stable")
    ranks = np.empty(len(classes), dtype=int)
    ranks[first] = np.arange(len(classes))
    return {"label_paths": tuple((int(rank),) for rank in ranks), "most_labels": max(2, int(labels.sum(1).max()))}


def paths_of(classes: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Return the words of every class: one for each place of the tree that it passes, numbered as they come."""
    numbers: dict[tuple[str, ...], int] = {}
    parts = [tuple(name.split(BETWEEN)) for name in classes]
    return tuple(
        tuple(numbers.setdefault(part[: depth + 1], len(numbers)) for depth in range(len(part))) for part in parts
    )
