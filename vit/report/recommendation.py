"""What a reader should take: the most accurate model, the fastest of those as accurate, the best of few labels.

All follows from the tests of pairs, which hold together (vit/report/verdicts.py): with 95 % the truly best model is
among those that none was found more accurate than. A model is as good as the best where it is within the margin of each
of them. Cheaper is what answers one image sooner or, where the rounds of latency overlap, what trains faster.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import log

import numpy as np

from .clusters import by_cluster
from .results import Accuracy, Aim, FewLabels, FractionRow, Ground, ModelRow, Pace, Pair, Ratio, Recommendation
from .runs import Group, correct_of, folds_of, images_of
from .statistics import FEWEST_SEEDS
from .verdicts import pair_rows

TENTH = 0.1
FEWEST, MOST = 0.05, 0.2  # of the largest fraction, to be told as about a tenth
ROUNDING = 1e-9


def near_a_tenth(fractions: Collection[float]) -> float | None:
    """Return the fraction nearest to a tenth of the largest, None where none lies between a twentieth and a fifth."""
    largest = max(fractions)
    near = [part for part in fractions if FEWEST - ROUNDING <= part / largest <= MOST + ROUNDING]
    return min(near, key=lambda part: abs(log(part / largest / TENTH))) if near else None


def few_labels(
    groups: Mapping[tuple[str, float], Group],
    names: list[str],
    clusters: np.ndarray,
    rivals: tuple[str, str] | None,
    margin: float,
) -> FewLabels | None:
    """Return the tests of all pairs on about a tenth of the data: a family of their own, the rivals first as ever.

    `groups` by model and fraction; None where no fraction is near a tenth, or one model alone was trained on it.
    """
    fraction = near_a_tenth({fraction for _, fraction in groups})
    found = {name: groups[name, fraction] for name in names if fraction and (name, fraction) in groups}
    if fraction is None or len(found) < 2:
        return None
    values = {name: by_cluster(correct_of(group), clusters) for name, group in found.items()}
    pairs = pair_rows(values, rivals, margin, folds_of(next(iter(found.values()))))
    return FewLabels(fraction, max(images_of(group) for group in found.values()), pairs)


def recommendations(
    models: list[ModelRow], pairs: list[Pair], few: FewLabels | None, fractions: list[FractionRow], margin: float
) -> list[Recommendation]:
    """Return what to take for each aim; nothing where there is but one model.

    `few` holds the tests of about a tenth of the data, None where it was not measured; `fractions` all accuracies.
    """
    if len(models) < 2:
        return []
    whole = Standing({model.name: model for model in models}, {m.name: m.top1.mean for m in models}, pairs, margin)
    return [whole.most_accurate("most_accurate"), whole.fastest(), _of_few_labels(models, few, fractions, margin)]


def few_label_accuracies(few: FewLabels | None, fractions: list[FractionRow]) -> dict[str, Accuracy]:
    """Return the accuracy of every model that was trained on about a tenth of the data, by its name."""
    return {row.model: row.top1 for row in fractions if few and row.fraction == few.fraction}


def _of_few_labels(
    models: list[ModelRow], few: FewLabels | None, fractions: list[FractionRow], margin: float
) -> Recommendation:
    top1 = {name: found.mean for name, found in few_label_accuracies(few, fractions).items()}
    trained = {model.name: model for model in models if model.name in top1}
    if few is None or len(trained) < 2:
        return Recommendation("few_labels", "not_measured", None, [], [], [], None, None, [], timed_alike=True)
    return Standing(trained, top1, few.pairs, margin).most_accurate("few_labels")


@dataclass(frozen=True)
class Standing:
    """Models, their accuracies on test, and the tests of all pairs of them."""

    models: Mapping[str, ModelRow]
    top1: Mapping[str, float]
    pairs: list[Pair]
    margin: float

    def most_accurate(self, aim: Aim) -> Recommendation:
        if not self.tested:
            return self._nothing(aim)
        if len(self.unbeaten) == 1:
            return self._take(aim, "ahead", self.unbeaten)
        as_good = [name for name in self.unbeaten if name in self.proven]
        return self._take(aim, "as_good", as_good) if as_good else self._take(aim, "not_known", self.measured_close)

    def fastest(self) -> Recommendation:
        aim = "as_accurate_and_fastest"
        if not self.tested:
            return self._nothing(aim)
        if self.proven == self.unbeaten and len(self.proven) == 1:
            return self._take(aim, "ahead", self.proven)
        return self._take(aim, "as_good" if self.proven else "not_known", self.proven or self.measured_close)

    @property
    def tested(self) -> list[str]:
        """Return the models of several seeds, the most accurate first; none where there are no two of them."""
        seeds = {name: count for pair in self.pairs for name, count in zip((pair.a, pair.b), pair.seeds, strict=True)}
        several = [name for name in self.models if seeds[name] >= FEWEST_SEEDS]
        return sorted(several, key=lambda name: -self.top1[name]) if len(several) > 1 else []

    @property
    def unbeaten(self) -> list[str]:
        """Return the models that none was found more accurate than, the most accurate first."""
        beaten = {loser_of(pair) for pair in self.pairs if pair.winner}
        return [name for name in self.tested if name not in beaten]

    @property
    def proven(self) -> list[str]:
        """Return the models that are within the margin of the best, whichever of the unbeaten that is."""
        return [name for name in self.tested if all(self._within(name, best) for best in self.unbeaten)]

    @property
    def measured_close(self) -> list[str]:
        """Return the unbeaten models whose measured accuracy is within the margin of the highest."""
        least = self.top1[self.unbeaten[0]] - self.margin
        return [name for name in self.unbeaten if self.top1[name] >= least - ROUNDING]

    def _within(self, name: str, other: str) -> bool:
        if name == other:
            return True
        pair = self._pair(name, other)
        return pair.winner == name or pair.verdict in ("as_good", "better_by_less")

    def _pair(self, a: str, b: str) -> Pair:
        return next(pair for pair in self.pairs if {pair.a, pair.b} == {a, b})

    def _nothing(self, aim: Aim) -> Recommendation:
        untested = list(self.models)
        return Recommendation(aim, "not_tested", None, [], [], untested, None, None, [], self._timed_alike)

    def _take(self, aim: Aim, ground: Ground, among: list[str]) -> Recommendation:
        """Return the recommendation of the cheapest among models, or of none where nothing tells it."""
        taken = among[0] if len(among) == 1 else self._cheapest(among) if self._timed_alike else None
        undecided = [name for name in self.unbeaten if name not in among] if aim != "as_accurate_and_fastest" else []
        others = [name for name in self.tested if name != taken]
        return Recommendation(
            aim=aim,
            ground=ground,
            model=taken,
            among=among,
            undecided=undecided,
            untested=[name for name in self.models if name not in self.tested],
            beside=self._pair(taken, others[0]) if taken else None,
            pace=self._pace(taken, among) if taken and len(among) > 1 else None,
            faster=self._faster(taken, among) if taken and aim == "as_accurate_and_fastest" else [],
            timed_alike=self._timed_alike,
        )

    @property
    def _timed_alike(self) -> bool:
        return len({(model.timed_on.device, model.timed_on.threads) for model in self.models.values()}) == 1

    def _cheapest(self, among: list[str]) -> str:
        rows = [self.models[name] for name in among]
        soonest = min(rows, key=lambda row: row.latency_ms)
        alike = [row for row in rows if _overlap(row, soonest)]
        return max(alike, key=lambda row: row.train_images_per_second).name

    def _pace(self, taken: str, among: list[str]) -> Pace:
        """Return how fast the model is beside the fastest of those of its latency or, where none is, of all others."""
        row, others = self.models[taken], [self.models[name] for name in among if name != taken]
        alike = [other for other in others if _overlap(row, other)]
        other = min(alike or others, key=lambda each: each.latency_ms)
        answers = Ratio(
            other.latency_ms / row.latency_ms,
            other.latency_ms_low / row.latency_ms_high,
            other.latency_ms_high / row.latency_ms_low,
        )
        trains = Ratio(
            row.train_images_per_second / other.train_images_per_second,
            row.train_images_per_second_low / other.train_images_per_second_high,
            row.train_images_per_second_high / other.train_images_per_second_low,
        )
        return Pace(other.name, answers, trains)

    def _faster(self, taken: str, among: list[str]) -> list[str]:
        """Return the models that surely answer sooner and were not found worse by more than the margin."""
        worse = {loser_of(pair) for pair in self.pairs if pair.verdict == "better_by_more"}
        least = self.models[taken].latency_ms_low
        rest = [self.models[name] for name in self.tested if name not in among and name not in worse]
        return [row.name for row in rest if row.latency_ms_high < least] if self._timed_alike else []


def loser_of(pair: Pair) -> str:
    return pair.b if pair.winner == pair.a else pair.a


def _overlap(a: ModelRow, b: ModelRow) -> bool:
    """Return whether the rounds of latency of two models overlap."""
    return a.latency_ms_low <= b.latency_ms_high and b.latency_ms_low <= a.latency_ms_high
