"""Whether a model's confidences can be trusted: against its accuracy, after one temperature, and to leave images out.

S seeds, N images, C classes: logits [N, C], labels [N]. Confidence is the probability of the predicted class.
"""

from dataclasses import replace

import numpy as np
from scipy import stats
from scipy.optimize import minimize_scalar
from scipy.special import erf

from .answers import Answers, Logits, blocks, nll_of_images
from .results import (
    Bin,
    CalibrationRow,
    ErrorIfCalibrated,
    LossDifference,
    LossDifferences,
    ProbabilityScores,
    RiskCoverage,
    ScoreIntervals,
)
from .runs import Group, Run, folds_of
from .statistics import LEVEL, Estimate, Interval, PairedTest, mean_of, paired_difference

BINS = 15  # as in Guo et al. 2017
RESAMPLES = 500
COOLEST, HOTTEST = 0.01, 100.0  # temperatures
MOST = {"nll": np.inf, "brier": 2.0, "ece": 1.0, "ece_equal_mass": 1.0}  # and none is below 0
LOSSES = ("nll", "brier")
COVERAGES = np.linspace(0.025, 1.0, 40)


def nll(logits: Logits, labels: np.ndarray, temperature: float = 1.0) -> float:
    """Return the mean negative log-likelihood of labels, in nats, at a temperature."""
    return float(nll_of_images(logits, labels, temperature=temperature).mean())


