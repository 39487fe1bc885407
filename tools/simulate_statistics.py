"""Try the report's statistics on models whose truth is known, and write the tables of docs/statistics.md.

    uv run tools/simulate_statistics.py               # every setting; about half an hour of one core
    uv run tools/simulate_statistics.py --quick       # a tenth of the worlds of each: to see that it works

Worlds are drawn by tests/simulated_answers.py: images of different difficulty, models with a view of their own, lucky
and unlucky trainings. Counts what the report would print: false alarms, coverage, findings, equivalence.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from simulated_answers import Model, answers  # noqa: E402  # pyright: ignore[reportMissingImports]

from vit.report.statistics import LEVEL, accuracy, paired_test  # noqa: E402
from vit.report.verdicts import decide, holm  # noqa: E402

IMAGES = (40, 150, 450, 2_000, 10_000)
SEEDS = (2, 3, 5, 10)
DEVIATIONS = (0.0, 0.003, 0.01, 0.03)
ACCURACIES = (0.5, 0.9, 0.97, 0.99)
WORLDS = {40: 1_000, 150: 1_000, 450: 1_000, 2_000: 600, 10_000: 300}
FIRST = ("0", "1")
MARGIN = 0.01
BEGIN, END = "<!-- simulated: begin -->", "<!-- simulated: end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description="simulate the report's statistics")
    parser.add_argument("--quick", action="store_true")
    parts = 10 if parser.parse_args().quick else 1
    tables = [
        equal_models(parts),
        unequal_seeds(parts),
        real_differences(parts),
        families(parts),
        power(parts),
        equivalence(parts),
    ]
    text = "\n\n".join(tables)
    print(text)
    if parts == 1:
        keep(text)


def keep(text: str) -> None:
    page = ROOT / "docs" / "statistics.md"
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def worlds(models: list[Model], seeds: Sequence[int], images: int, parts: int) -> Iterator[list[np.ndarray]]:
    """Yield the answers of the models, world by world, the same ones each time."""
    key = [images, *seeds, *(round(1e5 * each) for m in models for each in (m.accuracy, m.seed_deviation))]
    generator = np.random.default_rng(key)
    for _ in range(WORLDS[images] // parts):
        yield answers(models, list(seeds), images, generator)


def equal_models(parts: int) -> str:
    """False alarms of two equal models, and the coverage of their accuracies."""
    alarms: dict[tuple, list[float]] = {}
    covered: dict[tuple, list[float]] = {}
    for images, count, deviation, share in product(IMAGES, SEEDS, DEVIATIONS, ACCURACIES):
        found, held = [], []
        for a, b in worlds([Model(share, deviation)] * 2, [count] * 2, images, parts):
            test, estimate = paired_test(a, b), accuracy(a)
            found.append(test.spread.p_value(test.difference) < LEVEL)
            held.append(estimate.low <= share <= estimate.high)
        alarms.setdefault((count, deviation), []).append((images, float(np.mean(found))))  # type: ignore[arg-type]
        covered.setdefault((count, deviation), []).append((images, float(np.mean(held))))  # type: ignore[arg-type]
        say(images, count, deviation, share, np.mean(found))
    keys = list(product(SEEDS, DEVIATIONS))
    head = ["seeds", "deviation of seeds", *(f"{images:,} images" for images in IMAGES), "largest of 150 and more"]
    sizes = [[*named(key), *by_images(alarms[key]), percent(largest(alarms[key], max))] for key in keys]
    head_covered = [*head[:-1], "smallest of 150 and more"]
    holds = [[*named(key), *by_images(covered[key]), percent(largest(covered[key], min))] for key in keys]
    of_150 = [value for key in keys for images, value in alarms[key] if images >= 150]  # type: ignore[misc]
    mean = (
        f"On average over settings of 150 images and more: {percent(np.mean(of_150))}; at most {percent(max(of_150))}."
    )
    return "\n\n".join(
        [
            "### Equal models that are found different, at 5 %, means of four accuracies",
            table(head, sizes),
            mean,
            "### Intervals of an accuracy that hold it, means of four accuracies",
            table(head_covered, holds),
        ]
    )


def unequal_seeds(parts: int) -> str:
    rows = []
    for seeds, deviation in product(((3, 2), (5, 2), (10, 2), (5, 3), (10, 3), (10, 5)), DEVIATIONS[1:]):
        row = [f"{seeds[0]} and {seeds[1]}", points(deviation)]
        for images in IMAGES[2:]:
            row.append(percent(share_of(worlds([Model(0.9, deviation)] * 2, seeds, images, parts), is_found)))
        rows.append(row)
        say("unequal", *row)
    head = ["seeds", "deviation of seeds", *(f"{images:,} images" for images in IMAGES[2:])]
    return "### Equal models of unequal numbers of seeds that are found different\n\n" + table(head, rows)


def real_differences(parts: int) -> str:
    """Coverage of the interval of a true difference of two points."""
    rows = []
    for count, deviation in product(SEEDS[:3], DEVIATIONS[:3]):
        row = [str(count), points(deviation)]
        for images in IMAGES:
            cells = []
            for high in (0.9, 0.97, 0.99):
                held = [
                    bounds.low <= 0.02 <= bounds.high
                    for a, b in worlds(
                        [Model(high, deviation), Model(high - 0.02, deviation)], [count] * 2, images, parts
                    )
                    for bounds in [paired_test(a, b).interval()]
                ]
                cells.append(float(np.mean(held)))
            row.append(f"{percent(np.mean(cells))} ({percent(min(cells))})")
        rows.append(row)
        say("difference", *row)
    head = ["seeds", "deviation of seeds", *(f"{images:,} images" for images in IMAGES)]
    title = "### Intervals of a true difference of 2 points that hold it: mean of 90, 97 and 99 % (the smallest)"
    return f"{title}\n\n" + table(head, rows)


def families(parts: int) -> str:
    """Any false finding among the ten pairs of five equal models, the first of them the one that is asked about."""
    rows = []
    for count, deviation in product(SEEDS[:3], DEVIATIONS[1:3]):
        row = [str(count), points(deviation)]
        for images in IMAGES[2:]:
            row.append(percent(share_of(worlds([Model(0.9, deviation)] * 5, [count] * 5, images, parts), any_winner)))
        rows.append(row)
        say("families", *row)
    head = ["seeds", "deviation of seeds", *(f"{images:,} images" for images in IMAGES[2:])]
    return "### Reports of five equal models with any false finding among their ten pairs\n\n" + table(head, rows)


def power(parts: int) -> str:
    """How often the first of ten pairs is found, three points apart, and how often by Holm's method over all ten."""
    rows = []
    for images, count, deviation in product(IMAGES[2:], (3, 5), DEVIATIONS[1:3]):
        models = [Model(0.9, deviation), *[Model(0.93, deviation)] * 4]
        alone, first, by_holm = [], [], []
        for tables in worlds(models, [count] * 5, images, parts):
            tests = all_pairs(tables)
            p_values = [test.spread.p_value(test.difference) for test in tests.values()]
            alone.append(p_values[0] < LEVEL)
            first.append(decide(tests, FIRST, MARGIN)[FIRST].winner is not None)
            by_holm.append(holm(p_values)[0] < LEVEL)
        rows.append(
            [f"{images:,}", str(count), points(deviation), *map(percent, map(np.mean, (alone, first, by_holm)))]
        )
        say("power", *rows[-1])
    head = ["images", "seeds", "deviation of seeds", "one pair alone", "first of ten pairs", "by Holm over all ten"]
    return "### A difference of 3 points that is found\n\n" + table(head, rows)


