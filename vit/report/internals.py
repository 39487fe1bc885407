"""What was seen inside of the models: maps of each one's first seed, and means of its seeds for single numbers."""

import numpy as np

from .results import InsideRow, ReceptiveField
from .run_files import SeenInside
from .runs import Group, probed


def of_models(full: dict[str, Group]) -> list[InsideRow]:
    """Return a row for every model of which all seeds were looked into."""
    return [_of_seeds(name, [probes["inside"] for probes in seeds]) for name, seeds in probed(full).items()]


def _of_seeds(name: str, seeds: list[SeenInside]) -> InsideRow:
    fields = [seed["receptive_field"] for seed in seeds if seed["receptive_field"]]
    distances = [seed["attention_distance"] for seed in seeds if seed["attention_distance"]]
    area = float(np.mean([field["area"] for field in fields])) if fields else 0.0
    return InsideRow(
        model=name,
        receptive_field=ReceptiveField(fields[0]["map"], area) if fields else None,
        attention_distance=np.mean(distances, axis=0).tolist() if distances else None,
        position_similarity=seeds[0]["position_similarity"],
    )
