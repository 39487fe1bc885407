"""A part of a JPEG file is decoded alone, and is what a decoder of the whole gives there."""

import io
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit.data.decoding import jpeg, reading
from vit.errors import UserError

FORMS = {
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "4:2:0": {"subsampling": 2},
    "progressive": {"progressive": True, "subsampling": 2},
    "with restarts": {"restart_marker_rows": 1},
    "optimised": {"optimize": True, "quality": 97},
}


def pattern(width: int = 157, height: int = 203, mode: str = "RGB") -> Image.Image:
    """Waves of many lengths in every channel, so that no row is like another."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    waves = [127 + 60 * np.sin(x / (3 + c) + y / 7) + 60 * np.cos(y / (2 + c) - x * x / 900) for c in range(3)]
    return Image.fromarray(np.stack(waves, -1).clip(0, 255).astype(np.uint8)).convert(mode)


def encoded(image: Image.Image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def boxes(size: tuple[int, int], count: int = 60) -> Iterator[jpeg.Box]:
    generator = random.Random(3)
    width, height = size
    yield 0, 0, width, height
    yield 0, height - 1, width, height
    for _ in range(count):
        (left, right), (top, bottom) = (sorted(generator.sample(range(n + 1), 2)) for n in size)
        yield left, top, right, bottom


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_part_is_what_the_whole_shows_there(form: str, mode: str) -> None:
    if mode == "L" and form.startswith("4"):
        pytest.skip("grey has no colours to take fewer of")
    data = encoded(pattern(mode=mode), **FORMS[form])
    whole = np.asarray(reading.decode(data, "pattern"))
    file = jpeg.parse(data)
    assert file is not None and file.size == (157, 203)
    for box in boxes(file.size):
        left, top, right, bottom = box
        np.testing.assert_array_equal(file.region(box, (1000, 1000)), whole[top:bottom, left:right])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_part_of_a_turned_image_is_turned(orientation: int) -> None:
    exif = Image.Exif()
    exif[jpeg.ORIENTATION] = orientation
    data = encoded(pattern(), exif=exif)
    whole = reading.decode(data, "pattern")
    file = jpeg.parse(data)
    assert file is not None and file.size == whole.size and file.orientation == orientation
    for left, top, right, bottom in boxes(file.size):
        expected = np.asarray(whole)[top:bottom, left:right]
        np.testing.assert_array_equal(file.region((left, top, right, bottom), (1000, 1000)), expected)


def test_an_orientation_in_xmp_counts_where_exif_has_none() -> None:
    packet = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta tiff:Orientation="6"/>'
    data = encoded(pattern())
    turned = data[:2] + b"\xff\xe1" + (2 + len(packet)).to_bytes(2, "big") + packet + data[2:]
    whole = reading.decode(turned, "pattern")
    file = jpeg.parse(turned)
    assert file is not None and file.size == whole.size == (203, 157)
    np.testing.assert_array_equal(file.region((3, 5, 99, 77), (1000, 1000)), np.asarray(whole)[5:77, 3:99])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_part_of_a_turned_image_is_turned_when_decoded_smaller(orientation: int) -> None:
    exif = Image.Exif()
    exif[jpeg.ORIENTATION] = orientation
    data = encoded(pattern(20, 25).resize((160, 200)), exif=exif, quality=95)
    whole = reading.decode(data, "pattern")
    box = (16, 24, whole.width - 16, whole.height - 8)
    file = jpeg.parse(data)
    assert file is not None
    half = file.region(box, (60, 60))
    expected = np.asarray(whole.crop(box).reduce(2)).astype(int)
    assert half.shape == expected.shape and np.abs(half - expected).mean() < 2


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_a_large_part_is_decoded_smaller_but_never_too_small(scale: int, photographs: list[Path]) -> None:
    image = reading.read_image(photographs[0]).resize((1600, 1200), Image.Resampling.BICUBIC)
    data = encoded(image, quality=95)
    box = (100, 64, 100 + 160 * scale, 64 + 120 * scale)
    file = jpeg.parse(data)
    assert file is not None
    part = file.region(box, (120, 160))
    assert part.shape == (120, 160, 3)
    expected = np.asarray(image.resize((160, 120), Image.Resampling.BOX, box=box)).astype(int)
    assert np.abs(part - expected).mean() < 3
    assert file.region(box, (121, 160)).shape == (240, 320, 3)
    assert file.region(box, (120, 161)).shape == (240, 320, 3)


def test_photographs_are_decoded_as_by_pillow(photographs: list[Path]) -> None:
    fast = 0
    for path in photographs:
        data = path.read_bytes()
        whole = np.asarray(reading.read_image(path))
        height, width = whole.shape[:2]
        box = (width // 5, height // 7, width // 2, height // 3)
        part = reading.region(data, path.name, lambda width, height, box=box: box, (1000, 1000))
        np.testing.assert_array_equal(part, whole[box[1] : box[3], box[0] : box[2]])
        fast += jpeg.parse(data) is not None
    assert fast >= 0.9 * len(photographs)


def left_to_pillow() -> dict[str, bytes]:
    data = encoded(pattern())
    frame = data.index(b"\xff\xc0")
    exif = Image.Exif()
    exif[jpeg.ORIENTATION] = 9
    thumbnail = encoded(pattern(16, 16))
    carried = b"\xff\xe2" + (2 + len(thumbnail)).to_bytes(2, "big") + thumbnail
    return {
        "empty": b"",
        "no image": b"GIF89a",
        "cut in the scan": data[:-400],
        "cut in the scan, behind a whole thumbnail": data[:2] + carried + data[2:-400],
        "cut in the header": data[: frame + 6],
        "four channels": encoded(pattern().convert("CMYK")),
        "arithmetic code": data[: frame + 1] + b"\xc9" + data[frame + 2 :],
        "12 bits": data[: frame + 4] + b"\x0c" + data[frame + 5 :],
        "no height": data[: frame + 5] + b"\0\0" + data[frame + 7 :],
        "a bomb": data[: frame + 5] + b"\xff\xf0\xff\xf0" + data[frame + 9 :],
        "an orientation that there is not": encoded(pattern(), exif=exif),
        "a segment longer than the file": data[:2] + b"\xff\xe0\xff\xff" + data[20:60],
    }


@pytest.mark.parametrize("case", left_to_pillow())
def test_the_odd_and_the_broken_are_left_to_pillow(case: str) -> None:
    assert jpeg.parse(left_to_pillow()[case]) is None


def test_what_cannot_be_decoded_is_refused_as_a_whole_image_would_be() -> None:
    for name in ("empty", "no image", "cut in the scan", "cut in the header", "a bomb"):
        with reading.own_warnings(), pytest.raises(UserError, match=name):
            reading.region(left_to_pillow()[name], name, lambda width, height: (0, 0, width // 4, height // 4), (8, 8))


def test_damaged_files_give_a_part_or_a_reason(photographs: list[Path]) -> None:
    """Two thousand of them: no crash, no part of another size."""
    generator = random.Random(11)
    small = [encoded(pattern(61 + 7 * i, 47 + 5 * i), **options) for i, options in enumerate(FORMS.values())]
    parts = refused = 0
    for _ in range(2000):
        data = bytearray(generator.choice(small))
        for _ in range(generator.randint(1, 6)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        wanted: list[jpeg.Box] = []

        def choose(width: int, height: int, wanted: list[jpeg.Box] = wanted) -> jpeg.Box:
            wanted.append((width // 3, height // 4, max(width // 3 + 1, width // 2), max(height // 4 + 1, height // 2)))
            return wanted[-1]

        try:
            with reading.own_warnings():
                part = reading.region(bytes(data), "damaged", choose, (1000, 1000))
        except UserError:
            refused += 1
            continue
        left, top, right, bottom = wanted[-1]
        assert part.shape == (bottom - top, right - left, 3)
        parts += 1
    assert parts > 1000 and refused > 20


def damaged(data: bytes, generator: random.Random) -> bytes:
    """Change bytes of the picture or its header, put a marker in, take a piece out, or cut the end off and close it."""
    changed = bytearray(data)
    scan = data.index(b"\xff\xda") + 14
    kind, place = generator.randrange(5), generator.randrange(scan, len(data) - 2)
    if kind == 0:
        changed[place] = generator.randrange(256)
    elif kind == 1:
        changed[generator.randrange(2, scan)] = generator.randrange(256)
    elif kind == 2:
        changed[place : place + 2] = bytes([0xFF, generator.randrange(0xC0, 0x100)])
    elif kind == 3:
        del changed[place : min(len(data) - 2, place + generator.randrange(1, 200))]
    else:
        changed[place:] = b"\xff\xd9"
    return bytes(changed)


@pytest.mark.parametrize("form", FORMS)
def test_of_a_damaged_file_a_part_is_read_where_the_whole_is(form: str) -> None:
    generator = random.Random(17)
    data = encoded(pattern(61, 47), **FORMS[form])
    parts: list[Callable[[int, int], jpeg.Box]] = [
        lambda width, height: (0, 0, width, height),
        lambda width, height: (0, 0, width, max(1, height // 3)),
    ]
    refused = 0
    for number in range(200):
        changed = damaged(data, generator)
        with reading.own_warnings():
            try:
                whole = np.asarray(reading.decode(changed, "damaged"))
            except UserError:
                refused += 1
                for part in parts:
                    with pytest.raises(UserError):
                        reading.region(changed, f"damaged {number}", part, (1000, 1000))
                continue
            for part in parts:
                shown = reading.region(changed, "damaged", part, (1000, 1000))
                assert shown.shape == whole[: shown.shape[0]].shape, number
    assert 10 < refused < 120
