"""Things that pairs of them link, directly or by a chain of others."""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def chains_of(pairs: np.ndarray, count: int) -> np.ndarray:
    """Return the chain, 0 and up, that each of `count` things is in: int [count]; `pairs` [P, 2] are their numbers."""
    one, other = pairs.T
    graph = coo_array((np.ones(len(pairs)), (one, other)), shape=(count, count))
    return connected_components(graph, directed=False)[1]
