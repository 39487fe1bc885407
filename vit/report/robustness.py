"""How accurate a model is on changed images, with intervals over images and seeds, beside the same images unchanged."""

import numpy as np

from .results import Corruption, Occlusion, Pair, Resolution, RobustnessRow, Shift
from .run_files import ChangedImages
from .runs import Group, folds_of, probed
from .statistics import Estimate, accuracy, mean_of, paired_test
from .verdicts import decide, pair_row

Seeds = list[ChangedImages]  # what was found in each


def of_models(full: dict[str, Group]) -> list[RobustnessRow]:
    """Return a row for every model of which all seeds were looked at."""
    return [_of_seeds(name, seeds, folds_of(full[name])) for name, seeds in _answers(full).items()]


def of_rivals(full: dict[str, Group], rivals: tuple[str, str] | None, margin: float) -> Pair | None:
    """Return the paired difference of two models' accuracy under corruptions, decided as that on test is."""
    looks = _answers(full)
    if rivals is None or not set(rivals) <= set(looks):
        return None
    test = paired_test(*(_tables(looks[name])[1] for name in rivals), folds=folds_of(full[rivals[0]]))
    return pair_row(rivals, test, decide({rivals: test}, rivals, margin)[rivals], margin)


def _answers(full: dict[str, Group]) -> dict[str, Seeds]:
    return {name: [probes["robustness"] for probes in seeds] for name, seeds in probed(full).items()}


def _tables(seeds: Seeds) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each image is known unchanged, and in which share of its corruptions: [S, N] each."""
    changes = sum(len(row["top1"]) for row in seeds[0]["corruptions"])
    clean = np.array([seed["right"] for seed in seeds], dtype=float)
    corrupted = np.array([seed["right_corrupted"] for seed in seeds], dtype=float)
    return clean, corrupted / changes


def kept(clean: np.ndarray, corrupted: np.ndarray, folds: int = 0) -> Estimate:
    """Estimate which share of its accuracy [S, N] is left on corrupted images [S, N]: a ratio, linear about its mean.

    The interval is of the differences that the ratio makes 0 on average (the delta method).
    """
    share = float(corrupted.mean() / max(clean.mean(), 1e-9))
    apart = mean_of((corrupted - share * clean) / max(clean.mean(), 1e-9), folds)
    return Estimate(share, max(0.0, share + apart.low), share + apart.high, apart.std)


def _of_seeds(name: str, seeds: Seeds, folds: int) -> RobustnessRow:
    clean, corrupted = _tables(seeds)
    names = [(row["name"], row["kind"]) for row in seeds[0]["corruptions"]]
    top1 = np.array([[row["top1"] for row in seed["corruptions"]] for seed in seeds])  # [seed, corruption, severity]
    means = dict(zip(names, top1.mean(0), strict=True))
    kinds = {kind: [row.mean() for (_, of), row in means.items() if of == kind] for _, kind in means}
    return RobustnessRow(
        model=name,
        images=seeds[0]["images"],
        clean=accuracy(clean, folds),
        corrupted=accuracy(corrupted, folds),
        kept=kept(clean, corrupted, folds),
        corruptions=[Corruption(of, kind, row.tolist(), float(row.mean())) for (of, kind), row in means.items()],
        kinds={kind: float(np.mean(values)) for kind, values in kinds.items()},
        occlusion=[Occlusion(**row) for row in _means([seed["occlusion"] for seed in seeds])],
        shift=[Shift(**row) for row in _means([seed["shift"] for seed in seeds])],
        resolution=[Resolution(**row) for row in _means([seed["resolution"] for seed in seeds])],
    )


def _means(tables: list[list[dict[str, float]]]) -> list[dict[str, float]]:
    """Return the mean over seeds of rows that all seeds have, in which nothing but the measure differs."""
    rows = zip(*tables, strict=True)
    return [{name: float(np.mean([row[name] for row in same])) for name in same[0]} for same in rows]
