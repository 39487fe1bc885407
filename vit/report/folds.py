"""The trainings of a cross-validation, one a fold, become one run that was tested on every image once."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import UserError, listed
from . import metrics
from .answers import Logits
from .pairing import classes_of
from .results import Skipped
from .run_files import ChangedImages, Explained, Probes, SeenInside
from .runs import Run

SUMMED_UP = ("seconds", "epochs", "images_seen", "training_images", "validation_images", "validation_top1")  # as means


def joined_folds(runs: Sequence[Run]) -> list[Run]:
    """Return runs of which those that differ in the fold alone are one, the folds in order; others as they are.

    Where all runs are of the same fold, it is a test split like any other. Raises UserError for folds that are missing.
    """
    folds = [_fold(run) for run in runs]
    if len(set(folds)) == 1:
        return list(runs)
    groups: dict[tuple[str, float, int], dict[int, Run]] = defaultdict(dict)
    for run, fold in zip(runs, folds, strict=True):
        if fold is None:
            tested = f"{run.model} (seed {run.seed}) on a test split, and others by folds"
            raise UserError(f"{tested}: models are compared on the same images; give runs of one kind")
        groups[run.model, run.fraction, run.seed][fold] = run
    missing = [
        f"{model}, fraction {fraction:g}, seed {seed}: fold {', '.join(map(str, absent))}"
        for (model, fraction, seed), parts in groups.items()
        if (absent := [k for k in range(_count(next(iter(parts.values())))) if k not in parts])
    ]
    if missing:
        raise UserError(
            "some folds are missing; every image is tested once by each model and seed, or all runs are of one fold:\n"
            + "\n".join(listed(missing))
        )
    return [joined([parts[k] for k in sorted(parts)]) for parts in groups.values()]


def joined(parts: Sequence[Run]) -> Run:
    """Return one run of all folds: images, and validation's, behind one another; scores anew; means of a training."""
    first = parts[0]
    for part in parts[1:]:
        if classes_of(part) != classes_of(first):
            raise UserError(
                f"{first.model} (seed {first.seed}) has other classes in fold {_fold(part)} than in the first"
            )
    ids, labels = (np.concatenate([getattr(part, key) for part in parts]) for key in ("ids", "labels"))
    logits = np.concatenate([part.logits[:] for part in parts])
    _check_once(first, ids, parts)
    scores: Any = metrics.scores(logits, labels, classes_of(first))
    images = [part.images for part in parts if part.images is not None]
    validations = [part.validation for part in parts if part.validation is not None]
    probes = [part.probes for part in parts if part.probes]
    whole = len(parts)
    return replace(
        first,
        recipe=first.recipe | {"data": {k: v for k, v in first.recipe["data"].items() if k != "fold"}},
        summary=_summary(parts),
        scores=scores,
        ids=ids,
        labels=labels,
        logits=logits,
        curve=_curve(parts),
        machine="; ".join(dict.fromkeys(part.machine for part in parts)),
        skipped=_skipped(parts),
        images=np.concatenate(images) if len(images) == whole else None,
        validation=_behind(validations) if len(validations) == whole else None,
        probes=_probes(probes) if len(probes) == whole else None,
        folds=whole,
    )


def _fold(run: Run) -> int | None:
    return run.recipe.get("data", {}).get("fold")


def _count(run: Run) -> int:
    return run.recipe["data"]["folds"]


def _check_once(run: Run, ids: np.ndarray, parts: Sequence[Run]) -> None:
    """Refuse folds that share a name: they were not cut from the same images by the same seed and groups."""
    within = [name for part in parts for name in np.unique(part.ids).tolist()]
    twice = sorted({name for name in within if within.count(name) > 1}) if len(set(within)) < len(within) else []
    if twice:
        raise UserError(
            f"{run.model} (seed {run.seed}): {len(twice):,} of {len(ids):,} images are tested in several folds; the "
            "data, data.split_seed or data.groups changed between them:\n" + "\n".join(listed(twice))
        )


