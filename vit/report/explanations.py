"""What explanations of models are worth, in numbers over seeds and images, and in words."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .results import Estimate, ExplanationRow
from .results.explanations import ALIKE, FEWEST
from .run_files import Explained
from .runs import Group, folds_of, probed
from .statistics import mean_of


def of_models(full: dict[str, Group]) -> list[ExplanationRow]:
    """Return a row for every method of every model of which all seeds were explained by it."""
    rows = []
    for name, seeds in probed(full).items():
        found = [one for seed in seeds for one in seed.get("explained", [])]
        for method in dict.fromkeys(one["method"] for one in found):
            of_method = [one for one in found if one["method"] == method]
            if len({len(one["deletion"]) for one in of_method}) == 1 and len(of_method) == len(seeds):
                rows.append(_of_seeds(name, of_method, folds_of(full[name])))
    return rows


def _of_seeds(name: str, seeds: Sequence[Explained], folds: int) -> ExplanationRow:
    first = seeds[0]
    likeness = [seed["likeness"] for seed in seeds if seed["likeness"] is not None]
    return ExplanationRow(
        model=name,
        method=first["method"],
        answers=first["answers"],
        images=len(first["deletion"]),
        deletion=gain([seed["deletion"] for seed in seeds], folds),
        insertion=gain([seed["insertion"] for seed in seeds], folds),
        likeness=float(np.mean(likeness)) if likeness else None,
        protocol=first["protocol"],
    )


def gain(by_seed: Sequence[Sequence[float]], folds: int = 0) -> Estimate | None:
    """Return the mean gain of an image [S, N] beside its random order, with its interval; None of no images."""
    values = np.array(by_seed, dtype=float)
    return mean_of(values, folds) if values.size else None


def verdict(row: ExplanationRow) -> str:
    """Return whether a method is better than a random order, in words."""
    if row.deletion is None:
        return "not measured: its maps are flat"
    if not row.is_known:
        return f"{'one image' if row.images == 1 else f'{row.images} images'}: look, and conclude nothing"
    if len(row.better_in) == 2:
        return "better than a random order"
    return (
        f"better than a random order in {row.better_in[0]} alone" if row.better_in else "no better than a random order"
    )


def in_one_sentence(rows: Sequence[ExplanationRow]) -> str:
    """Return what some maps are worth together."""
    if all(row.deletion is None for row in rows):
        return "Every map is flat: nothing was measured."
    if not any(row.is_known for row in rows):
        return (
            f"Too few images to tell: look at them, and give {FEWEST} or more to know whether the maps mean anything."
        )
    good = [row for row in rows if len(row.better_in) == 2]
    if len(good) == len(rows):
        return "Yes: following any of them changes the answer sooner than a random order of cells."
    if not good:
        return "No: following them does not change the answer sooner than a random order of cells, in both ways."
    names = ", ".join(dict.fromkeys(row.model for row in good))
    return (
        f"Those of {names}: following them changes the answer sooner than a random order; that of the others does not."
    )


def in_words(row: ExplanationRow) -> dict[str, Any]:
    """Return what a row of a page's table tells."""
    return {
        "model": row.model,
        "method": row.method,
        "answers": row.answers,
        "images": row.images,
        "protocol": row.protocol,
        "deletion": gain_in_words(row.deletion, row),
        "insertion": gain_in_words(row.insertion, row),
        "likeness": likeness_in_words(row),
        "verdict": verdict(row),
        "found": len(row.better_in) == 2,
    }


def gain_in_words(found: Estimate | None, row: ExplanationRow) -> str:
    """Return a gain, with its interval where there are images enough."""
    if found is None:
        return "–"
    return f"{found.mean:+.2f}" + (f" [{found.low:+.2f}, {found.high:+.2f}]" if row.is_known else "")


def likeness_in_words(row: ExplanationRow) -> str:
    """Return how like the maps of shuffled weights are, with a warning where they are."""
    if row.likeness is None:
        return "–"
    return f"{row.likeness:+.2f}" + (" (tells little of what was learned)" if row.likeness > ALIKE else "")
