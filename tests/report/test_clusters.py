"""Images that belong together count as one: the same mean, and no difference found that four copies would make."""

import numpy as np
import pytest

from vit.report.clusters import by_cluster, clusters_of
from vit.report.results import Audit, Unaudited
from vit.report.statistics import accuracy, paired_test

IDS = np.array([f"{name}.png" for name in "abcdef"])


def audit(test_groups: list[list[str]]) -> Audit:
    """Return an audit that found nothing but test images that belong together."""
    counts = dict.fromkeys(("leaks", "leaks_of_validation", "near_across_splits", "conflicts", "copies"), 0)
    names: dict[str, list] = {"models": [], "leaked": [], "near_examples": [], "remarks": []}
    return Audit(looked=True, images=6, test_groups=test_groups, test_groups_left_out=0, **counts, **names)


def test_images_are_alone_unless_known_to_belong_together():
    digests = np.arange(6, dtype=np.uint64)
    assert clusters_of(IDS, digests, []).tolist() == [0, 1, 2, 3, 4, 5]
    assert clusters_of(IDS, None, [Unaudited([], looked=False, images=6, leaks=0)]).tolist() == [0, 1, 2, 3, 4, 5]


def test_copies_and_what_audits_found_are_joined_through_one_another():
    digests = np.array([7, 1, 2, 7, 4, 5], dtype=np.uint64)
    assert clusters_of(IDS, digests, []).tolist() == [0, 1, 2, 0, 3, 4]
    audits = [audit([["d.png", "f.png"]]), audit([["f.png", "b.png"], ["c.png", "absent.png"]])]
    assert clusters_of(IDS, digests, audits).tolist() == [0, 0, 1, 0, 2, 0]
    assert clusters_of(IDS, None, audits).tolist() == [0, 1, 2, 1, 3, 1]
    assert clusters_of(np.array(["a", "b", "a"]), None, []).tolist() == [0, 1, 0]


def test_values_of_clusters_have_the_mean_of_the_images():
    generator = np.random.default_rng(0)
    values, clusters = generator.random((3, 50)), np.r_[np.arange(20), generator.integers(20, size=30)]
    joined = by_cluster(values, clusters)
    assert joined.shape == (3, 20)
    np.testing.assert_allclose(joined.mean(1), values.mean(1), rtol=1e-12)
    np.testing.assert_allclose(by_cluster(1 - values, clusters), 1 - joined, rtol=1e-12)
    np.testing.assert_allclose(by_cluster(np.ones((2, 50)), clusters), np.ones((2, 20)))
    np.testing.assert_allclose(
        by_cluster(values[:, :6], np.array([0, 0, 1, 1, 2, 2])), values[:, :6].reshape(3, 3, 2).mean(2)
    )


def test_values_of_images_alone_are_the_same_array():
    values = np.eye(3)
    assert by_cluster(values, np.array([0, 1, 2])) is values
    with pytest.raises(ValueError, match="values of 3 images, and clusters of 2"):
        by_cluster(values, np.array([0, 1]))


def correct(copies: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return what three seeds of a model are right on, the same on all copies of an image [C]: [3, N].

    Most images are right in nearly all seeds or in hardly any, drawn for every model: over all images they are equal.
    """
    ability = generator.beta(0.1, 0.05, len(copies))
    return np.repeat(generator.random((3, len(copies))) < ability, copies, axis=1).astype(float)


@pytest.mark.parametrize("numbers", [[4], [1, 2, 8]], ids=["four copies of each", "one to eight copies"])
def test_equal_models_do_not_differ_more_often_for_copies(numbers):
    """At the level of 5 % a test over images finds differences that a test over clusters does not."""
    by_image, together = [], []
    for repeat in range(300):
        generator = np.random.default_rng(repeat)
        copies = generator.choice(numbers, 100)
        clusters = np.repeat(np.arange(100), copies)
        a, b = correct(copies, generator), correct(copies, generator)
        by_image.append(paired_test(a, b).p_value)
        together.append(paired_test(by_cluster(a, clusters), by_cluster(b, clusters)).p_value)
    assert np.mean(np.array(by_image) < 0.05) > 0.15
    assert np.mean(np.array(together) < 0.05) < 0.08


def test_the_interval_of_an_accuracy_holds_for_copies():
    """Sizes of clusters that differ make it no wider: a model that is always right is so."""
    inside = {"images": 0, "clusters": 0}
    for repeat in range(400):
        generator = np.random.default_rng(repeat)
        copies = generator.choice([1, 2, 8], 200)
        clusters, right = np.repeat(np.arange(200), copies), generator.random(200) < 0.8
        values = np.repeat(right, copies)[None].astype(float)
        for name, table in (("images", values), ("clusters", by_cluster(values, clusters))):
            estimate = accuracy(table)
            inside[name] += estimate.low <= 0.8 <= estimate.high
    assert inside["images"] < 0.8 * 400
    assert inside["clusters"] > 0.92 * 400
