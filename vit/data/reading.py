"""Image files: which are images, how one is decoded, and which cannot be."""

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from PIL.Image import Transpose

from ..errors import UserError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"})
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")  # an allow-list: Pillow opens more, some of it dangerous

UNDECODABLE = (  # what Pillow's decoders raise for files that are not what they say
    OSError,
    SyntaxError,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    struct.error,
    zlib.error,
    OverflowError,
    EOFError,
    MemoryError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)

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
    with _own_warnings():
        return _decode(path)


def unreadable(paths: Sequence[Path]) -> dict[Path, str]:
    """Decode every file and return those that cannot be, each with the reason."""
    with _own_warnings(), ThreadPoolExecutor() as pool:
        return {path: reason for path, reason in zip(paths, pool.map(_complaint, paths), strict=True) if reason}


@contextmanager
def _own_warnings() -> Iterator[None]:
    """Turn Pillow's warning about huge images into an error, and leave out those about metadata, which nobody reads.

    To be used outside of threads, which share the filters.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _decode(path: Path) -> Image.Image:
    try:
        if not path.is_file():  # a pipe would be waited for without end
            raise UserError(f"{path}: {_no_file(path)}")
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            return _to_rgb(_upright(image))
    except UNDECODABLE as error:
        raise UserError(f"{path}: {_reason(path, error)}") from error


def _complaint(path: Path) -> str | None:
    try:
        _decode(path)
    except UserError as error:
        return str(error).removeprefix(f"{path}: ")
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


def _no_file(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return "a link that leads nowhere"
    if path.is_dir():
        return "a folder, not an image"
    return "neither a file nor a folder" if path.exists() else "no such file"


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.strerror}"
    if path.stat().st_size == 0:
        return "an empty file"
    if isinstance(error, Image.UnidentifiedImageError):
        return f"not an image of a known format ({', '.join(FORMATS)})"
    if any(word in str(error).lower() for word in ("truncated", "broken")):
        return f"a damaged image ({error})"
    return str(error) or type(error).__name__
