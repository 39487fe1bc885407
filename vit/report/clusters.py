"""Test images that belong together count as one: copies of an image, and images of one series, are no more answers.

N test images in C clusters, each image alone unless it is known to belong with others. A model that is right on one of
four copies is right on all: taken for independent, they would make equal models differ (Miller 2024, arXiv:2411.00640).
"""

from collections.abc import Sequence

import numpy as np

from ..chains import chains_of
from .results import Audit, Unaudited


def clusters_of(ids: np.ndarray, digests: np.ndarray | None, audits: Sequence[Audit | Unaudited]) -> np.ndarray:
    """Return the cluster, 0 to C - 1 in the order of the images, of each test image: int [N].

    Together are images of one name [N], of one digest of their content [N], and those that an audit found to be the
    same or nearly the same; what one of these joins, all join.
    """
    count = len(ids)
    place = {name: i for i, name in enumerate(ids.tolist())}
    grouped = [
        (place[group[0]], place[name])
        for audit in audits
        if isinstance(audit, Audit)
        for names in audit.test_groups
        if len(group := [name for name in names if name in place]) > 1
        for name in group[1:]
    ]
    links = [np.array(grouped, dtype=int).reshape(-1, 2)]
    for values in (ids, digests):
        if values is not None:
            _, first, which = np.unique(values, return_index=True, return_inverse=True)
            links.append(np.stack([first[which], np.arange(count)], axis=1))
    found = chains_of(np.concatenate(links), count)
    _, first, which = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[which]


def by_cluster(values: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return values [S, N] of images as values [S, C] of clusters [N], which have the same mean in every row.

    To the row's mean comes the sum of the images' deviations from it, times C / N: what a cluster tells of a mean over
    images, however many it holds (the linearized ratio estimator: Cochran 1977, Sampling Techniques, ch. 6). Sums alone
    would take clusters of several sizes for answers that differ. Where every image is alone, `values` itself.
    """
    images, count = len(clusters), int(clusters.max()) + 1
    if values.shape[1] != images:
        raise ValueError(f"values of {values.shape[1]} images, and clusters of {images}; give those of the same images")
    if count == images:
        return values
    means = values.mean(1, keepdims=True)
    sums = np.stack([np.bincount(clusters, row, minlength=count) for row in values - means])
    return means + sums * (count / images)
