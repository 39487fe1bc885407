"""What was seen inside of the models: maps of each one's first seed, and means of its seeds for single numbers."""

from typing import Any

import numpy as np

from .runs import Group, probed


def of_models(full: dict[str, Group]) -> list[dict[str, Any]]:
    """Return a row for every model of which all seeds were looked into."""
    return [{"model": name} | _of_seeds(seeds) for name, seeds in probed(full, "inside").items()]


def _of_seeds(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    fields = [seed["receptive_field"] for seed in seeds if seed["receptive_field"]]
    distances = [seed["attention_distance"] for seed in seeds if seed["attention_distance"]]
    return {
        "receptive_field": {"map": fields[0]["map"], "area": float(np.mean([f["area"] for f in fields]))}
        if fields
        else None,
        "attention_distance": np.mean(distances, axis=0).tolist() if distances else None,
        "position_similarity": seeds[0]["position_similarity"],
    }
