"""Common corruptions in the manner of ImageNet-C (Hendrycks and Dietterich 2019, arXiv:1903.12261), of any image size.

Own code and own strengths: lengths are parts of the image's side, so that small images suffer as large ones do. Errors
under them compare the models tested here with each other, not with published figures of ImageNet-C.
"""

from collections.abc import Callable

import cv2
import numpy as np

from ..randomness import derive_seed

SEVERITIES = (1, 2, 3, 4, 5)
Corrupt = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def corrupted(images: np.ndarray, ids: list[str], name: str, severity: int) -> np.ndarray:
    """Return uint8 images [N, height, width, 3] under a corruption, each by random numbers of its own id."""
    _, corrupt = CORRUPTIONS[name]
    results = np.empty_like(images)
    for result, image, identity in zip(results, images, ids, strict=True):
        generator = np.random.default_rng(derive_seed(name, severity, identity))
        changed = corrupt(image.astype(np.float32), severity - 1, generator)
        result[:] = np.clip(np.round(changed), 0, 255).astype(np.uint8)
    return results


def gaussian_noise(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """As in dim light."""
    return image + generator.normal(0, 255 * (0.05, 0.09, 0.14, 0.20, 0.28)[level], image.shape)


def shot_noise(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Of few photons, whose number is Poisson's."""
    photons = (80, 35, 15, 8, 4)[level]
    return generator.poisson(image / 255 * photons) * (255 / photons)


def impulse_noise(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Black and white values, as broken bits give."""
    hit = generator.random(image.shape) < (0.02, 0.05, 0.09, 0.15, 0.24)[level]
    return np.where(hit, 255 * generator.integers(0, 2, image.shape), image)


def defocus_blur(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """A disk, as of a lens out of focus."""
    radius = _length(image, (0.010, 0.018, 0.028, 0.040, 0.055)[level])
    reach = int(np.ceil(radius))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1)  # its rim is partly covered
    return _filtered(image, disk)


def motion_blur(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """A line in a random direction."""
    length = _length(image, (0.04, 0.07, 0.11, 0.16, 0.22)[level])
    return _filtered(image, _line(length, generator.uniform(0, np.pi)))


def zoom_blur(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Moving towards the middle while the shutter is open."""
    zooms = np.linspace(1, 1 + (0.06, 0.12, 0.19, 0.27, 0.36)[level], 8)
    return np.mean([_zoomed(image, zoom) for zoom in zooms], axis=0)


def fog(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """White of uneven thickness."""
    thickness = (0.25, 0.38, 0.50, 0.62, 0.74)[level]
    cover = thickness * (0.7 + 0.6 * _clouds(image.shape[:2], generator))[..., None]
    return image * (1 - np.clip(cover, 0, 1)) + 235 * np.clip(cover, 0, 1)


def snow(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    """Flakes blown in one direction over a whitened image."""
    share, length, whitening = ((0.01, 0.03, 0.05), (0.02, 0.04, 0.10), (0.03, 0.05, 0.15), (0.05, 0.06, 0.20),
                                (0.07, 0.08, 0.25))[level]  # fmt: skip
    flakes = (generator.random(image.shape[:2]) < share).astype(np.float32)
    line = _line(_length(image, length), generator.uniform(np.pi / 4, 3 * np.pi / 4))
    streaks = np.clip(cv2.filter2D(flakes, -1, line / line.max(), borderType=cv2.BORDER_REFLECT_101), 0, 1)
    white = image + (255 - image) * whitening
    return white + (255 - white) * streaks[..., None]


def brightness(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    return image + 255 * (0.10, 0.20, 0.30, 0.40, 0.50)[level]


def contrast(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    return image.mean() + (image - image.mean()) * (0.65, 0.48, 0.34, 0.22, 0.12)[level]


def pixelate(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    kept = (0.80, 0.65, 0.50, 0.38, 0.28)[level]
    few = (max(1, round(width * kept)), max(1, round(height * kept)))
    smaller = cv2.resize(image, few, interpolation=cv2.INTER_AREA)
    return cv2.resize(smaller, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)


def jpeg(image: np.ndarray, level: int, generator: np.random.Generator) -> np.ndarray:
    quality = (40, 25, 15, 9, 5)[level]
    pixels = np.ascontiguousarray(image[..., ::-1]).astype(np.uint8)
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.float32)[..., ::-1]


CORRUPTIONS: dict[str, tuple[str, Corrupt]] = {  # by name: their kind, and what they do
    "gaussian_noise": ("noise", gaussian_noise),
    "shot_noise": ("noise", shot_noise),
    "impulse_noise": ("noise", impulse_noise),
    "defocus_blur": ("blur", defocus_blur),
    "motion_blur": ("blur", motion_blur),
    "zoom_blur": ("blur", zoom_blur),
    "fog": ("weather", fog),
    "snow": ("weather", snow),
    "brightness": ("weather", brightness),
    "contrast": ("digital", contrast),
    "pixelate": ("digital", pixelate),
    "jpeg": ("digital", jpeg),
}


def _length(image: np.ndarray, part: float) -> float:
    """Return a part of the shorter side in pixels, a third of a pixel at least."""
    return max(1 / 3, part * min(image.shape[:2]))


def _filtered(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return cv2.filter2D(image, -1, (kernel / kernel.sum()).astype(np.float32), borderType=cv2.BORDER_REFLECT_101)


def _line(length: float, angle: float) -> np.ndarray:
    """Return a kernel with a line of some length through its middle; every pixel by how near it is."""
    reach = int(np.ceil(length / 2)) + 1
    steps = np.linspace(-length / 2, length / 2, 8 * reach + 1)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), dtype=np.float32)
    for x, y in zip(reach + steps * np.cos(angle), reach + steps * np.sin(angle), strict=True):
        left, top = int(x), int(y)
        for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
            if row < len(kernel) and column < len(kernel):
                kernel[row, column] += max(0.0, 1 - abs(x - column)) * max(0.0, 1 - abs(y - row))
    return kernel


def _zoomed(image: np.ndarray, zoom: float) -> np.ndarray:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), 0, zoom)
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)


def _clouds(size: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Return smooth noise [height, width] in [0, 1]: octaves, each twice as fine and half as strong."""
    height, width = size
    total = np.zeros(size, dtype=np.float32)
    for octave in range(5):
        cells = 2 ** (octave + 1)
        coarse = generator.random((min(cells, height), min(cells, width))).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    low, high = total.min(), total.max()
    return (total - low) / max(high - low, 1e-6)
