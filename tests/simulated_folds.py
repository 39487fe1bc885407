"""Real learners, cross-validated on drawn data sets: which images each is right on, when training sets overlap.

N images, K folds, S seeds, F features of a view, C classes. Features come in three blocks that are drawn alike: a
learner that sees the first two and one that sees the last two are equally good on average, and err on other images.
The truth of a model is its mean accuracy over data sets of that size and over its starts.
"""

from collections.abc import Callable

import numpy as np

CLASSES, BLOCK = 3, 6
VIEWS = (slice(0, 2 * BLOCK), slice(BLOCK, 3 * BLOCK))
RIDGE = 1.0
NEIGHBOURS = 5

Learner = Callable[[np.ndarray, np.ndarray, np.ndarray, int, np.random.Generator], np.ndarray]  # -> predictions [S, N]


def draw_data(images: int, separation: float, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return features [N, 3 BLOCK] and labels [N]; some images are harder than others in every block."""
    centres = np.random.default_rng(7).normal(0, 1, (CLASSES, BLOCK))
    labels = draw.integers(CLASSES, size=images)
    labels[: 2 * CLASSES] = np.arange(2 * CLASSES) % CLASSES
    hardness = np.exp(draw.normal(0, 0.5, (images, 1)))
    features = separation * np.tile(centres, 3)[labels] + hardness * draw.normal(0, 1, (images, 3 * BLOCK))
    return features, labels


def draw_folds(labels: np.ndarray, folds: int, draw: np.random.Generator) -> np.ndarray:
    """Return the fold of each image [N]: every class is dealt out in turns."""
    order = np.lexsort((draw.random(len(labels)), labels))
    found = np.empty(len(labels), dtype=int)
    found[order] = np.arange(len(labels)) % folds
    return found


def linear(features: np.ndarray, labels: np.ndarray, folds: np.ndarray, seeds: int, draw: np.random.Generator):
    """Least squares with a ridge: no start, so that all seeds agree."""
    return np.repeat(_least_squares(features, labels, folds)[None], seeds, axis=0)


def random_features(features: np.ndarray, labels: np.ndarray, folds: np.ndarray, seeds: int, draw: np.random.Generator):
    """Least squares on 20 random features, the same ones of a seed in all folds, as initial weights are."""
    found = []
    for _ in range(seeds):
        weights, bias = draw.normal(0, 0.3, (features.shape[1], 20)), draw.normal(0, 1, 20)
        found.append(_least_squares(np.tanh(features @ weights + bias), labels, folds))
    return np.stack(found)


def own_features(features: np.ndarray, labels: np.ndarray, folds: np.ndarray, seeds: int, draw: np.random.Generator):
    """The same with other random features in every fold."""
    found = np.empty((seeds, len(labels)), dtype=int)
    for seed in range(seeds):
        for fold in range(folds.max() + 1):
            weights, bias = draw.normal(0, 0.3, (features.shape[1], 20)), draw.normal(0, 1, 20)
            mapped = np.tanh(features @ weights + bias)
            found[seed, folds == fold] = _fitted(mapped, labels, folds != fold)[folds == fold]
    return found


def centroid(features: np.ndarray, labels: np.ndarray, folds: np.ndarray, seeds: int, draw: np.random.Generator):
    """The nearest class mean, in five of the features, others in every fold and seed."""
    found = np.empty((seeds, len(labels)), dtype=int)
    for seed in range(seeds):
        for fold in range(folds.max() + 1):
            some = features[:, draw.permutation(features.shape[1])[:5]]
            train, test = folds != fold, folds == fold
            means = np.stack([some[train & (labels == c)].mean(0) for c in range(CLASSES)])
            found[seed, test] = ((some[test][:, None] - means) ** 2).sum(2).argmin(1)
    return found


def neighbours(features: np.ndarray, labels: np.ndarray, folds: np.ndarray, seeds: int, draw: np.random.Generator):
    """The five nearest neighbours, in a random projection to four dimensions, the same one in all folds."""
    found = np.empty((seeds, len(labels)), dtype=int)
    for seed in range(seeds):
        seen = features @ draw.normal(0, 1, (features.shape[1], 4))
        squares = (seen**2).sum(1)
        away = squares[:, None] + squares - 2 * seen @ seen.T
        away[folds[:, None] == folds] = np.inf
        nearest = labels[np.argpartition(away, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]]
        votes = (nearest[:, :, None] == np.arange(CLASSES)).sum(1) + 0.01 * draw.random((len(labels), CLASSES))
        found[seed] = votes.argmax(1)
    return found


def perceptron(features: np.ndarray, labels: np.ndarray, folds: np.ndarray, seeds: int, draw: np.random.Generator):
    """Perceptrons of every class, one pass over the images in an order of each seed and fold: an unsteady learner."""
    count = folds.max() + 1
    inputs = np.concatenate([features, np.ones((len(labels), 1))], axis=1)
    steps = len(labels) - np.bincount(folds).max()
    orders = np.stack(
        [draw.permutation(np.flatnonzero(folds != k))[:steps] for _ in range(seeds) for k in range(count)]
    )
    weights = draw.normal(0, 0.5, (seeds * count, CLASSES, inputs.shape[1]))
    rows = np.arange(len(orders))
    for images in orders.T:
        seen, wanted = inputs[images], labels[images]
        said = (weights @ seen[:, :, None])[:, :, 0].argmax(1)
        change = np.where(said != wanted, 1.0, 0.0)[:, None] * seen
        weights[rows, wanted] += change
        weights[rows, said] -= change
    scores = weights.reshape(seeds, count, CLASSES, -1)[:, folds] @ inputs[:, :, None]
    return scores[..., 0].argmax(2)


LEARNERS: dict[str, Learner] = {
    "linear": linear,
    "random features": random_features,
    "own features": own_features,
    "centroid": centroid,
    "neighbours": neighbours,
    "perceptron": perceptron,
}


def _least_squares(features: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Return the predictions [N] of each image from the other folds."""
    inputs = np.concatenate([features, np.ones((len(labels), 1))], axis=1)
    targets = np.eye(CLASSES)[labels]
    count = folds.max() + 1
    squares = np.stack([inputs[folds == k].T @ inputs[folds == k] for k in range(count)])
    products = np.stack([inputs[folds == k].T @ targets[folds == k] for k in range(count)])
    ridge = RIDGE * np.eye(inputs.shape[1])
    weights = np.linalg.solve(squares.sum(0) - squares + ridge, products.sum(0) - products)
    return np.einsum("nf,nfc->nc", inputs, weights[folds]).argmax(1)


def _fitted(features: np.ndarray, labels: np.ndarray, train: np.ndarray) -> np.ndarray:
    inputs = np.concatenate([features, np.ones((len(labels), 1))], axis=1)
    seen, targets = inputs[train], np.eye(CLASSES)[labels[train]]
    weights = np.linalg.solve(seen.T @ seen + RIDGE * np.eye(inputs.shape[1]), seen.T @ targets)
    return (inputs @ weights).argmax(1)
