"""How a model's accuracy holds under corruptions, occlusion, shifts and loss of resolution, on the same changed images.

All of them start from images of the model's size, uint8 [N, height, width, 3], as evaluation gives them.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from ..randomness import derive_seed
from ..report.run_files import ChangedImages, CorruptionAnswers
from .corruptions import CORRUPTIONS, SEVERITIES, corrupted

Predict = Callable[[np.ndarray], np.ndarray]  # uint8 images -> class numbers [N]
OCCLUDED = (0.1, 0.25, 0.5, 0.75, 0.9)  # shares of the patches
CELLS = 8  # patches a side
SHIFTS = (1 / 32, 1 / 16, 1 / 8, 3 / 16, 1 / 4)  # of the side
RESOLUTIONS = (0.75, 0.5, 0.375, 0.25)  # of the side


def measure(predict: Predict, images: np.ndarray, labels: np.ndarray, ids: Sequence[str]) -> ChangedImages:
    """Return accuracies on changed images by name and strength, and how many predictions a shift leaves the same.

    `right` tells of each image whether it is known unchanged, and `right_corrupted` in how many of its corruptions.
    """
    names = list(ids)
    clean, side = predict(images), min(images.shape[1:3])
    right = lambda changed: float(np.mean(predict(changed) == labels))  # noqa: E731
    rows: list[CorruptionAnswers] = []
    known = np.zeros(len(images), dtype=int)
    for name, (kind, _) in CORRUPTIONS.items():
        answers = np.stack([predict(corrupted(images, names, name, severity)) == labels for severity in SEVERITIES])
        rows.append({"name": name, "kind": kind, "top1": answers.mean(1).tolist()})
        known += answers.sum(0)
    return {
        "images": len(images),
        "clean": float(np.mean(clean == labels)),
        "right": (clean == labels).astype(int).tolist(),
        "right_corrupted": known.tolist(),
        "corruptions": rows,
        "occlusion": [{"occluded": share, "top1": right(occluded(images, names, share))} for share in OCCLUDED],
        "shift": [
            {"shift": pixels / side, "same": float(np.mean(predict(shifted(images, pixels)) == clean))}
            for pixels in sorted({max(1, round(part * side)) for part in SHIFTS})
        ],
        "resolution": [{"resolution": part, "top1": right(coarser(images, part))} for part in RESOLUTIONS],
    }


def occluded(images: np.ndarray, ids: Sequence[str], share: float) -> np.ndarray:
    """Put the mean colour over a share of patches, drawn for every image (Naseer et al. 2021, arXiv:2105.10497)."""
    colour = images.reshape(-1, 3).mean(0).round().astype(np.uint8)
    height, width = images.shape[1:3]
    rows, columns = (np.arange(side) * CELLS // side for side in (height, width))
    results = images.copy()
    for image, identity in zip(results, ids, strict=True):
        order = np.random.default_rng(derive_seed("occlusion", identity)).permutation(CELLS**2)
        covered = np.zeros(CELLS**2, dtype=bool)
        covered[order[: round(share * CELLS**2)]] = True  # a larger share covers what a smaller one does, and more
        image[covered.reshape(CELLS, CELLS)[np.ix_(rows, columns)]] = colour
    return results


def shifted(images: np.ndarray, pixels: int) -> np.ndarray:
    """Move images right and down, and mirror what lies beyond the edge."""
    padded = np.pad(images, ((0, 0), (pixels, 0), (pixels, 0), (0, 0)), mode="reflect")
    return padded[:, : images.shape[1], : images.shape[2]]


def coarser(images: np.ndarray, part: float) -> np.ndarray:
    """Bring images to a part of their side, and back."""
    height, width = images.shape[1:3]
    few = (max(1, round(part * width)), max(1, round(part * height)))
    smaller = (cv2.resize(image, few, interpolation=cv2.INTER_AREA) for image in images)
    return np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC) for image in smaller])
