"""Which two models the verdict is about, and how much luck their choice on validation shares with the test."""

from itertools import pairwise

import numpy as np
from scipy import stats

from .results import ModelRow, Pair, Results, Selection
from .runs import Group, correct_of
from .spread import spread_of
from .statistics import FEWEST_SEEDS


def rivals_among(models: list[ModelRow], baseline: str | None = None) -> tuple[str, str] | None:
    """Return the best ViT and the best CNN on validation, or the best two models where there is one family.

    Where one of them is the `baseline` that the others vary, it and the best of them. Chosen on test, the better of
    many would look better than it is; on validation it does by as much as its seeds were lucky on both, which
    `of_rivals` estimates.
    """
    ranked = sorted(models, key=lambda model: -model.validation_top1)
    varied = [model.name for model in ranked if model.name != baseline]
    if 0 < len(varied) < len(ranked):
        return str(baseline), varied[0]
    best = [next((model.name for model in ranked if model.family == family), None) for family in ("vit", "cnn")]
    if best[0] and best[1]:
        return best[0], best[1]
    return (ranked[0].name, ranked[1].name) if len(ranked) > 1 else None


def of_rivals(
    full: dict[str, Group], models: list[ModelRow], rivals: tuple[str, str] | None, baseline: str | None = None
) -> list[Selection]:
    """Return for each rival that was chosen among several how far ahead the best of equal models would seem on test.

    `bias` is the mean of the largest of so many normal numbers (Blom 1958), times the part of the luck on validation
    that comes from seeds, and stays; None where one seed tells nothing of it.
    """
    family = {model.name: model.family for model in models}
    if rivals and rivals[0] == baseline:
        varied = [group for name, group in full.items() if name != baseline]
        return [Selection(rivals[1], len(varied), _bias(varied))] if len(varied) > 1 else []
    if rivals is None or family[rivals[0]] == family[rivals[1]]:
        return []
    among = {name: [full[other] for other in full if family[other] == family[name]] for name in rivals}
    return [Selection(name, len(groups), _bias(groups)) for name, groups in among.items() if len(groups) > 1]


def first_pair(results: Results) -> Pair:
    """Return the row of the two models that the verdict is about, of results that have rivals."""
    return next(pair for pair in results.pairs if {pair.a, pair.b} == set(results.rivals or ()))


def _bias(groups: list[Group]) -> float | None:
    if min(map(len, groups)) < FEWEST_SEEDS:
        return None
    tables = [correct_of(group) for group in groups]
    spreads = [spread_of(table.mean(0), [table]) for table in tables]
    of_seeds = float(np.mean([spread.of_seeds for spread in spreads]))
    if of_seeds == 0:
        return 0.0
    apart = [spread_of(a.mean(0) - b.mean(0), [a, b]).images / 2 for a, b in pairwise(tables)]
    validation = groups[0][0].summary["validation_images"]
    of_images = float(np.mean(apart)) * tables[0].shape[1] / max(1, validation)
    largest = stats.norm.ppf((len(groups) - 0.375) / (len(groups) + 0.25))
    return float(largest * of_seeds / np.sqrt(of_seeds + of_images))
