"""Whatever a file holds, it becomes an upright RGB image or a message that names it."""

import os
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit import UserError
from vit.data.decoding.reading import FORMATS, is_image_name, read_image, why_not_read
from vit.data.sources.broken import undecodable
from vit.data.sources.datasets import Images
from vit.data.sources.stores import Files


def unreadable(paths) -> dict:
    """Return the files that cannot be decoded, and why."""
    names = tuple(str(path) for path in paths)
    found = undecodable(Images(names, np.zeros(len(names), dtype=int), Files(Path("/"), names)))
    return {paths[i]: reason for i, reason in found.items()}


STORED = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
UPRIGHT = {  # EXIF 2.32, table 6: where row 0 and column 0 of the stored image are seen
    1: STORED,
    2: STORED[:, ::-1],  # top, right
    3: STORED[::-1, ::-1],  # bottom, right
    4: STORED[::-1],  # bottom, left
    5: STORED.swapaxes(0, 1),  # left, top
    6: np.rot90(STORED, -1),  # right, top
    7: STORED[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: np.rot90(STORED),  # left, bottom
}


def pixels(path: Path) -> np.ndarray:
    image = read_image(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def save(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize(
    "name",
    ["a.jpg", "a.JPG", "a.jpeg", "a.png", "a.webp", "a.bmp", "a.GIF", "a.tif", "a.jfif", "a.pgm", "dir.x/a.b.png"],
)
def test_knows_images_by_their_names(name):
    assert is_image_name(Path(name))


@pytest.mark.parametrize("name", ["a.txt", "jpg", ".jpg", "._a.jpg", "a.jpg.part", "a.svg", "a.pdf"])
def test_knows_what_is_no_image(name):
    assert not is_image_name(Path(name))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.tif", None),
        ("A.AVIF", None),
        ("a.psd", "not an image format that is read here; save it as PNG or JPEG"),
        ("a.NEF", "a raw photograph; save it as JPEG or TIFF"),
        ("a.npy", "values, not a picture; save it as PNG or JPEG"),
        ("a.txt", "no image, by its name"),
        ("._a.png", "hidden, or left behind by a system"),
    ],
)
def test_says_why_a_file_is_left_out(name, reason):
    assert why_not_read(Path(name)) == reason
    assert is_image_name(Path(name)) == (reason is None)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_turns_an_image_upright(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "turned.png", Image.fromarray(STORED), exif=exif)
    np.testing.assert_array_equal(pixels(path), UPRIGHT[orientation])


@pytest.mark.parametrize("form", ["png", "bmp", "webp", "gif", "jpg"])
def test_reads_every_format_whatever_the_name_says(form, tmp_path, photographs):
    image = read_image(photographs[0]).resize((40, 30))
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}.get(form, {})
    path = save(tmp_path / f"photo.{form}", image, **options)
    renamed = path.rename(tmp_path / "photo.png")
    difference = np.abs(pixels(renamed).astype(int) - np.asarray(image))
    assert difference.mean() <= {"gif": 12, "jpg": 1.5}.get(form, 0)  # 256 colours; rounding


def test_reads_every_photograph(photographs):
    assert unreadable(photographs) == {}
    with Image.open(photographs[0]) as image:
        np.testing.assert_array_equal(pixels(photographs[0]), np.asarray(image.convert("RGB")))


def test_lays_alpha_over_white(tmp_path):
    rgba = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], dtype=np.uint8)
    path = save(tmp_path / "alpha.png", Image.fromarray(rgba))
    np.testing.assert_allclose(pixels(path), [[[200, 100, 0], [255, 255, 255], [244, 224, 204]]], atol=1)


def test_lays_the_alpha_of_a_palette_over_white(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putpixel((1, 0), 1)
    path = save(tmp_path / "palette.png", image, transparency=0)
    np.testing.assert_array_equal(pixels(path), [[[255, 255, 255], [200, 100, 0]]])


def test_lays_the_alpha_of_grey_and_of_one_colour_over_white(tmp_path):
    grey = save(tmp_path / "grey.png", Image.fromarray(np.array([[[40, 255], [40, 0]]], dtype=np.uint8), "LA"))
    np.testing.assert_array_equal(pixels(grey)[0, :, 0], [40, 255])
    colour = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8))
    keyed = save(tmp_path / "keyed.png", colour, transparency=(1, 2, 3))
    np.testing.assert_array_equal(pixels(keyed), [[[255, 255, 255], [4, 5, 6]]])


def test_scales_sixteen_bits_to_eight(tmp_path):
    values = np.array([[0, 255, 257, 32_768, 51_400, 65_535]], dtype=np.uint16)
    path = save(tmp_path / "deep.png", Image.fromarray(values))
    np.testing.assert_allclose(pixels(path)[0, :, 1], [0, 1, 1, 128, 200, 255], atol=1)


