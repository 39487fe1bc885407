"""Image files: which are images, how one is decoded, and which cannot be."""

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from PIL.Image import Transpose

from ..errors import UserError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"})
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")  # an allow-list: Pillow opens more, some of it dangerous

ORIENTATION = 0x0112  # the EXIF tag; its values 2 to 8 say how the camera was held
TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


def is_image_name(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_image(path: Path) -> Image.Image:
    """Decode a file to an upright RGB image; the first frame of an animated one, alpha laid over white.

    Raises UserError, with the reason, for what cannot be decoded whole.
    """
    with _image_bombs_refused():
        return _decode(path)


def unreadable(paths: Sequence[Path]) -> list[str]:
    """Decode every file and return what was wrong, a line a file."""
    with _image_bombs_refused(), ThreadPoolExecutor() as pool:
        return [line for line in pool.map(_complaint, paths) if line]


@contextmanager
def _image_bombs_refused() -> Iterator[None]:
    """Turn Pillow's warning about huge images into an error; outside of threads, which share the filters."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _decode(path: Path) -> Image.Image:
    try:
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            return _to_rgb(_upright(image))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"{path}: {_reason(path, error)}") from error


def _complaint(path: Path) -> str | None:
    try:
        _decode(path)
    except UserError as error:
        return str(error)
    return None


def _upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF orientation says; the rest of the EXIF block is not read, however odd it is."""
    turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    return image.transpose(turn) if turn is not None else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    if image.mode.startswith("I;16"):  # convert() would clip 16 bits at 255
        image = image.point(lambda value: value / 256).convert("L")
    return image.convert("RGB")


def _reason(path: Path, error: Exception) -> str:
    if not path.exists():
        return "no such file"
    if path.is_dir():
        return "a folder, not an image"
    if path.stat().st_size == 0:
        return "an empty file"
    if isinstance(error, Image.UnidentifiedImageError):
        return f"not an image of a known format ({', '.join(FORMATS)})"
    if "truncated" in str(error) or "broken" in str(error).lower():
        return f"a damaged image ({error})"
    return str(error)
