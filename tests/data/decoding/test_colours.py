"""Every way of storing a picture that people's programs use, against what the format's own text says it shows."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from vit.data.decoding import reading
from vit.errors import UserError

DEEP = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5957  # 0 ... 65527
SHOWN = DEEP >> 8


def shown(data: bytes) -> np.ndarray:
    """Return what is read of a file, whole and in part."""
    with reading.own_warnings():
        whole = np.asarray(reading.decode(data, "file"))
    np.testing.assert_array_equal(
        reading.region(data, "file", lambda width, height: (0, 0, width, height), (9, 9)), whole
    )
    return whole


def encoded(image: Image.Image | np.ndarray, form: str = "TIFF", **options) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, form, **options)
    return buffer.getvalue()


def tiff(
    pixels: np.ndarray, photometric: int = 1, order: str = "<", bits: int = 0, packed: bytes = b"", **more
) -> bytes:
    """Write an uncompressed TIFF 6.0 of one strip; `more` are further tags, t339=2."""
    height, width, *rest = pixels.shape
    samples = rest[0] if rest else 1
    body = packed or pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    depth = bits or 8 * pixels.dtype.itemsize
    tags = {256: width, 257: height, 258: depth, 259: 1, 262: photometric, 273: 8, 277: samples, 278: height}
    tags |= {279: len(body)} | {int(name[1:]): value for name, value in more.items()}
    depths = struct.pack(f"{order}{samples}H", *[depth] * samples)
    body += bytes(len(body) % 2)
    if samples > 2:
        tags[258], body = 8 + len(body), body + depths
    entries = b""
    for tag, value in sorted(tags.items()):
        count = samples if tag == 258 else 1
        if tag == 258 and samples == 2:
            entries += struct.pack(f"{order}HHI", tag, 3, 2) + depths
        elif (tag == 258 and samples > 2) or tag in (273, 279):
            entries += struct.pack(f"{order}HHII", tag, 3 if tag == 258 else 4, count, value)
        else:
            entries += struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0)
    start = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    return start + struct.pack(f"{order}I", 8 + len(body)) + body + directory


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, bits: int, kind: int, row: bytes, key: bytes) -> bytes:
    """Write a PNG of one row and one transparent colour."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, kind, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + chunk(b"tRNS", key)
        + chunk(b"IDAT", zlib.compress(b"\0" + row))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "data",
    {
        "png": encoded(DEEP, "PNG"),
        "tiff": tiff(DEEP),
        "tiff, big-endian": tiff(DEEP, order=">"),
        "tiff, compressed": encoded(DEEP, compression="tiff_lzw"),
        "tiff, white is zero": tiff(~DEEP, photometric=0),
        "jpeg 2000": encoded(DEEP, "JPEG2000"),
        "pgm": b"P5 4 3 65535\n" + DEEP.astype(">u2").tobytes(),
        "pgm as text": b"P2 4 3 65535\n" + " ".join(map(str, DEEP.ravel())).encode(),
    }.items(),
    ids=lambda case: case[0],
)
def test_grey_of_sixteen_bits_keeps_its_eight_highest(data) -> None:
    np.testing.assert_array_equal(shown(data[1]), np.repeat(SHOWN[..., None], 3, -1))


def test_grey_of_twelve_bits_reaches_white() -> None:
    packed = bytes([0xFF, 0xF8, 0x00, 0x00, 0x0F, 0xFF])  # 4095, 2048, 0, 4095
    data = tiff(np.zeros((1, 4), np.uint16), bits=12, packed=packed)
    np.testing.assert_array_equal(shown(data)[0, :, 0], [255, 128, 0, 255])


def test_floating_point_from_black_to_white() -> None:
    values = np.array([[0, 0.25, 0.5, 1]], dtype=np.float32)
    for data in (tiff(values, t339=3), tiff(values, order=">", t339=3), tiff(1 - values, photometric=0, t339=3)):
        np.testing.assert_allclose(shown(data)[0, :, 1], [0, 64, 128, 255], atol=1)
    np.testing.assert_array_equal(shown(b"Pf 4 1 -1.0\n" + values.tobytes())[0, :, 1], [0, 64, 128, 255])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff(np.array([[0, 200.0]], np.float32), t339=3), "floating-point values from 0 to 200"),
        (tiff(np.array([[-0.5, 1.0]], np.float32), t339=3), "floating-point values from -0.5 to 1"),
        (tiff(np.array([[np.nan, 1.0]], np.float32), t339=3), "floating-point values from nan"),
        (tiff(np.array([[-5, 9]], np.int16), t339=2), "signed integers"),
        (tiff(np.array([[-5, 9]], np.int8), t339=2), "signed integers"),
        (tiff(np.array([[-5, 9]], np.int32), t339=2), "signed integers"),
        (tiff(np.array([[5, 9]], np.uint32)), "integers of 32 bits"),
        (tiff(np.zeros((2, 2, 4), np.uint8), photometric=2), "four channels, and it is not said"),
        (tiff(np.zeros((2, 2, 7), np.uint8)), "a TIFF file, damaged or of a kind that is not read"),
        (tiff(np.zeros((2, 2), np.uint8), t254=1), "its first page is a small copy"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_of_unknown_meaning_are_refused_and_not_guessed(data: bytes, reason: str) -> None:
    with reading.own_warnings(), pytest.raises(UserError, match=f"^file: {reason}"):
        reading.decode(data, "file")


@pytest.mark.parametrize(("extra", "expected"), [(0, [200, 100, 0]), (1, [255, 204, 204]), (2, [244, 224, 204])])
def test_a_fourth_channel_is_what_the_tiff_says(extra: int, expected: list[int]) -> None:
    """Something else, alpha that the colours were multiplied by, or alpha."""
    pixels = np.array([[[200, 100, 0, 51]]], dtype=np.uint8)
    if extra == 1:
        pixels[0, 0, :3] = [51, 0, 0]
    np.testing.assert_allclose(shown(tiff(pixels, photometric=2, t338=extra))[0, 0], expected, atol=1)


def test_grey_with_alpha_multiplied_in_or_not() -> None:
    for extra, grey in ((1, 20), (2, 100)):
        data = tiff(np.array([[[grey, 51]]], dtype=np.uint8), t338=extra)
        np.testing.assert_allclose(shown(data)[0, 0], [224] * 3, atol=1)


def test_colours_of_sixteen_bits() -> None:
    pixels = np.array([[[65535, 32768, 255]]], dtype=np.uint16)
    for order in "<>":
        np.testing.assert_array_equal(shown(tiff(pixels, photometric=2, order=order))[0, 0], [255, 128, 0])
    np.testing.assert_array_equal(shown(b"P6 1 1 65535\n" + pixels.astype(">u2").tobytes())[0, 0], [255, 128, 1])


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "group4", "jpeg", "zstd"])
def test_every_compression_of_tiff(compression: str | None) -> None:
    waves = 127 + 120 * np.sin(np.arange(24 * 32).reshape(24, 32) / 40)
    image = Image.fromarray(waves.astype(np.uint8))
    image = image.convert("1") if compression == "group4" else image.convert("RGB")
    difference = np.abs(shown(encoded(image, compression=compression)).astype(int) - np.asarray(image.convert("RGB")))
    assert difference.max() <= (6 if compression == "jpeg" else 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "PA", "LA", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_of_tiff(mode: str) -> None:
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8))
    image = photo.quantize(7).convert("PA") if mode == "PA" else photo.convert(mode)
    np.testing.assert_array_equal(shown(encoded(image)), np.asarray(image.convert("RGB")))


