"""Whether an exported file answers as the model does: on real images, in batches of several sizes, or it gets no name.

Exporters have been wrong without a word: for batches of another size than the one they were shown, for BatchNorms, for
images that are no noise (pytorch issues 169178 and 148886).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..data.preprocessing import normalize
from ..errors import FailedCheck
from ..model import Model
from .real_images import RealImages

BATCHES = (1, 3, 32)
BOUND = 1e-4  # of logits; of larger ones than 10 in proportion: float32 has seven digits
USUAL_LOGIT = 10.0

Answer = Callable[[np.ndarray], np.ndarray]  # uint8 [B, 3, height, width] -> logits [B, num_classes]


@dataclass(frozen=True)
class Agreement:
    """How far a file's logits are from the model's, at most, over some images in batches of several sizes."""

    largest_difference: float
    largest_logit: float
    bound: float
    other_answers: int  # images whose likeliest class is another
    images: RealImages

    @property
    def holds(self) -> bool:
        return self.largest_difference <= self.bound and not self.other_answers

    def in_words(self) -> str:
        return (
            f"logits differ by at most {self.largest_difference:.1e} (allowed {self.bound:.1e}), {self.other_answers} "
            f"of {len(self.images.pixels)} images get another class, in batches of {', '.join(map(str, BATCHES))}; "
            f"checked on {self.images.title}"
        )


def agreement(answer: Answer, model: Model, images: RealImages) -> Agreement:
    """Compare a file's answers with those of the model."""
    ours = model_logits(model, images.pixels)
    largest = float(np.abs(ours).max())
    bound = BOUND * max(1.0, largest / USUAL_LOGIT)
    theirs = [in_batches(answer, images.pixels, size) for size in BATCHES]
    differences = [np.abs(logits - ours) for logits in theirs]
    best = ours.max(1)
    decided = np.sort(ours, 1)[:, -2] < best - 2 * bound if ours.shape[1] > 1 else np.zeros(len(ours), bool)
    others = [(logits.argmax(1) != ours.argmax(1)) & decided for logits in theirs]
    worst = float(np.max([np.nan_to_num(d, nan=np.inf).max() for d in differences]))
    return Agreement(worst, largest, bound, int(np.any(others, axis=0).sum()), images)


def check(answer: Answer, model: Model, images: RealImages, what: str) -> Agreement:
    """Return how well a file agrees with the model; raises FailedCheck, with the numbers, where it does not."""
    found = agreement(answer, model, images)
    if not found.holds:
        raise FailedCheck(f"{what} does not answer as {model.source} does, and was not written: {found.in_words()}")
    return found


def in_batches(answer: Answer, pixels: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([answer(pixels[i : i + size]) for i in range(0, len(pixels), size)])


def model_logits(model: Model, pixels: np.ndarray, size: int = 32) -> np.ndarray:
    """Return the logits of a model of uint8 images [N, 3, height, width]."""
    return in_batches(lambda some: model.logits(normalize(torch.from_numpy(some), model.preprocessing)), pixels, size)
