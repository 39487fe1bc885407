"""Runs on the same test images, brought into one order of images and classes; what cannot be paired is refused."""

from dataclasses import replace

import numpy as np

from ..errors import UserError, listed
from . import metrics
from .answers import Logits, Rearranged
from .runs import Run


def aligned(runs: list[Run]) -> list[Run]:
    """Return runs whose images and classes stand in the order of the first one's.

    Raises UserError for other classes, other images, the same names for others among them, or images that are labelled
    otherwise, with their names.
    """
    return [runs[0], *(_as(runs[0], run) for run in runs[1:])]


def classes_of(run: Run) -> list[str]:
    return [row["class"] for row in run.scores["per_class"]]


def _as(first: Run, run: Run) -> Run:
    _check_names(first, run, classes_of(first), classes_of(run), "classes")
    _check_names(first, run, first.ids.tolist(), run.ids.tolist(), "test images")
    columns = _places(classes_of(first), classes_of(run))
    rows = _places(first.ids.tolist(), run.ids.tolist())
    renamed = np.argsort(columns)  # class of this run -> class of the first
    labels = renamed[run.labels][rows]
    _check_labels(first, run, labels)
    images = None if run.images is None else run.images[rows]
    _check_images(first, run, images)
    if np.array_equal(rows, np.arange(len(rows))) and np.array_equal(columns, np.arange(len(columns))):
        return run
    logits = Rearranged(run.logits, rows, columns)
    validation = run.validation and _renamed(*run.validation, columns, renamed)
    scores = metrics.scores(logits, labels, classes_of(first))
    kept = {"ids": first.ids, "labels": labels, "images": images}
    return replace(run, **kept, logits=logits, scores=scores, validation=validation)


def _renamed(logits: Logits, labels: np.ndarray, columns: np.ndarray, renamed: np.ndarray) -> tuple[Logits, np.ndarray]:
    return Rearranged(logits, np.arange(len(labels)), columns), renamed[labels]


def _places(wanted: list[str], given: list[str]) -> np.ndarray:
    """Return where each wanted name stands among the given; equal lists stay as they are, names twice in them too."""
    if wanted == given:
        return np.arange(len(given))
    place = {name: i for i, name in enumerate(given)}
    return np.array([place[name] for name in wanted])


def _check_names(first: Run, run: Run, ours: list[str], theirs: list[str], what: str) -> None:
    if sorted(ours) == sorted(theirs):
        return
    only_first, only_run = sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours))
    lines = [f"{name}: {_called(first)} alone" for name in only_first]
    lines += [f"{name}: {_called(run)} alone" for name in only_run]
    raise UserError(
        f"{_called(first)} and {_called(run)} were tested on different {what} ({len(ours):,} and {len(theirs):,}); "
        f"a paired comparison needs the same ones: evaluate both on one test set\n" + "\n".join(listed(lines))
    )


def _check_labels(first: Run, run: Run, labels: np.ndarray) -> None:
    names = classes_of(first)
    lines = [
        f"{first.ids[i]}: {names[first.labels[i]]} for {_called(first)}, {names[labels[i]]} for {_called(run)}"
        for i in np.flatnonzero(first.labels != labels)
    ]
    if lines:
        raise UserError(
            f"{len(lines):,} test images have different labels; one of the two test sets is wrong\n"
            + "\n".join(listed(lines))
        )


def _check_images(first: Run, run: Run, images: np.ndarray | None) -> None:
    """Refuse images that are called alike and are others; of older runs nobody knows."""
    if first.images is None or images is None or np.array_equal(first.images, images):
        return
    names = first.ids[first.images != images].tolist()
    raise UserError(
        f"{len(names):,} test images are others for {_called(run)} than for {_called(first)}, under the same names; "
        "evaluate both on one test set\n" + "\n".join(listed(names))
    )


def _called(run: Run) -> str:
    return f"{run.model} (seed {run.seed})"
