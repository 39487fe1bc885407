"""Whether a model's confidences can be trusted: against its accuracy, after one temperature, and to leave images out.

S seeds, N images, C classes: logits [N, C], labels [N]. Confidence is the probability of the predicted class.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from scipy.optimize import minimize_scalar
from scipy.special import erf

from ..probabilities import Output, log_probabilities, probabilities
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
COVERAGES = np.linspace(0.025, 1.0, 40)


def nll_of_images(logits: np.ndarray, labels: np.ndarray, output: Output = "softmax") -> np.ndarray:
    """Return the negative log-likelihood of each label, in nats: [N]."""
    return -log_probabilities(logits, output)[np.arange(len(labels)), labels]


def nll(logits: np.ndarray, labels: np.ndarray, output: Output = "softmax") -> float:
    """Return the mean negative log-likelihood, in nats."""
    return float(nll_of_images(logits, labels, output).mean())


def brier_of_images(logits: np.ndarray, labels: np.ndarray, output: Output = "softmax") -> np.ndarray:
    """Return the squared distance of each image's probabilities from its one-hot label, in [0, 2]: [N]."""
    given = probabilities(logits, output)
    return (given**2).sum(1) - 2 * given[np.arange(len(labels)), labels] + 1


def brier(logits: np.ndarray, labels: np.ndarray, output: Output = "softmax") -> float:
    """Return the mean squared distance of the probabilities from the one-hot label, in [0, 2] (Brier 1950)."""
    return float(brier_of_images(logits, labels, output).mean())


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


def confidences(logits: np.ndarray, labels: np.ndarray, output: Output = "softmax") -> tuple[np.ndarray, np.ndarray]:
    """Return the confidence [N] of every prediction, and whether it is right [N]."""
    return probabilities(logits, output).max(1), logits.argmax(1) == labels


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the number that logits are best divided by, for the likelihood of the labels (Guo et al. 2017)."""
    loss = lambda log: nll(logits / np.exp(log), labels)  # noqa: E731
    found = minimize_scalar(loss, bounds=(np.log(COOLEST), np.log(HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def proven_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the fitted temperature where a likelihood-ratio test finds it better than none at 5 %, and else 1.

    A temperature of few images is mostly noise, and makes the likelihood of other images worse. Without any error the
    best one would be 0, which is no answer. Twice the gain in likelihood is chi-squared with 1 degree of freedom.
    """
    if (logits.argmax(1) == labels).all():
        return 1.0
    temperature = fit_temperature(logits, labels)
    gain = 2 * len(labels) * (nll(logits, labels) - nll(logits / temperature, labels))
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


@dataclass(frozen=True)
class Answers:
    """What the report tells of one run's probabilities, and what it is drawn from."""

    scores: dict[str, float]
    losses: dict[str, np.ndarray]  # [N] each
    confidence: np.ndarray
    correct: np.ndarray

    @classmethod
    def of(cls, logits: np.ndarray, labels: np.ndarray) -> "Answers":
        logits = logits.astype(np.float64)
        confidence, correct = confidences(logits, labels)
        losses = {"nll": nll_of_images(logits, labels), "brier": brier_of_images(logits, labels)}
        scores = {
            "ece": calibration_error(equal_width_bins(confidence, correct)),
            "ece_equal_mass": calibration_error(equal_mass_bins(confidence, correct)),
            **{key: float(values.mean()) for key, values in losses.items()},
            "area_under_risk": area_under_risk(confidence, correct),
        }
        return cls(scores, losses, confidence, correct)


def of_models(full: dict[str, Group]) -> list[CalibrationRow]:
    """Return a row a model: means of its seeds as they are and, where a temperature is proven, after it."""
    return [_of_seeds(name, group) for name, group in full.items()]


def of_rivals(a: Group, b: Group) -> LossDifferences:
    """Return the paired differences a - b of two models' losses on the same images, with intervals."""
    losses = {"nll": nll_of_images, "brier": brier_of_images}
    tables = {
        key: [np.stack([loss(run.logits.astype(np.float64), run.labels) for run in group]) for group in (a, b)]
        for key, loss in losses.items()
    }
    tests = {key: paired_difference(of_a, of_b, folds_of(a)) for key, (of_a, of_b) in tables.items()}
    return LossDifferences(**{key: _told(test) for key, test in tests.items()})


def _told(test: PairedTest) -> LossDifference:
    bounds = test.interval()
    return LossDifference(test.difference, bounds.low, bounds.high, test.p_value)


def _losses(seeds: list[Answers], key: str) -> np.ndarray:
    return np.stack([seed.losses[key] for seed in seeds])


def _of_seeds(name: str, group: Group) -> CalibrationRow:
    before = [Answers.of(run.logits, run.labels) for run in group]
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
    after = [Answers.of(run.logits / t, run.labels) for run, t in zip(group, known, strict=True)] if fitted else None
    scaled = _pooled(after, folds_of(group)) if after else None
    return replace(row, temperature=float(np.mean(known)), fitted_seeds=fitted, scaled=scaled)


def _temperature(run: Run) -> float | None:
    if run.validation is None:
        return None
    logits, labels = run.validation
    return proven_temperature(logits.astype(np.float64), labels)


def _pooled(seeds: list[Answers], folds: int = 0) -> ProbabilityScores:
    """Return the means of the seeds' scores, their intervals, and the equal-width bins of all answers together."""
    confidence, correct = (np.stack([getattr(s, name) for s in seeds]) for name in ("confidence", "correct"))
    means = {key: float(np.mean([seed.scores[key] for seed in seeds])) for key in seeds[0].scores}
    found: dict[str, Estimate | Interval] = {key: mean_of(_losses(seeds, key), folds) for key in ("nll", "brier")}
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
