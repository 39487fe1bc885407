"""Files that a folder of images may hold, good and bad, and what must become of each."""

import gzip
import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = (48, 36)  # width, height


@dataclass(frozen=True)
class Case:
    """A file: how it is made, and the size of its image, or the words of its refusal."""

    kind: str
    name: str
    make: Callable[[Path], object]
    expected: tuple[int, int] | str


def encoded(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def cases(photograph: Image.Image) -> Iterator[Case]:
    photo = photograph.convert("RGB").resize(SIDE)
    yield from whole(photo)
    yield from odd_names(photo)
    yield from cut_short(photo)
    yield from too_large()
    yield from no_images(photo)
    yield from no_files()


def file(kind: str, name: str, content: bytes, expected: tuple[int, int] | str) -> Case:
    return Case(kind, name, lambda path: path.write_bytes(content), expected)


def whole(photo: Image.Image) -> Iterator[Case]:
    """Yield images that must be decoded, however unusual."""
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        size = SIDE if orientation < 5 else SIDE[::-1]
        yield file("orientation", f"exif-{orientation}.jpg", encoded(photo, "JPEG", exif=exif), size)
    cmyk = encoded(photo.convert("CMYK"), "JPEG")
    yield file("ink", "cmyk.jpg", cmyk, SIDE)
    adobe = cmyk.index(b"Adobe") + 11
    yield file("ink", "ycck.jpg", cmyk[:adobe] + b"\2" + cmyk[adobe + 1 :], SIDE)
    yield file("grey", "grey.jpg", encoded(photo.convert("L"), "JPEG"), SIDE)
    yield file("grey", "grey-alpha.png", encoded(photo.convert("LA"), "PNG"), SIDE)
    yield file("depth", "one-bit.png", encoded(photo.convert("1"), "PNG"), SIDE)
    deep = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    yield file("depth", "sixteen-bit.png", encoded(deep, "PNG"), SIDE)
    yield file("palette", "palette.png", encoded(photo.convert("P"), "PNG"), SIDE)
    yield file("palette", "palette-alpha.png", encoded(photo.quantize(9), "PNG", transparency=bytes(range(9))), SIDE)
    yield file("alpha", "alpha.png", encoded(photo.convert("RGBA"), "PNG"), SIDE)
    yield file("alpha", "alpha.webp", encoded(photo.convert("RGBA"), "WEBP"), SIDE)
    frames = [photo, photo.transpose(Image.Transpose.ROTATE_180)]
    for form in ("GIF", "WEBP", "PNG"):
        moving = encoded(frames[0], form, save_all=True, append_images=frames[1:])
        yield file("animation", f"moving.{form.lower()}", moving, SIDE)
    yield file("progressive", "progressive.jpg", encoded(photo, "JPEG", progressive=True), SIDE)
    yield file("lossless", "lossless.webp", encoded(photo, "WEBP", lossless=True), SIDE)
    yield file("bitmap", "photo.bmp", encoded(photo, "BMP"), SIDE)
    yield file("bitmap", "palette.bmp", encoded(photo.convert("P"), "BMP"), SIDE)
    for form in ("TIFF", "PPM", "JPEG2000", "AVIF", "MPO"):
        yield file("format", f"{form.lower()}.jpg", encoded(photo, form), SIDE)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield file("format", f"{compression}.tif", encoded(photo, "TIFF", compression=compression), SIDE)
    for size in ((1, 1), (1, 3000), (3000, 1)):
        yield file("thin", f"{size[0]}x{size[1]}.png", encoded(photo.resize(size), "PNG"), size)
    yield file("metadata", "broken-profile.jpg", encoded(photo, "JPEG", icc_profile=b"no profile"), SIDE)
    yield file("metadata", "broken-exif.jpg", encoded(photo, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), SIDE)
    yield file("metadata", "comment.jpg", encoded(photo, "JPEG", comment=b"\xff" * 60_000), SIDE)
    yield file("trailing", "more-behind.jpg", encoded(photo, "JPEG") + b"PK\3\4" * 1000, SIDE)
    yield file("trailing", "more-behind.png", encoded(photo, "PNG") + bytes(1000), SIDE)


def odd_names(photo: Image.Image) -> Iterator[Case]:
    content = encoded(photo, "PNG")
    for name in ("Katze äöü.png", "猫 犬.png", "قطة.png", "two\nlines.png", "a b 'c' \"d\".PNG", "-out.png", "🐈.png"):
        yield file("name", name, content, SIDE)
    yield file("name", "n" * 240 + ".png", content, SIDE)
    yield file("wrong ending", "a-png-called.jpg", content, SIDE)
    yield file("wrong ending", "a-webp-called.png", encoded(photo, "WEBP"), SIDE)


def cut_short(photo: Image.Image) -> Iterator[Case]:
    for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF"):
        content = encoded(photo, form)
        for percent in (0.5, 5, 20, 50, 80, 90):
            some = content[: int(len(content) * percent / 100)]
            yield file("cut short", f"{percent}-percent.{form.lower()}", some, "")
    progressive = encoded(photo, "JPEG", progressive=True)
    yield file("cut short", "half-progressive.jpg", progressive[: len(progressive) // 2], "damaged")
    for name in ("empty.jpg", "empty.png"):
        yield file("empty", name, b"", "an empty file")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(width: int, height: int, *more: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + b"".join(more)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


def too_large() -> Iterator[Case]:
    """Yield files that would fill the memory."""
    for width, height in ((60_000, 60_000), (2**31 - 1, 2**31 - 1), (100_000, 1_000)):
        yield file("bomb", f"{width}x{height}.png", png_of(width, height), "")
    small = encoded(Image.new("RGB", (16, 16)), "JPEG")
    size = small.index(b"\xff\xc0") + 5
    claims = small[:size] + struct.pack(">HH", 65_500, 65_500) + small[size + 4 :]
    yield file("bomb", "claims-65500.jpg", claims, "bomb")
    tiff = encoded(Image.new("RGB", (4, 4)), "TIFF", compression="tiff_lzw")
    for tag in (256, 257):  # width and height
        place = tiff.index(struct.pack("<HHI", tag, 3, 1))
        claims = tiff[:place] + struct.pack("<HHII", tag, 4, 1, 2**31 - 1) + tiff[place + 12 :]
        yield file("bomb", f"claims-{tag}.tif", claims, "bomb")
    yield file("bomb", "claims.ppm", b"P6 99999 99999 255\n", "bomb")
    gif = encoded(Image.new("P", (4, 4)), "GIF")
    yield file("bomb", "claims-65535.gif", gif[:6] + struct.pack("<HH", 65_535, 65_535) + gif[10:], "bomb")
    yield file("bomb", "white.png", encoded(Image.new("1", (10_000, 10_000)), "PNG"), "bomb")
    text = chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(200_000_000), 9))
    yield file("bomb", "long-text.png", png_of(4, 4, text), "")


def no_images(photo: Image.Image) -> Iterator[Case]:
    """Yield what only its name calls an image, formats that are not allowed, and damaged ones."""
    unknown = "not an image of a known format"
    contents = {
        "text.jpg": b"a text",
        "page.png": b"<!DOCTYPE html><html></html>",
        "drawing.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "paper.jpg": b"%PDF-1.7\n",
        "script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "photoshop.jpg": b"8BPS\0\1" + bytes(40),
        "squeezed.jpg": gzip.compress(encoded(photo, "JPEG")),
        "zeros.png": bytes(5000),
        "start.jpg": b"\xff\xd8\xff",
        "thumbs.jpg": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
        "resource.jpg": b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(80),
        "pointer.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n",
        "missing.jpg": b"404: Not Found",
    }
    for name, content in contents.items():
        yield file("no image", name, content, unknown if name != "start.jpg" else "")
    for form in ("ICO", "TGA", "PCX", "SGI", "DDS"):
        yield file("format not allowed", f"{form.lower()}.png", encoded(photo, form), unknown)
    png, jpeg = encoded(photo, "PNG"), encoded(photo, "JPEG")
    middle = len(png) // 2
    yield file("damaged", "bits.png", png[:middle] + bytes([png[middle] ^ 255]) + png[middle + 1 :], "")
    yield file("damaged", "no-tables.jpg", jpeg[:2] + jpeg[jpeg.index(b"\xff\xc0") :], "")
    yield file("damaged", "header-checksum.png", png[:29] + b"\0\0\0\0" + png[33:], "")
    yield file("damaged", "no-pixels.png", png[:33] + chunk(b"IEND", b""), "")
    yield file("damaged", "zero-wide.png", png_of(0, 5), "")


def no_files() -> Iterator[Case]:
    yield Case("folder", "folder.jpg", lambda path: path.mkdir(), "a folder, not an image")
    yield Case("link", "loop.png", lambda path: path.symlink_to(path.name), "a link that leads nowhere")
    yield Case("link", "nowhere.png", lambda path: path.symlink_to("not-there.png"), "a link that leads nowhere")
    yield Case("pipe", "pipe.png", os.mkfifo, "neither a file nor a folder")
    yield Case("name", "x" * 300 + ".png", lambda path: None, "File name too long")
    yield Case("absent", "absent.png", lambda path: None, "no such file")