def test_reads_one_bit_and_eight_bit_grey(tmp_path):
    bits = Image.fromarray(np.array([[True, False]]))
    np.testing.assert_array_equal(pixels(save(tmp_path / "bits.png", bits))[0], [[255] * 3, [0] * 3])
    grey = Image.fromarray(np.array([[7, 99]], dtype=np.uint8))
    np.testing.assert_array_equal(pixels(save(tmp_path / "grey.png", grey))[0], [[7] * 3, [99] * 3])


@pytest.mark.parametrize(
    ("ink", "colour"),
    [
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 255, 0, 0), (255, 0, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((0,) * 4, (255,) * 3),
    ],
    ids=["cyan", "magenta", "black", "paper"],
)
def test_turns_ink_into_light(ink, colour, tmp_path):
    path = save(tmp_path / "print.jpg", Image.new("CMYK", (16, 16), ink), quality=100)
    np.testing.assert_allclose(pixels(path)[8, 8], colour, atol=3)


def test_reads_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue", "lime")]
    path = save(tmp_path / "moving.gif", frames[0], save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(pixels(path), np.broadcast_to([255, 0, 0], (4, 6, 3)))


def bomb(path: Path) -> None:
    Image.new("1", (10_000, 10_000)).save(path)  # 100 million pixels in a few kilobytes


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("empty.png", lambda path: path.write_bytes(b""), "an empty file"),
        ("text.jpg", lambda path: path.write_text("not an image"), "not an image of a known format (JPEG, PNG"),
        ("sgi.png", lambda path: Image.new("RGB", (4, 4)).save(path, "SGI"), "not an image of a known format"),
        ("damaged.png", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "a PNG file, damaged"),
        ("long.png", lambda path: (path.touch(), os.truncate(path, 2**31)), "2.1 GB, more than an image takes"),
        ("folder.png", lambda path: path.mkdir(), "a folder, not an image"),
        ("missing.png", lambda path: None, "no such file"),
        ("bomb.png", bomb, "decompression bomb"),
    ],
)
def test_says_what_is_wrong_with_a_file(name, write, reason, tmp_path):
    path = tmp_path / name
    write(path)
    with pytest.raises(UserError) as error:
        read_image(path)
    assert str(error.value).startswith(f"{path}: ")
    assert reason in str(error.value)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kept", [0.2, 0.6, 0.95])
def test_refuses_half_an_image(form, kept, tmp_path, photographs, encode):
    data = encode(read_image(photographs[5]).resize((90, 70)), form)
    path = tmp_path / "half.jpg"
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(UserError, match=r"half\.jpg: ."):
        read_image(path)


def test_says_that_a_truncated_image_is_damaged(tmp_path, photographs):
    path = tmp_path / "half.jpg"
    path.write_bytes(photographs[0].read_bytes()[:5000])
    with pytest.raises(UserError, match=r"half\.jpg: a damaged image \(.*truncated"):
        read_image(path)


def exif_with(tag: int, kind: int, value: bytes) -> bytes:
    """Return an EXIF block of orientation 6 and one more entry, whose value follows."""
    entries = [
        (0x0112, 3, 1, struct.pack("<HH", 6, 0)),
        (tag, kind, 1 if kind == 5 else len(value), struct.pack("<I", 38)),
    ]
    packed = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in sorted(entries))
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + packed + struct.pack("<I", 0) + value


@pytest.mark.parametrize(
    ("tag", "kind", "value"),
    [(0x010E, 5, struct.pack("<II", 72, 1)), (0x011A, 2, b"seventy-two\0"), (0x0100, 2, b"wide image\0")],
    ids=["a ratio for the description", "text for the resolution", "text for the width"],
)
def test_other_entries_of_wrong_kind_beside_the_orientation_stop_nothing(tag, kind, value, tmp_path):
    path = save(tmp_path / "odd.jpg", Image.new("RGB", (12, 8), "red"), exif=exif_with(tag, kind, value))
    assert unreadable([path]) == {}
    assert read_image(path).size == (8, 12)


def test_lists_the_broken_files_among_many(tmp_path, photographs):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    missing = tmp_path / "missing.jpg"
    found = unreadable([photographs[0], broken, photographs[1], missing])
    assert list(found) == [broken, missing] and found[missing] == "no such file"


def test_leaves_the_warning_filters_of_the_process_as_they_were(photographs):
    before = list(warnings.filters)
    for _ in range(12):  # threads that leave in another order than they came spoil it only now and then
        unreadable(photographs[:30])
        assert warnings.filters == before
