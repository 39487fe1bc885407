"""How much of its accuracy a model keeps on changed images: means of its seeds, beside the same images unchanged."""

from typing import Any

import numpy as np

from .runs import Group, probed


def of_models(full: dict[str, Group]) -> list[dict[str, Any]]:
    """Return a row for every model of which all seeds were looked at."""
    return [{"model": name} | _of_seeds(seeds) for name, seeds in probed(full, "robustness").items()]


def _of_seeds(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    top1 = np.array([[row["top1"] for row in seed["corruptions"]] for seed in seeds])  # [seed, corruption, severity]
    clean = np.array([seed["clean"] for seed in seeds])
    kept = top1.mean((1, 2)) / np.maximum(clean, 1e-9)
    names = [(row["name"], row["kind"]) for row in seeds[0]["corruptions"]]
    means = dict(zip(names, top1.mean(0), strict=True))
    kinds = {kind: [row.mean() for (_, of), row in means.items() if of == kind] for _, kind in names}
    return {
        "images": seeds[0]["images"],
        "clean": float(clean.mean()),
        "corrupted": float(top1.mean()),
        "kept": float(kept.mean()),
        "kept_std": float(kept.std(ddof=1)) if len(kept) > 1 else None,
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
