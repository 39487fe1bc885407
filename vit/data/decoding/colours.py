"""Pictures of any kind as a viewer shows them: three colours of 8 bits, and white where they are transparent.

Values of more bits keep their eight highest. Those whose black and white nothing fixes are refused, and not stretched:
the same grey in two files would no longer be the same.
"""

import numpy as np
from PIL import Image, ImageFile

KIND_OF_PAGE, BITS, PHOTOMETRIC, EXTRA_SAMPLES, SAMPLE_FORMAT = 254, 258, 262, 338, 339  # tags of TIFF 6.0
SMALL_COPY, WHITE_IS_ZERO, SIGNED = 1, 0, 2
STRAIGHT = {"RGBa": "RGBA", "La": "LA"}  # colours that were multiplied by their alpha
WITH_ALPHA = ("RGBA", "LA", "PA")
KEYS = {  # how a PNG stores its pixels -> what its transparent colour is where Pillow has made 8 bits of them
    "L;2": lambda key: 85 * key,
    "L;4": lambda key: 17 * key,
    "RGB;16B": lambda key: tuple(value >> 8 for value in key),  # and every colour with the same highest bits
}


def loaded_as_rgb(image: ImageFile.ImageFile) -> Image.Image:
    """Load a picture that Pillow has opened, and return it in RGB.

    Raises ValueError for values whose black and white are not known, and what Pillow raises for damaged data.
    """
    stored = image.tile[0].args if image.format == "PNG" and image.tile else None
    image.load()
    key = image.info.get("transparency")
    if key is not None and stored in KEYS:
        image.info["transparency"] = KEYS[stored](key)
    if image.format == "TIFF":
        _refuse_unknown(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _grey(image).convert("RGB")
    straight = image.convert(STRAIGHT.get(image.mode, image.mode))
    if straight.mode in WITH_ALPHA or key is not None:
        rgba = straight.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _refuse_unknown(image: Image.Image) -> None:
    tags = _tags(image)
    if tags.get(KIND_OF_PAGE, 0) & SMALL_COPY:  # as raw photographs begin
        raise ValueError("its first page is a small copy of another; save the picture alone")
    if SIGNED in tags.get(SAMPLE_FORMAT, ()):
        raise ValueError("signed integers, of which it is not known what is black and what is white; save 8 or 16 bits")
    if image.mode == "RGBA" and EXTRA_SAMPLES not in tags:
        raise ValueError("four channels, and it is not said whether the fourth is transparency; save three, or say it")


def _grey(image: Image.Image) -> Image.Image:
    """Return deep grey in 8 bits."""
    values = np.asarray(image)
    if image.mode == "F":
        low, high = values.min(), values.max()
        if not (low >= 0 and high <= 1):  # Adobe's TIFF technical note 3 fixes these; not-a-number is neither
            raise ValueError(
                f"floating-point values from {low:g} to {high:g}; read are those from 0, black, to 1, white: "
                "divide them, or save 8 or 16 bits"
            )
        grey = np.rint(values * np.float32(255)).astype(np.uint8)
    else:
        grey = (values >> (_bits(image) - 8)).astype(np.uint8)
    if _tags(image).get(PHOTOMETRIC) == WHITE_IS_ZERO:
        grey = ~grey
    key = image.info.get("transparency")
    return Image.fromarray(grey if key is None else np.where(values == key, np.uint8(255), grey))


def _bits(image: Image.Image) -> int:
    """Return how many bits an integer grey has; Pillow makes 16 of what other formats than TIFF hold."""
    if image.format != "TIFF":
        return 16
    if image.mode == "I":
        raise ValueError("integers of 32 bits, of which it is not known what is white; save 8 or 16 bits")
    return _tags(image)[BITS][0]


def _tags(image: Image.Image) -> dict:
    return getattr(image, "tag_v2", {})