def _summary(parts: Sequence[Run]) -> Any:
    """Return a summary of the trainings: means, whole where they count, and the most memory of any."""
    summaries: list[Any] = [part.summary for part in parts]
    means = {key: float(np.mean([each[key] for each in summaries])) for key in SUMMED_UP if key in summaries[0]}
    whole: dict[str, Any] = {
        key: round(mean) if isinstance(summaries[0][key], int) else mean for key, mean in means.items()
    }
    if "peak_memory_bytes" in summaries[0]:
        known = [each["peak_memory_bytes"] for each in summaries if each["peak_memory_bytes"] is not None]
        whole["peak_memory_bytes"] = max(known) if known else None
    return summaries[0] | whole


def _curve(parts: Sequence[Run]) -> dict[str, list[float]]:
    """Return the means of the folds' curves, as far as all of them go."""
    keys = [key for key in parts[0].curve if all(key in part.curve for part in parts)]
    return {
        key: np.mean(list(zip(*(part.curve[key] for part in parts), strict=False)), axis=1).tolist() for key in keys
    }


def _skipped(parts: Sequence[Run]) -> list[Skipped]:
    return list({row.path: row for part in parts for row in part.skipped}.values())


def _behind(validations: Sequence[tuple[Logits, np.ndarray]]) -> tuple[Logits, np.ndarray]:
    return np.concatenate([logits[:] for logits, _ in validations]), np.concatenate(
        [labels for _, labels in validations]
    )


def _probes(parts: Sequence[Probes]) -> Probes:
    joined: Probes = {
        "of": parts[0]["of"],
        "robustness": _changed([part["robustness"] for part in parts]),
        "inside": _inside([part["inside"] for part in parts]),
    }
    explained = [part["explained"] for part in parts if "explained" in part]
    methods = dict.fromkeys(one["method"] for part in explained for one in part)
    if len(explained) < len(parts):
        return joined
    by_method = [[one for part in explained for one in part if one["method"] == method] for method in methods]
    joined["explained"] = [_explained(some) for some in by_method if len(some) == len(parts)]
    return joined


def _changed(parts: Sequence[ChangedImages]) -> ChangedImages:
    """Return the answers to changed images of all folds: shares weighed by the images that they are of."""
    weights = np.array([part["images"] for part in parts], dtype=float)

    def mean(values: list[Any]) -> Any:
        return (weights @ np.array(values, dtype=float) / weights.sum()).tolist()

    corruptions: Any = [
        rows[0] | {"top1": mean([row["top1"] for row in rows])}
        for rows in zip(*(part["corruptions"] for part in parts), strict=True)
    ]
    by_strength: Any = {  # a strength is the same for all
        key: [
            {
                name: value if _alike(rows, name) else mean([row[name] for row in rows])
                for name, value in rows[0].items()
            }
            for rows in zip(*(part[key] for part in parts), strict=True)
        ]
        for key in ("occlusion", "shift", "resolution")
    }
    found: Any = {
        "images": int(weights.sum()),
        "clean": mean([part["clean"] for part in parts]),
        "right": [value for part in parts for value in part["right"]],
        "right_corrupted": [value for part in parts for value in part["right_corrupted"]],
        "corruptions": corruptions,
        **by_strength,
    }
    return found


def _alike(rows: Sequence[Any], name: str) -> bool:
    return len({row[name] for row in rows}) == 1


def _explained(parts: Sequence[Explained]) -> Explained:
    """Return the gains of the images of all folds, by one method."""
    likeness = [part["likeness"] for part in parts if part["likeness"] is not None]
    joined = parts[0].copy()
    joined["deletion"] = [value for part in parts for value in part["deletion"]]
    joined["insertion"] = [value for part in parts for value in part["insertion"]]
    joined["likeness"] = float(np.mean(likeness)) if likeness else None
    return joined


def _inside(parts: Sequence[SeenInside]) -> SeenInside:
    """Return what was seen inside: maps of the first fold, means of numbers."""
    fields = [part["receptive_field"] for part in parts if part["receptive_field"]]
    distances = [part["attention_distance"] for part in parts if part["attention_distance"]]
    return {
        "receptive_field": fields[0] | {"area": float(np.mean([each["area"] for each in fields]))} if fields else None,  # type: ignore[typeddict-item]
        "attention_distance": np.mean(distances, axis=0).tolist() if distances else None,
        "position_similarity": parts[0]["position_similarity"],
    }
