"""Image files: which are images, how one is decoded, and which cannot be."""

import errno
import logging
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.Image import Transpose

from ...errors import UserError
from . import jpeg
from .colours import loaded_as_rgb
from .jpeg import ORIENTATION, Box

logging.getLogger("PIL").addHandler(logging.NullHandler())  # it says on stderr what is in the reason, too

# An allow-list: Pillow opens more, some of it dangerous. First what it needs no further import for.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "WEBP", "TIFF", "JPEG2000", "AVIF")
HEIF = find_spec("pillow_heif") is not None
HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
SUFFIXES = (
    frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp", ".avif"})
    | {".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"}
    | (HEIF_SUFFIXES if HEIF else frozenset())
)
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
STARTS = {
    b"\x89PNG": "PNG",
    b"\xff\xd8": "JPEG",
    b"GIF8": "GIF",
    b"\0\0\0\x0cjP": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
}
STARTS |= dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TIFF")
NO_HEIF = "HEIC needs one package more: pip install pillow-heif"
RAW = "a raw photograph; save it as JPEG or TIFF"
OTHER = "not an image format that is read here; save it as PNG or JPEG"
VALUES = "values, not a picture; save it as PNG or JPEG"
NOT_READ = (  # what holds pictures, by its ending, and is not read
    dict.fromkeys(HEIF_SUFFIXES - SUFFIXES, NO_HEIF)
    | dict.fromkeys((".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".dng", ".orf", ".raf"), RAW)
    | dict.fromkeys((".rw2", ".pef", ".srw", ".raw", ".x3f", ".3fr", ".iiq", ".kdc", ".dcr", ".mrw"), RAW)
    | dict.fromkeys((".psd", ".psb", ".xcf", ".kra", ".ai", ".eps", ".svg", ".svgz", ".pdf", ".emf", ".wmf"), OTHER)
    | dict.fromkeys((".ico", ".icns", ".cur", ".tga", ".pcx", ".pam", ".pfm", ".xbm", ".xpm", ".sgi", ".ras"), OTHER)
    | dict.fromkeys((".jxl", ".jxr", ".wdp", ".hdr", ".exr", ".dds", ".ktx", ".qoi", ".flif", ".bpg", ".djvu"), OTHER)
    | dict.fromkeys((".npy", ".npz", ".mat", ".h5", ".hdf5", ".fits", ".dcm", ".nii", ".nrrd", ".mha"), VALUES)
)
LEFT_BY_SYSTEMS = frozenset(  # in lower case
    {"@eadir", "__macosx", "$recycle.bin", "system volume information", "lost+found", "#recycle", "__pycache__"}
    | {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
)
HIDDEN = "hidden, or left behind by a system"
NO_FILE, LEADS_NOWHERE = "neither a file nor a folder", "a link that leads nowhere"
LARGEST_FILE_BYTES = 2**30  # more than any picture of MAX_IMAGE_PIXELS takes

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
    return path.suffix.lower() in SUFFIXES and not is_hidden(path.name)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is there for a system or program, by its name: thumbnails, checkpoints, waste."""
    return name.startswith(".") or name.lower() in LEFT_BY_SYSTEMS


def why_not_read(path: Path) -> str | None:
    """Return why a file is left out of what is read, by its name alone, or None for an image."""
    if is_hidden(path.name):
        return HIDDEN
    suffix = path.suffix.lower()
    return None if suffix in SUFFIXES else NOT_READ.get(suffix, "no image, by its name")


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
    """Return a file's content; raises UserError for what is no file, may not be read, or is larger than an image."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for without end
            raise UserError(f"{path}: {'a folder, not an image' if stat.S_ISDIR(status.st_mode) else NO_FILE}")
        if status.st_size > LARGEST_FILE_BYTES:
            raise UserError(f"{path}: {status.st_size / 1e9:.1f} GB, more than an image takes")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UserError(f"{path}: {LEADS_NOWHERE if path.is_symlink() else 'no such file'}") from error
    except OSError as error:
        reason = LEADS_NOWHERE if error.errno == errno.ELOOP else error.strerror or str(error)
        raise UserError(f"{path}: {reason}") from error
    except (ValueError, MemoryError) as error:  # a name may hold what no system takes
        raise UserError(f"{path}: {str(error) or 'more than the memory holds'}") from error


def decode(data: bytes, name: str, formats: tuple[str, ...] | None = None) -> Image.Image:
    """Decode the bytes of an image file as `decode_file` does; `name` is for the message.

    `formats` are Pillow's names of what is opened, where that is less than all that is read here.
    """
    try:
        with Image.open(BytesIO(data), formats=formats or _formats(data)) as image:
            _refuse_huge(*image.size)
            rgb = loaded_as_rgb(image)
            return _upright(rgb, image.getexif().get(ORIENTATION, 1))  # all else in EXIF may be as odd as it likes
    except Exception as error:  # a decoder may raise anything at bytes that are not what they say
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


def _formats(data: bytes) -> tuple[str, ...]:
    if HEIF and data[4:8] == b"ftyp":
        _register_heif()
        return (*FORMATS, "HEIF")
    return FORMATS


@cache
def _register_heif() -> None:
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False)


def _refuse_huge(width: int, height: int) -> None:
    if jpeg.is_huge(width, height):
        raise Image.DecompressionBombError(
            f"{width} x {height} pixels, a decompression bomb: more than {Image.MAX_IMAGE_PIXELS:,} are not decoded"
        )


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = TURNS.get(orientation)
    return image.transpose(turn) if turn is not None else image


def _reason(data: bytes, error: Exception) -> str:
    if not data:
        return "an empty file"
    if isinstance(error, Image.UnidentifiedImageError):
        return _unidentified(data)
    if any(word in str(error).lower() for word in ("truncated", "broken", "decoder error")):
        return f"a damaged image ({error})"
    return str(error) or type(error).__name__


def _unidentified(data: bytes) -> str:
    in_boxes = data[4:8] == b"ftyp"
    if in_boxes and data[8:12] in HEIF_BRANDS and not HEIF:
        return NO_HEIF
    kind = next((name for start, name in STARTS.items() if data.startswith(start)), "HEIC or AVIF" if in_boxes else "")
    if kind:
        return f"a {kind} file, damaged or of a kind that is not read"
    return f"not an image of a known format ({', '.join(FORMATS)})"
