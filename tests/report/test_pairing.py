"""Runs are paired by the names of images and classes, or refused with what differs."""

import re

import numpy as np
import pytest

from vit.errors import UserError
from vit.report.pairing import aligned

RIGHT = np.array([1, 1, 0, 1, 0, 1], dtype=bool)


def test_equal_runs_stay_as_they_are(make_run):
    runs = [make_run(RIGHT), make_run(~RIGHT, "b")]
    assert aligned(runs) == runs


def test_images_in_another_order_are_paired_by_name(make_run):
    first, other = make_run(RIGHT), make_run(RIGHT, "b")
    order = np.array([3, 0, 5, 1, 4, 2])
    turned = make_run(RIGHT[order], "b", labels=first.labels[order], ids=first.ids[order])
    _, found = aligned([first, turned])
    assert found.ids.tolist() == first.ids.tolist()
    assert np.array_equal(found.correct(), other.correct())
    assert found.scores["confusion"] == other.scores["confusion"]


def test_classes_in_another_order_are_paired_by_name(make_run):
    first = make_run(RIGHT)
    names = ["dog", "cat", "cow"]
    place = np.array([names.index(name) for name in ("cat", "cow", "dog")])
    other = make_run(RIGHT, "b", classes=names, labels=place[first.labels], validation=(np.eye(3), np.arange(3)))
    _, found = aligned([first, other])
    assert np.array_equal(found.labels, first.labels)
    assert np.array_equal(found.correct(), first.correct())
    assert [row["class"] for row in found.scores["per_class"]] == ["cat", "cow", "dog"]
    assert np.array_equal(found.validation[0][:].argmax(1), found.validation[1])


def test_another_class_or_a_missing_image_is_named(make_run):
    first = make_run(RIGHT)
    with pytest.raises(
        UserError, match=re.compile("different classes.*dog: a .seed 0. alone.*fox: b .seed 0. alone", re.S)
    ):
        aligned([first, make_run(RIGHT, "b", classes=["cat", "cow", "fox"])])
    with pytest.raises(UserError, match=re.compile(r"different test images \(6 and 5\).*test/5.png: a", re.S)):
        aligned([first, make_run(RIGHT[:5], "b")])


def test_images_that_are_labelled_otherwise_are_named(make_run):
    first = make_run(RIGHT)
    labels = first.labels.copy()
    labels[[1, 4]] = [2, 0]
    with pytest.raises(UserError) as refused:
        aligned([first, make_run(RIGHT, "b", labels=labels)])
    assert "2 test images have different labels" in str(refused.value)
    assert "test/1.png: cow for a (seed 0), dog for b (seed 0)" in str(refused.value)