def test_lab_is_turned_into_light() -> None:
    colours = np.array([[[255, 0, 0], [0, 128, 0], [30, 60, 200], [255, 255, 255], [90, 90, 90]]], dtype=np.uint8)
    lab = ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(Image.fromarray(colours), ImageCms.createProfile("sRGB"), lab, outputMode="LAB")
    assert image is not None
    np.testing.assert_allclose(shown(encoded(image)), colours, atol=8)  # of 8-bit Lab


def test_the_first_page_of_several() -> None:
    pages = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue")]
    for form in ("TIFF", "AVIF", "WEBP", "PNG", "MPO"):
        data = encoded(pages[0], form, save_all=True, append_images=pages[1:])
        np.testing.assert_allclose(shown(data), np.broadcast_to([255, 0, 0], (4, 6, 3)), atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("form", "options"), [("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("AVIF", {})])
def test_is_turned_upright(orientation: int, form: str, options: dict) -> None:
    photo = Image.fromarray(np.kron(np.arange(12).reshape(3, 4) * 20, np.ones((16, 16))).astype(np.uint8)).convert(
        "RGB"
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = reading._upright(photo, orientation)
    data = encoded(photo, form, exif=exif, **options)
    np.testing.assert_allclose(shown(data), np.asarray(turned), atol=12 if form == "AVIF" else 0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (png(2, 16, 0, struct.pack(">2H", 0x1234, 0x1235), struct.pack(">H", 0x1234)), [255, 0x12]),
        (png(4, 2, 0, b"\x1b", b"\0\1"), [0, 255, 170, 255]),
        (png(2, 4, 0, b"\x1e", b"\0\1"), [255, 238]),
        (png(8, 1, 0, b"\x0f", b"\0\0"), [255] * 8),
        (png(2, 8, 0, b"\7\x08", b"\0\7"), [255, 8]),
        (png(2, 8, 2, b"\1\2\3\4\5\6", b"\0\1\0\2\0\3"), [255, 4]),
        (
            png(2, 16, 2, struct.pack(">6H", 300, 400, 500, 11308, 400, 500), struct.pack(">3H", 300, 400, 500)),
            [255, 44],
        ),
    ],
    ids=["16 bits", "2 bits", "4 bits", "1 bit", "8 bits", "colours", "colours of 16 bits"],
)
def test_the_transparent_colour_of_a_png_is_laid_over_white(data: bytes, expected: list[int]) -> None:
    np.testing.assert_array_equal(shown(data)[0, :, 0], expected)


@pytest.mark.parametrize("form", ["JPEG2000", "AVIF"])
def test_alpha_is_laid_over_white(form: str) -> None:
    image = Image.new("RGBA", (32, 32), (200, 100, 0, 51))
    np.testing.assert_allclose(shown(encoded(image, form))[9, 9], [244, 224, 204], atol=4)


def test_heic_is_read_with_its_package_and_named_without(monkeypatch: pytest.MonkeyPatch) -> None:
    heif = pytest.importorskip("pillow_heif")
    photo = Image.fromarray(np.kron(np.arange(12).reshape(3, 4) * 20, np.ones((16, 16))).astype(np.uint8)).convert(
        "RGB"
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    heif.from_pillow(photo).save(buffer, exif=exif.tobytes(), quality=95)
    turned = photo.transpose(Image.Transpose.ROTATE_270)
    np.testing.assert_allclose(shown(buffer.getvalue()), np.asarray(turned), atol=14)
    monkeypatch.setattr(reading, "HEIF", False)
    with reading.own_warnings(), pytest.raises(UserError, match=r"pip install pillow-heif"):
        reading.decode(buffer.getvalue(), "file")
