"""A map becomes colour over the picture that it explains: on the whole file, with what the model did not see greyed."""

import base64
import io

import numpy as np
from PIL import Image

LARGEST, SMALLEST = 512, 128  # pixels of the longer side
FOR, AGAINST = (213, 94, 0), (0, 114, 178)  # Okabe and Ito's vermilion and blue: safe for all eyes
CLIPPED = 99.0  # percentile of a map's absolute values from which on its colour is full
STRONGEST = 0.85  # of a colour, so that the picture stays visible
SEEN, UNSEEN = 0.6, 0.2  # of a picture's contrast that is left below colours, and where the model did not look

Box = tuple[float, float, float, float]


def shown(image: Image.Image, largest: int = LARGEST) -> Image.Image:
    """Return a copy as large as pages show it; of a small image every pixel is a square."""
    longest = max(image.size)
    if longest <= SMALLEST:
        times = round(SMALLEST / longest)
        size, resampling = (image.width * times, image.height * times), Image.Resampling.NEAREST
    else:
        scale = min(1.0, largest / longest)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        resampling = Image.Resampling.LANCZOS
    return image.convert("RGB").resize(size, resampling)


def ground(image: Image.Image, size: tuple[int, int], seen: Box) -> Image.Image:
    """Return a small image in grey for colours to lie on, paler where a model did not look.

    `size` is the file's width and height, `seen` what the model sees of it, in its pixels.
    """
    darkness = 255 - np.asarray(image.convert("L"), dtype=np.float32)
    contrast = np.full(darkness.shape, UNSEEN)
    left, top, right, bottom = _scaled(seen, size, image.size)
    contrast[top:bottom, left:right] = SEEN
    return Image.fromarray((255 - contrast * darkness).round().astype(np.uint8)).convert("RGB")


def layer(values: np.ndarray, size: tuple[int, int], seen: Box, on: tuple[int, int]) -> Image.Image:
    """Return a map's cells [rows, columns] as colours over an image shown on so many pixels.

    Vermilion speaks for the class, blue against it, full at the 99th percentile; of a map without negative values the
    least is without colour.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.min() >= 0:
        values = values - values.min()
    strength = np.clip(values / max(np.percentile(np.abs(values), CLIPPED), 1e-30), -1, 1)
    left, top, right, bottom = _scaled(seen, size, on)
    smooth = Image.fromarray(strength.astype(np.float32)).resize(
        (max(1, right - left), max(1, bottom - top)), Image.Resampling.BILINEAR
    )
    colours = np.zeros((on[1], on[0], 4), dtype=np.uint8)
    inside = np.asarray(smooth)[: on[1] - top, : on[0] - left]
    part = colours[top : top + inside.shape[0], left : left + inside.shape[1]]
    part[..., :3] = np.where(inside[..., None] >= 0, FOR, AGAINST)
    part[..., 3] = (255 * STRONGEST * np.abs(inside)).round()
    return Image.fromarray(colours, "RGBA")


def drawn(copy: Image.Image, size: tuple[int, int], values: np.ndarray, seen: Box) -> Image.Image:
    """Return a map's colours on a copy of the image that it explains, whose file has a width and height."""
    colours = layer(values, size, seen, copy.size)
    return Image.alpha_composite(ground(copy, size, seen).convert("RGBA"), colours).convert("RGB")


def address(image: Image.Image) -> str:
    """Return a picture as a data: address: colours with their transparency, photographs smaller."""
    buffer = io.BytesIO()
    kind = "png" if image.mode == "RGBA" else "jpeg"
    image.save(buffer, kind.upper(), **({"quality": 85} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def scale_in_words(values: np.ndarray) -> str:
    """Return between which values a map lies."""
    return f"from {values.min():.2g} to {values.max():.2g}"


def _scaled(box: Box, size: tuple[int, int], shown: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return a box of the file's pixels in those of a small copy, within it."""
    left, top, right, bottom = (min(max(round(box[i] * shown[i % 2] / size[i % 2]), 0), shown[i % 2]) for i in range(4))
    return left, top, right, bottom
