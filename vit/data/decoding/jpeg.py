"""JPEG files: the part of an image that a crop needs, decoded no larger than it is used.

Rows below the crop are left out: the header is given the height at which they begin, and the decoder stops there. Where
the crop is at least twice its later size, it is decoded at a half, a quarter or an eighth (in the DCT, ITU T.81).
"""

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels

SCALES = (8, 4, 2)  # by which the decoder divides at little cost
START_OF_FRAME = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, in Huffman's code
PROGRESSIVE = 0xC2
LONGEST_SIDE = 65_500  # of libjpeg; the format has room for a few more
ALL_FREQUENCIES = b"\x00\x3f\x00"  # from 0 to 63 and at once, at the end of a scan's header
START_OF_SCAN, END_OF_IMAGE, METADATA = 0xDA, b"\xff\xd9", 0xE1
ENDS_A_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # a marker other than a restart
BETWEEN_SCANS = {0xC4, 0xDB, 0xDD, 0xFE, START_OF_SCAN, *range(0xE0, 0xF0)}  # tables, comments, and the next one
XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=\"|>)([0-9])")
ORIENTATION = 0x0112  # the EXIF tag; its values 2 to 8 say how the camera was held
MIRRORED = {  # orientation -> whether the stored image lies on its side, and is mirrored along its x and y axes
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


@dataclass(frozen=True)
class Jpeg:
    """A JPEG file of 8 bits and one or three channels, whole, and how it is stored."""

    data: bytes
    stored_size: tuple[int, int]  # width, height
    height_at: int  # place of the height's two bytes in `data`
    orientation: int
    in_one_scan: bool  # from the first row to the last, not finer from scan to scan

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height of the upright image."""
        width, height = self.stored_size
        return (height, width) if MIRRORED[self.orientation][0] else (width, height)

    def region(self, box: Box, size: tuple[int, int]) -> np.ndarray:
        """Return a box of the upright image, RGB [height, width, 3], at the smallest scale that is still `size`.

        At a smaller scale the box is rounded to its pixels. Raises ValueError for data that cannot be decoded.
        """
        lies, mirrored_x, mirrored_y = MIRRORED[self.orientation]
        left, top, right, bottom = stored_box(box, self.stored_size, self.orientation)
        height, width = size[::-1] if lies else size
        scale = next((s for s in SCALES if (right - left) // s >= width and (bottom - top) // s >= height), 1)
        pixels = self._decode(bottom + 2 * scale, scale)  # with the rows that the last one's colours are mixed from
        stored = pixels[round(top / scale) : round(bottom / scale), round(left / scale) : round(right / scale)]
        turned = stored[:: -1 if mirrored_y else 1, :: -1 if mirrored_x else 1]
        return turned.swapaxes(0, 1) if lies else turned

    def _decode(self, rows: int, scale: int) -> np.ndarray:
        width, height = self.stored_size
        data = self.data
        if rows < height and self.in_one_scan:
            height, data = rows, bytearray(self.data)
            data[self.height_at : self.height_at + 2] = height.to_bytes(2, "big")
        # One scan is decoded as forgivingly as by Pillow: the rows that are left out are data too many. Of several, an
        # error between them would pass for a warning about the one before.
        strict = not self.in_one_scan
        return simplejpeg.decode_jpeg(
            data, min_width=-(-width // scale), min_height=-(-height // scale), min_factor=1, strict=strict
        )


def parse(data: bytes) -> Jpeg | None:
    """Return a JPEG file's data and how it is stored, or None for what is left to Pillow: the odd and the broken."""
    size, height_at, frame, orientations = (0, 0), 0, 0, {}
    for marker, start, end in segments(data):
        if marker in START_OF_FRAME:
            bits, height, width, channels = data[start], *(_number(data, start + i) for i in (1, 3)), data[start + 5]
            if bits != 8 or channels not in (1, 3) or not 0 < height <= LONGEST_SIDE or not 0 < width <= LONGEST_SIDE:
                return None
            size, height_at, frame = (width, height), start + 1, marker
        elif marker == METADATA:
            orientations |= _orientation(data[start:end])
        elif marker == START_OF_SCAN:
            scans = _scans(data, end) if height_at else 0
            in_one_scan = scans == 1 and frame != PROGRESSIVE and data[end - 3 : end] == ALL_FREQUENCIES
            orientation = orientations.get("EXIF", orientations.get("XMP", 1))
            return (
                Jpeg(data, size, height_at, orientation, in_one_scan)
                if scans and not is_huge(*size) and orientation in MIRRORED
                else None
            )
    return None


def is_huge(width: int, height: int) -> bool:
    """Return whether an image has so many pixels that Pillow warns of it; it refuses twice as many itself."""
    return width * height > (Image.MAX_IMAGE_PIXELS or math.inf)


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield every marker with the beginning and the end of its segment, up to the first scan's."""
    place = 2 if data[:2] == b"\xff\xd8" else len(data)
    while place + 4 <= len(data) and data[place] == 0xFF:
        if data[place + 1] == 0xFF:  # filling
            place += 1
            continue
        end = place + 2 + _number(data, place + 2)
        if not place + 4 <= end <= len(data):
            return
        yield data[place + 1], place + 4, end
        place = end


def _scans(data: bytes, place: int) -> int:
    """Return how many scans follow up to the image's end, from inside of the first; 0 where something else follows.

    A decoder of the whole meets that behind the last row, and refuses the file; one of a part would not.
    """
    scans = 1
    while (found := ENDS_A_SCAN.search(data, place)) is not None:
        place = found.start()
        while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] in BETWEEN_SCANS:
            next_scan = data[place + 1] == START_OF_SCAN
            place += 2 + _number(data, place + 2)
            if next_scan:
                scans += 1
                break
        else:
            return scans if data[place : place + 2] == END_OF_IMAGE else 0
    return 0


def stored_box(box: Box, stored_size: tuple[int, int], orientation: int) -> Box:
    """Return where a box of the upright image lies in the stored one."""
    lies, mirrored_x, mirrored_y = MIRRORED[orientation]
    width, height = stored_size
    left, top, right, bottom = (box[i] for i in (1, 0, 3, 2)) if lies else box
    if mirrored_x:
        left, right = width - right, width - left
    if mirrored_y:
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def _number(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 2], "big")


def _orientation(segment: bytes) -> dict[str, Any]:
    """Return the orientation that a segment of metadata gives, if any, by the kind of metadata."""
    if segment.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
        found = XMP_ORIENTATION.search(segment)
        return {"XMP": int(found[1])} if found else {}
    if not segment.startswith(b"Exif\0\0"):
        return {}
    exif = Image.Exif()
    try:
        exif.load(segment)
        return {"EXIF": exif[ORIENTATION]} if ORIENTATION in exif else {}
    except (SyntaxError, OSError, ValueError, TypeError, KeyError, IndexError, struct.error):
        return {"EXIF": None}  # Pillow has its own way with these
