"""How accurate a model is on changed images, with intervals over images and seeds, beside the same images unchanged."""

from dataclasses import asdict
from typing import Any

import numpy as np

from .runs import Group, probed
from .statistics import Estimate, accuracy, mean_of, paired_test
from .verdicts import decide, pair_row

Seeds = list[dict[str, Any]]  # what was found in each


def of_models(full: dict[str, Group]) -> list[dict[str, Any]]:
    """Return a row for every model of which all seeds were looked at."""
    return [{"model": name} | _of_seeds(seeds) for name, seeds in probed(full, "robustness").items()]


def of_rivals(full: dict[str, Group], rivals: tuple[str, str] | None, margin: float) -> dict[str, Any] | None:
    """Return the paired difference of two models' accuracy under corruptions, decided as that on test is."""
    looks = probed(full, "robustness")
    if rivals is None or not set(rivals) <= set(looks):
        return None
    test = paired_test(*(_tables(looks[name])[1] for name in rivals))
    return pair_row(rivals, test, decide({rivals: test}, rivals, margin)[rivals], margin)


def _tables(seeds: Seeds) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each image is known unchanged, and in which share of its corruptions: [S, N] each."""
    changes = sum(len(row["top1"]) for row in seeds[0]["corruptions"])
    clean, corrupted = (np.array([seed[key] for seed in seeds], dtype=float) for key in ("right", "right_corrupted"))
    return clean, corrupted / changes


def kept(clean: np.ndarray, corrupted: np.ndarray) -> Estimate:
    """Estimate which share of its accuracy [S, N] is left on corrupted images [S, N]: a ratio, linear about its mean.

    The interval is of the differences that the ratio makes 0 on average (the delta method).
    """
    share = float(corrupted.mean() / max(clean.mean(), 1e-9))
    apart = mean_of((corrupted - share * clean) / max(clean.mean(), 1e-9))
    return Estimate(share, max(0.0, share + apart.low), share + apart.high, apart.std)


def _of_seeds(seeds: Seeds) -> dict[str, Any]:
    clean, corrupted = _tables(seeds)
    names = [(row["name"], row["kind"]) for row in seeds[0]["corruptions"]]
    top1 = np.array([[row["top1"] for row in seed["corruptions"]] for seed in seeds])  # [seed, corruption, severity]
    means = dict(zip(names, top1.mean(0), strict=True))
    kinds = {kind: [row.mean() for (_, of), row in means.items() if of == kind] for _, kind in means}
    return {
        "images": seeds[0]["images"],
        "clean": asdict(accuracy(clean)),
        "corrupted": asdict(accuracy(corrupted)),
        "kept": asdict(kept(clean, corrupted)),
        "corruptions": [
            {"name": name, "kind": kind, "top1": row.tolist(), "mean": float(row.mean())}
            for (name, kind), row in means.items()
        ],
        "kinds": {kind: float(np.mean(values)) for kind, values in kinds.items()},
        **{key: _series(seeds, key) for key in ("occlusion", "shift", "resolution")},
    }


def _series(seeds: list[dict[str, Any]], key: str) -> list[dict[str, float]]:
    """Return the mean over seeds of rows that all seeds have, in which nothing but the measure differs."""
    rows = zip(*(seed[key] for seed in seeds), strict=True)
    return [{name: float(np.mean([row[name] for row in same])) for name in same[0]} for same in rows]
