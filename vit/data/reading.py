"""Image files: which are images, how one is decoded, and which cannot be."""

import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.Image import Transpose

from ..errors import UserError
from . import jpeg
from .jpeg import ORIENTATION, Box

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
)

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


def why_not_read(path: Path) -> str | None:
    """Return why a file's name is not that of an image that is read here, or None where it is."""
    return None if path.suffix.lower() in SUFFIXES else f"no image that is read here ({path.suffix})"


def read_image(path: Path) -> Image.Image:
    """Decode a file to an upright RGB image; the first frame of an animated one, alpha laid over white.

    Raises UserError, with the reason, for what cannot be decoded whole.
    """
    with own_warnings():
        return decode_file(path)


@contextmanager
def own_warnings() -> Iterator[None]:
    """Leave out warnings: those about metadata nobody reads, and huge images are refused.

    To be used outside of threads, which share the filters.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def silence_pillow() -> None:
    """Leave out Pillow's warnings for good, where threads decode; what it warns of is refused or does not matter."""
    warnings.filterwarnings("ignore", module=r"PIL\.")


def decode_file(path: Path) -> Image.Image:
    """Decode a file as `read_image` does, inside of `own_warnings`."""
    return decode(content_of(path), str(path))


def content_of(path: Path) -> bytes:
    """Return the bytes of a file; raises UserError, with the reason, for what is none or cannot be read."""
    try:
        if not path.is_file():  # a pipe would be waited for without end
            raise UserError(f"{path}: {_no_file(path)}")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error


def decode(data: bytes, name: str) -> Image.Image:
    """Decode the bytes of an image file as `decode_file` does; `name` is for the message."""
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            _refuse_huge(*image.size)
            image.load()
            return _to_rgb(_upright(image))
    except UNDECODABLE as error:
        raise UserError(f"{name}: {_reason(data, error)}") from error


def decode_region(path: Path, choose: Callable[[int, int], Box], size: tuple[int, int]) -> np.ndarray:
    """Decode the box of a file's image that `choose` names for its width and height, as `region` does."""
    return region(content_of(path), str(path), choose, size)


def region(data: bytes, name: str, choose: Callable[[int, int], Box], size: tuple[int, int]) -> np.ndarray:
    """Decode the box that `choose` names for an image's width and height: RGB [h, w, 3].

    Of a JPEG file little more is decoded than the box, and no larger than is needed for height and width `size`.
    Raises UserError, with the reason, for what cannot be decoded.
    """
    try:
        file = jpeg.parse(data)
        if file is not None:
            return file.region(choose(*file.size), size)
    except ValueError:
        pass  # Pillow decides, and has the words
    with own_warnings():
        image = decode(data, name)
    return np.asarray(image.crop(choose(*image.size)))


def _refuse_huge(width: int, height: int) -> None:
    if jpeg.is_huge(width, height):
        raise Image.DecompressionBombError(
            f"{width} x {height} pixels, a decompression bomb: more than {Image.MAX_IMAGE_PIXELS:,} are not decoded"
        )


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


def _reason(data: bytes, error: Exception) -> str:
    if not data:
        return "an empty file"
    if isinstance(error, Image.UnidentifiedImageError):
        return f"not an image of a known format ({', '.join(FORMATS)})"
    if any(word in str(error).lower() for word in ("truncated", "broken")):
        return f"a damaged image ({error})"
    return str(error) or type(error).__name__