def width_numbers(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the number of the bin of each confidence, where all bins are as wide: [N], from 0."""
    return np.minimum((confidence * bins).astype(int), bins - 1)


def mass_numbers(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return the number of the bin of each confidence, where all bins hold as many images: [N], from 0."""
    rank = np.argsort(np.argsort(confidence, kind="stable"), kind="stable")
    return rank * bins // len(confidence)


def equal_width_bins(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Return the bins, each as wide in confidence, that hold any image (Guo et al. 2017, arXiv:1706.04599)."""
    return _bins(confidence, correct, width_numbers(confidence, bins))


def equal_mass_bins(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Return bins of as many images each (Nixon et al. 2019, arXiv:1904.01685)."""
    return _bins(confidence, shared_by_ties(confidence, correct), mass_numbers(confidence, bins))


def shared_by_ties(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Return the share of right answers among all of the same confidence, for each image: [N].

    What is sorted by confidence does not depend on the order of files then.
    """
    _, which, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    return (np.bincount(which, weights=correct) / counts)[which]


def calibration_error(bins: list[Bin]) -> float:
    """Return the mean distance of confidence and accuracy over the images' bins."""
    images = sum(each.images for each in bins)
    return sum(each.images * abs(each.accuracy - each.confidence) for each in bins) / images


def fit_temperature(logits: Logits, labels: np.ndarray) -> float:
    """Return the number that logits are best divided by, for the likelihood of the labels (Guo et al. 2017)."""
    loss = lambda log: nll(logits, labels, np.exp(log))  # noqa: E731
    found = minimize_scalar(loss, bounds=(np.log(COOLEST), np.log(HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def proven_temperature(logits: Logits, labels: np.ndarray) -> float:
    """Return the fitted temperature where a likelihood-ratio test finds it better than none at 5 %, and else 1.

    A temperature of few images is mostly noise, and makes the likelihood of other images worse. Without any error the
    best one would be 0, which is no answer. Twice the gain in likelihood is chi-squared with 1 degree of freedom.
    """
    if all((block.argmax(1) == labels[rows]).all() for rows, block in blocks(logits)):
        return 1.0
    temperature = fit_temperature(logits, labels)
    gain = 2 * len(labels) * (nll(logits, labels) - nll(logits, labels, temperature))
    return temperature if gain > stats.chi2.isf(LEVEL, 1) else 1.0


def error_interval(gaps: np.ndarray, numbers: np.ndarray, if_calibrated: float, folds: int = 0) -> Interval:
    """Return the 95 % interval of the seeds' mean calibration error, from `gaps` and bins' `numbers`, [S, N] each.

    The error is the mean of gaps that all count as positive in bins where most are, and varies as any mean of images
    and seeds does. What chance adds to its size (the mean of a folded normal) is taken off. The interval reaches 0
    where chance may be all of it: up to `if_calibrated`. What was measured is within.
    """
    sums = _sums_in_bins(gaps, numbers)
    noise = np.maximum(np.sqrt(_sums_in_bins(gaps**2, numbers)), 1e-12)
    folded = noise * np.sqrt(2 / np.pi) * np.exp(-((sums / noise) ** 2) / 2) + sums * erf(sums / noise / np.sqrt(2))
    bias = float((folded - np.abs(sums)).sum() / gaps.size)
    found = mean_of(gaps * np.sign(np.take_along_axis(sums, numbers, axis=1)), folds)
    low = 0.0 if found.mean <= if_calibrated else max(0.0, found.low - bias)
    return Interval(low, max(found.mean, found.high - bias))


def errors_if_calibrated(confidence: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return mean calibration errors of seeds that are perfectly calibrated at a confidence [S, N]: chance alone.

    As many as are drawn: [R]. An image's luck is the same for all seeds, as its label is; of independent seeds the mean
    would vary less.
    """
    generator = np.random.default_rng(0)
    luck = (generator.random(confidence.shape[1]) for _ in range(RESAMPLES))
    drawn = [np.abs(_sums_in_bins((each < confidence) - confidence, numbers)).sum() for each in luck]
    return np.array(drawn) / confidence.size


def _sums_in_bins(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the sums of values [S, N] in each seed's bins of these numbers [S, N]: [S, BINS]."""
    return np.stack([np.bincount(bins, weights=of, minlength=BINS) for bins, of in zip(numbers, values, strict=True)])


def risk_at(confidence: np.ndarray, correct: np.ndarray, coverages: np.ndarray) -> np.ndarray:
    """Return the share of errors among the most confident images, for every share of images that are answered."""
    order = np.argsort(-confidence)
    errors = np.cumsum(1 - shared_by_ties(confidence, correct)[order])
    answered = np.maximum(1, np.round(coverages * len(correct)).astype(int))
    return errors[answered - 1] / answered


def area_under_risk(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Return the mean share of errors over all coverages (Geifman and El-Yaniv 2017, arXiv:1705.08500)."""
    return float(risk_at(confidence, correct, np.arange(1, len(correct) + 1) / len(correct)).mean())


def scores_of(answers: Answers) -> dict[str, float]:
    """Return what the report tells of one run's probabilities."""
    confidence, correct = answers.confidence, answers.correct
    return {
        "ece": calibration_error(equal_width_bins(confidence, correct)),
        "ece_equal_mass": calibration_error(equal_mass_bins(confidence, correct)),
        "nll": float(answers.nll.mean()),
        "brier": float(answers.brier.mean()),
        "area_under_risk": area_under_risk(confidence, correct),
    }


def of_models(full: dict[str, Group]) -> list[CalibrationRow]:
    """Return a row a model: means of its seeds as they are and, where a temperature is proven, after it."""
    return [_of_seeds(name, group) for name, group in full.items()]


def of_rivals(a: Group, b: Group) -> LossDifferences:
    """Return the paired differences a - b of two models' losses on the same images, with intervals."""
    both = [[run.answers for run in group] for group in (a, b)]
    tables = {key: [_table(seeds, key) for seeds in both] for key in LOSSES}
    tests = {key: paired_difference(of_both[0], of_both[1], folds_of(a)) for key, of_both in tables.items()}
    return LossDifferences(**{key: _told(test) for key, test in tests.items()})


def _told(test: PairedTest) -> LossDifference:
    bounds = test.interval()
    return LossDifference(test.difference, bounds.low, bounds.high, test.p_value)


def _table(seeds: list[Answers], key: str) -> np.ndarray:
    """Return a measure of each image as each seed has it: [S, N]."""
    return np.stack([getattr(seed, key) for seed in seeds])


def _of_seeds(name: str, group: Group) -> CalibrationRow:
    before = [run.answers for run in group]
    risks = np.mean([risk_at(seed.confidence, seed.correct, COVERAGES) for seed in before], axis=0)
    row = CalibrationRow(
        model=name,
        **vars(_pooled(before, folds_of(group))),
        risk_coverage=RiskCoverage(COVERAGES.tolist(), risks.tolist()),
        temperature=None,
        fitted_seeds=0,
        scaled=None,
    )
    known = [t for t in map(_temperature, group) if t is not None]
    if len(known) < len(group):
        return row
    fitted = sum(t != 1 for t in known)
    after = [Answers.of(run.logits, run.labels, temperature=t) for run, t in zip(group, known, strict=True) if fitted]
    scaled = _pooled(after, folds_of(group)) if after else None
    return replace(row, temperature=float(np.mean(known)), fitted_seeds=fitted, scaled=scaled)


def _temperature(run: Run) -> float | None:
    return None if run.validation is None else proven_temperature(*run.validation)


def _pooled(seeds: list[Answers], folds: int = 0) -> ProbabilityScores:
    """Return the means of the seeds' scores, their intervals, and the equal-width bins of all answers together."""
    confidence, correct = (_table(seeds, key) for key in ("confidence", "correct"))
    scores = [scores_of(seed) for seed in seeds]
    means = {key: float(np.mean([of_seed[key] for of_seed in scores])) for key in scores[0]}
    found: dict[str, Estimate | Interval] = {key: mean_of(_table(seeds, key), folds) for key in LOSSES}
    gaps = np.stack([shared_by_ties(seed.confidence, seed.correct) for seed in seeds]) - confidence
    chance = {}
    for key, numbers_of in (("ece", width_numbers), ("ece_equal_mass", mass_numbers)):
        numbers = np.stack([numbers_of(seed.confidence) for seed in seeds])
        drawn = errors_if_calibrated(confidence, numbers)
        chance[key] = ErrorIfCalibrated(float(drawn.mean()), float(np.quantile(drawn, 1 - LEVEL)))
        found[key] = error_interval(gaps, numbers, chance[key].high, folds)
    bounds = {key: Interval(max(0.0, each.low), min(each.high, MOST[key])) for key, each in found.items()}
    return ProbabilityScores(
        **means,
        intervals=ScoreIntervals(**bounds),
        ece_if_calibrated=chance["ece"],
        reliability=equal_width_bins(confidence.ravel(), correct.ravel()),
    )


def _bins(confidence: np.ndarray, correct: np.ndarray, which: np.ndarray) -> list[Bin]:
    return [
        Bin(int(inside.sum()), float(confidence[inside].mean()), float(correct[inside].mean()))
        for inside in (which == number for number in np.unique(which))
    ]
