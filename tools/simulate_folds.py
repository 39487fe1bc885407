"""Try the report's statistics of folds on real learners of drawn data sets, and write the tables of docs/statistics.md.

    uv run tools/simulate_folds.py               # every setting; about ten minutes of one core
    uv run tools/simulate_folds.py --quick       # a tenth of the data sets of each: to see that it works

Learners and data sets are those of tests/simulated_folds.py; the truth is a learner's mean accuracy over data sets of
that size and over its starts. Models are equally good where they are one learner that sees other features.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from scipy import stats

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from simulated_folds import LEARNERS, VIEWS, draw_data, draw_folds  # noqa: E402  # pyright: ignore

from vit.report.statistics import LEVEL, accuracy, paired_test  # noqa: E402

SEEDS = (1, 2, 3, 5)
SETTINGS = (  # images, folds, separation of the classes, data sets
    *((images, folds, separation, 100) for images in (60, 120) for folds in (5, 10) for separation in (0.5, 1.2)),
    (250, 5, 1.2, 100),
    (250, 10, 0.5, 100),
    (500, 5, 1.2, 100),
    (1_000, 5, 0.5, 100),
    (2_000, 5, 1.2, 50),
)
DIFFERENT = (
    (("linear", 0, 0), ("perceptron", 1, 0)),
    (("random features", 0, 0), ("centroid", 0, 0)),
    (("neighbours", 0, 0), ("own features", 1, 0)),
    (("linear", 0, 0), ("random features", 0, 0)),
)
OWN_STARTS = ("own features", "centroid", "perceptron")  # in every fold another; linear has none, others share one
BEGIN, END = "<!-- simulated folds: begin -->", "<!-- simulated folds: end -->"

Key = tuple[str, int, int]  # learner, view, and which of two runs of its seeds
Cell = tuple[dict[Key, np.ndarray], np.ndarray]  # right answers [R, S, N] of R data sets, and folds [R, N]
Found = dict[tuple, list[float]]  # shares, by what they are of


def main() -> None:
    parser = argparse.ArgumentParser(description="simulate the report's statistics of folds")
    parser.add_argument("--quick", action="store_true")
    parts = 10 if parser.parse_args().quick else 1
    text = tables(lambda images, folds, separation, count: drawn(images, folds, separation, count // parts))
    print(text)
    if parts == 1:
        page = ROOT / "docs" / "statistics.md"
        before, rest = page.read_text(encoding="utf-8").split(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def keys() -> list[Key]:
    """Return every learner on either view, and, where it has a start, once more with other seeds on the first."""
    return [
        (name, view, again)
        for name in LEARNERS
        for view in (0, 1)
        for again in ((0, 1) if view == 0 and name != "linear" else (0,))
    ]


def drawn(images: int, folds: int, separation: float, count: int) -> Cell:
    draw = np.random.default_rng([images, folds, int(100 * separation), 0])
    right = {key: np.zeros((count, max(SEEDS), images), dtype=np.float32) for key in keys()}
    places = np.zeros((count, images), dtype=int)
    for world in range(count):
        features, labels = draw_data(images, separation, draw)
        places[world] = draw_folds(labels, folds, draw)
        for key in right:
            name, view, _ = key
            said = LEARNERS[name](features[:, VIEWS[view]], labels, places[world], max(SEEDS), draw)
            right[key][world] = said == labels
    print(images, folds, separation, "drawn", file=sys.stderr, flush=True)
    return right, places


def tables(draw: Callable[[int, int, float, int], Cell]) -> str:
    alarms: Found = defaultdict(list)
    same: Found = defaultdict(list)
    held: Found = defaultdict(list)
    held_differences: Found = defaultdict(list)
    lone: Found = defaultdict(list)
    for images, folds, separation, count in SETTINGS:
        right, places = draw(images, folds, separation, count)
        for seeds in SEEDS[1:]:
            of = (images, folds, seeds)
            for name in LEARNERS:
                a, b = ((name, view, 0) for view in (0, 1))
                for correction in (0, folds):
                    alarms[*of, correction > 0].append(missed(right, a, b, 0.0, seeds, correction))
                    held[*of, correction > 0].append(coverage(right[a], seeds, correction))
                if (name, 0, 1) in right:
                    same[of].append(missed(right, a, (name, 0, 1), 0.0, seeds, folds))
            for a, b in DIFFERENT:
                truth = float(right[a].mean() - right[b].mean())
                held_differences[of].append(1 - missed(right, a, b, truth, seeds, folds))
        for name in LEARNERS:
            kind = "none" if name == "linear" else "one in every fold" if name in OWN_STARTS else "one for all folds"
            lone[folds, kind].append(nadeau_bengio(right, (name, 0, 0), (name, 1, 0), places, folds))
        print(images, folds, separation, "judged", file=sys.stderr, flush=True)
    return "\n\n".join(
        [
            "### Folds: equal learners of different features that are found different, at 5 %, without (with) the "
            "correction",
            by_size(lambda key: f"{percent(alarms[*key, False])} ({percent(alarms[*key, True])})", alarms),
            "On average over settings, without and with it: "
            f"{percent(every(alarms, False))} and {percent(every(alarms, True))}; one learner against itself, with "
            f"other seeds: {percent(every(same))}.",
            "### Folds: intervals of an accuracy that hold it, without (with) the correction",
            by_size(lambda key: f"{percent(held[*key, False])} ({percent(held[*key, True])})", held),
            f"On average: {percent(every(held, False))} and {percent(every(held, True))}; intervals of true "
            f"differences between four pairs of learners, with it: {percent(every(held_differences))}.",
            "### Folds, one seed: equal learners that the corrected t-test of Nadeau and Bengio over folds finds "
            "different",
            one_seed(lone),
        ]
    )


def missed(right: Mapping[Key, np.ndarray], a: Key, b: Key, truth: float, seeds: int, folds: int) -> float:
    """Return how often the true difference is refused at 5 %."""
    tests = [paired_test(x[:seeds], y[:seeds], folds) for x, y in zip(right[a], right[b], strict=True)]
    return float(np.mean([test.spread.p_value(test.difference - truth) < LEVEL for test in tests]))


def coverage(right: np.ndarray, seeds: int, folds: int) -> float:
    truth = right.mean()
    bounds = [accuracy(each[:seeds], folds) for each in right]
    return float(np.mean([each.low <= truth <= each.high for each in bounds]))


def nadeau_bengio(right: Mapping[Key, np.ndarray], a: Key, b: Key, places: np.ndarray, folds: int) -> float:
    """Return the false alarms of one seed's fold means: t of K - 1 degrees, the variance times 1/K + 1/(K - 1)."""
    differences = right[a][:, 0] - right[b][:, 0]
    means = np.stack(
        [[each[fold == k].mean() for k in range(folds)] for each, fold in zip(differences, places, strict=True)]
    )
    half = stats.t.isf(LEVEL / 2, folds - 1) * np.sqrt((1 / folds + 1 / (folds - 1)) * means.var(1, ddof=1))
    return float(np.mean(np.abs(differences.mean(1)) > half + 1e-9))


def by_size(cell: Callable[[tuple], str], found: Found) -> str:
    sizes = list(dict.fromkeys(key[:2] for key in found))
    rows = [[f"{images:,}", str(folds), *(cell((images, folds, s)) for s in SEEDS[1:])] for images, folds in sizes]
    return table(["images", "folds", *(f"{s} seeds" for s in SEEDS[1:])], rows)


def one_seed(lone: Found) -> str:
    kinds = list(dict.fromkeys(kind for _, kind in lone))
    rows = [[kind, *(f"{percent(lone[f, kind])} ({percent([max(lone[f, kind])])})" for f in (5, 10))] for kind in kinds]
    return table(["random start", "5 folds: mean (most)", "10 folds: mean (most)"], rows)


def every(found: Found, corrected: bool | None = None) -> list[float]:
    """Return all shares, or those with or without the correction."""
    return [share for key, shares in found.items() if corrected in (None, key[-1]) for share in shares]


def percent(shares: list[float]) -> str:
    return f"{100 * np.mean(shares):.1f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---:"] * len(head), *rows])


if __name__ == "__main__":
    main()
