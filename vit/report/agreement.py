"""Whether two models err on the same images: beyond chance, and on which images they part.

S seeds, N test images: labels [N].
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from .answers import mean_probabilities
from .results import Answer, FirstSeeds, Galleries, GalleryImage, PairAgreement
from .runs import Group

MOST_SHOWN = 12


def kappa(a: np.ndarray, b: np.ndarray) -> float:
    """Return how much oftener than by chance two sequences [N] of yes and no agree, up to 1 (Cohen 1960).

    Of two models' right and wrong answers it is the error consistency of Geirhos et al. 2020, arXiv:2006.16736. It is 1
    where both are the same throughout, though chance explains that as well.
    """
    observed = float(np.mean(a == b))
    expected = float(a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean()))
    return 1.0 if expected == 1 else (observed - expected) / (1 - expected)


def of_pairs(full: dict[str, Group]) -> list[PairAgreement]:
    """Return a row a pair of models: means over all pairs of seeds, and what only one of the first ones knows."""
    return [_agreement(a, b, full[a], full[b]) for a, b in combinations(full, 2)]


def between_seeds(full: dict[str, Group]) -> dict[str, float | None]:
    """Return the kappa of every model's seeds among themselves: what a rerun alone would agree on."""
    found: dict[str, float | None] = {}
    for name, group in full.items():
        values = [kappa(x.correct(), y.correct()) for x, y in combinations(group, 2)]
        found[name] = float(np.mean(values)) if values else None
    return found


def galleries(a: Group, b: Group) -> Galleries:
    """Return the test images on which all seeds of one model are right and none of the other's, and where both err.

    Most confident first, by the mean probability that the seeds give to what they say.
    """
    labels, ids = a[0].labels, a[0].ids
    left, right = (_Together.of(group) for group in (a, b))
    never = (left.right_share == 0) & (right.right_share == 0)
    only_a = _most((left.right_share == 1) & (right.right_share == 0), left.confidence + right.confidence)
    only_b = _most((right.right_share == 1) & (left.right_share == 0), left.confidence + right.confidence)
    neither = _most(never, np.minimum(left.confidence, right.confidence))
    row = lambda i: GalleryImage(str(ids[i]), int(labels[i]), left.said(i), right.said(i))  # noqa: E731
    return Galleries(*([row(i) for i in places] for places in (only_a, only_b, neither)))


@dataclass(frozen=True)
class _Together:
    """What a model's seeds say of every image: the class of their mean probabilities, and how sure they are."""

    prediction: np.ndarray
    confidence: np.ndarray
    right_share: np.ndarray

    @classmethod
    def of(cls, group: Group) -> "_Together":
        parts = [(mean.argmax(1), mean.max(1)) for mean in mean_probabilities([run.logits for run in group])]
        prediction, confidence = (np.concatenate(part) for part in zip(*parts, strict=True))
        return cls(prediction, confidence, np.mean([run.correct() for run in group], axis=0))

    def said(self, index: int) -> Answer:
        return Answer(int(self.prediction[index]), float(self.confidence[index]))


def _most(chosen: np.ndarray, by: np.ndarray) -> list[int]:
    places = np.flatnonzero(chosen)
    return places[np.argsort(-by[places], kind="stable")][:MOST_SHOWN].tolist()


def _agreement(name_a: str, name_b: str, a: Group, b: Group) -> PairAgreement:
    same_seeds = [(x, y) for x in a for y in b]
    predictions = [float(np.mean(x.answers.prediction == y.answers.prediction)) for x, y in same_seeds]
    first, second = a[0].correct(), b[0].correct()
    return PairAgreement(
        a=name_a,
        b=name_b,
        same_prediction=float(np.mean(predictions)),
        kappa=float(np.mean([kappa(x.correct(), y.correct()) for x, y in same_seeds])),
        first_seeds=FirstSeeds(a[0].seed, b[0].seed, int((first > second).sum()), int((second > first).sum())),
    )