def equivalence(parts: int) -> str:
    """How often models are called as good within a point: equal ones, and others one and three points apart."""
    rows = []
    for images, count, deviation in product(IMAGES[2:], (3, 5), DEVIATIONS[:3]):
        cells = []
        for apart in (0.0, 0.01, 0.03):
            models = [Model(0.9, deviation), Model(0.9 + apart, deviation)]
            cells.append(share_of(worlds(models, [count] * 2, images, parts), is_as_good))
        theory = share_of(worlds([Model(0.9, deviation)] * 2, [count] * 2, images, parts), is_within)
        rows.append([f"{images:,}", str(count), points(deviation), *map(percent, [cells[0], theory, *cells[1:]])])
        say("equivalence", *rows[-1])
    head = ["images", "seeds", "deviation of seeds", "equal", "equal: whole 90 % interval within", "1 point apart"]
    return "### Models called as good within 1 point\n\n" + table([*head, "3 points apart"], rows)


def all_pairs(tables: list[np.ndarray]) -> dict[tuple[str, str], Any]:
    return {(str(i), str(j)): paired_test(tables[i], tables[j]) for i, j in combinations(range(len(tables)), 2)}


def share_of(drawn: Iterator[list[np.ndarray]], counts: Callable[[dict], bool]) -> float:
    return float(np.mean([counts(decide(all_pairs(tables), FIRST, MARGIN)) for tables in drawn]))


def is_found(report: dict) -> bool:
    return report[FIRST].p_adjusted < LEVEL


def any_winner(report: dict) -> bool:
    return any(verdict.winner for verdict in report.values())


def is_as_good(report: dict) -> bool:
    return report[FIRST].outcome == "as_good"


def is_within(report: dict) -> bool:
    """Whether two one-sided tests pass, which goes unsaid where a winner by less than the margin is told."""
    return report[FIRST].outcome in ("as_good", "better_by_less")


def named(key: tuple) -> list[str]:
    return [str(key[0]), points(key[1])]


def by_images(cells: list) -> list[str]:
    return [percent(np.mean([value for of, value in cells if of == images])) for images in IMAGES]


def largest(cells: list, of: Callable[..., float]) -> float:
    return of(value for images, value in cells if images >= 150)


def points(deviation: float) -> str:
    return f"{100 * deviation:g}"


def percent(share: Any) -> str:
    return f"{100 * share:.1f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---:"] * len(head), *rows])


def say(*words: Any) -> None:
    print(*words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
