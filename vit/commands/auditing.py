"""What an audit of a comparison's images found, as its report tells it; kept, since looking takes a while."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..data import audit, datasets
from ..data.broken import digest
from ..recipe import Data
from ..run_folder import read_json, read_memory, write_json
from ..say import print_line
from .comparison_runs import DATA_KEYS, PlannedRun
from .findings import SPLITS, Findings, crosses_splits, findings_of, joined_splits

MOST_IMAGES = 200_000  # that are looked at unasked
EXAMPLES = 10


def audits_of(planned: Sequence[PlannedRun], folder: Path) -> list[dict[str, Any]]:
    """Return what was found in each set of images that some models had: one row, unless finished runs had several."""
    models: dict[tuple, list[str]] = {}
    sections: dict[tuple, Data] = {}
    for p in planned:
        of = tuple(getattr(p.recipe.data, key) for key in (*DATA_KEYS, "on_error"))
        sections.setdefault(of, replace(p.recipe.data, fraction=1.0))
        if p.model not in models.setdefault(of, []):
            models[of].append(p.model)
    return [{"models": names} | audited(sections[of], folder) for of, names in models.items()]


def audited(data: Data, folder: Path) -> dict[str, Any]:
    dataset = datasets.load(data)
    everything = joined_splits(dataset)
    if len(everything) > MOST_IMAGES:
        return not_looked(len(everything))
    sizes = [len(dataset.split(name)) for name in SPLITS]
    of = sha256(f"{digest(everything)} {sizes}".encode() + everything.labels.tobytes()).hexdigest()
    kept = folder / "audits" / f"{of[:16]}.json"
    known = read_memory(kept)
    if known is None:
        looks = audit.look(everything, print_line)
        write_json(kept, counted(findings_of(dataset, everything, looks, data, folder), len(everything)))
        known = read_json(kept)
    return known


def not_looked(images: int) -> dict[str, Any]:
    return {"looked": False, "images": images, "leaks": 0}


def counted(findings: Findings, images: int) -> dict[str, Any]:
    """Return the findings as numbers, with the names of the first of them."""
    trained = [group for group in findings.leaks if any(image.split == "train" for image in group)]
    leaked = [image.name for group in trained for image in group if image.split == "test"]
    near = [pair for pair in findings.near if crosses_splits(pair)]
    return {
        "looked": True,
        "images": images,
        "leaks": len(leaked),
        "leaked": leaked[:EXAMPLES],
        "leaks_of_validation": len(findings.leaks) - len(trained),
        "near_across_splits": len(near),
        "near_examples": [[image.name for image in pair] for pair in near[:EXAMPLES]],
        "conflicts": len(findings.conflicts),
        "copies": sum(len(group) - 1 for group in findings.copies),
        "remarks": findings.remarks,
    }
