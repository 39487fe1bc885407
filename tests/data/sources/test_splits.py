"""A choice is stratified, nested, and depends on an image's name, class and seed alone."""

from itertools import pairwise

import numpy as np
import pytest

from vit.data.sources.splits import choose, rarest

SIZES = {0: 40, 3: 7, 4: 1, 9: 101}  # class number: images
LABELS = np.concatenate([np.full(size, label) for label, size in SIZES.items()])
IDS = [f"{label}/{i}.jpg" for label, size in SIZES.items() for i in range(size)]


def chosen_ids(ids: list[str], labels: np.ndarray, fraction: float, seed: int = 5, purpose: str = "test") -> set[str]:
    mask = choose(ids, labels, fraction, seed, purpose)
    assert mask.dtype == bool
    return {ids[i] for i in np.flatnonzero(mask)}


@pytest.mark.parametrize(
    ("fraction", "counts"),
    [
        (0.1, {0: 4, 3: 1, 4: 1, 9: 10}),
        (0.25, {0: 10, 3: 2, 4: 1, 9: 25}),
        (0.5, {0: 20, 3: 4, 4: 1, 9: 50}),
        (0.001, {0: 1, 3: 1, 4: 1, 9: 1}),
        (1.0, SIZES),
    ],
)
def test_takes_the_fraction_of_every_class_and_one_image_at_least(fraction, counts):
    labels = LABELS[choose(IDS, LABELS, fraction, 0, "test")]
    assert {label: int((labels == label).sum()) for label in SIZES} == counts


def test_a_smaller_fraction_lies_inside_a_larger_one():
    chosen = [chosen_ids(IDS, LABELS, fraction) for fraction in np.linspace(0.02, 1.0, 50)]
    assert all(smaller <= larger for smaller, larger in pairwise(chosen))
    assert chosen[-1] == set(IDS)


def test_does_not_depend_on_the_order():
    order = np.random.default_rng(0).permutation(len(IDS))
    assert chosen_ids([IDS[i] for i in order], LABELS[order], 0.3) == chosen_ids(IDS, LABELS, 0.3)


def test_does_not_depend_on_the_other_classes():
    whole = chosen_ids(IDS, LABELS, 0.3)
    for label in SIZES:
        members = [name for name, other in zip(IDS, LABELS, strict=True) if other == label]
        assert chosen_ids(members, np.full(len(members), 77), 0.3) == whole & set(members)


def test_seed_and_purpose_choose_differently():
    sets = [chosen_ids(IDS, LABELS, 0.3, *names) for names in ((5, "test"), (6, "test"), (5, "validation"))]
    assert sets[0] != sets[1]
    assert sets[0] != sets[2]


def test_every_image_is_chosen_as_often_as_every_other():
    ids = [f"{i}.png" for i in range(40)]
    times = sum(choose(ids, np.zeros(40, dtype=int), 0.25, seed, "test").astype(int) for seed in range(400))
    deviation = (400 * 0.25 * 0.75) ** 0.5
    assert times.mean() == 100
    assert abs(times - 100).max() < 4.5 * deviation
    assert times.std() > 0.5 * deviation


def test_an_image_of_several_labels_stands_for_the_rarest() -> None:
    labels = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 0, 0]], dtype=bool)
    assert rarest(labels).tolist() == [0, 1, 2, 0, -1]
    rare = np.arange(200) % 20 == 0
    several = np.stack([np.ones(200, dtype=bool), rare], axis=1)
    mask = choose([f"{i}.jpg" for i in range(200)], several, 0.2, 0, "test")
    assert mask.sum() == 40 and mask[rare].sum() == 2
