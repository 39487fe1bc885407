"""Which images are alike: copies, copies encoded again or scaled, and none of the others."""

import io
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit.audit import fingerprints
from vit.audit.fingerprints import Fingerprints, candidates, joined, look_at, nearly_same, of_images, same
from vit.data.decoding.reading import read_image
from vit.data.sources.datasets import Images
from vit.data.sources.stores import Files, Pixels


def looks_of(images: list[Image.Image]) -> Fingerprints:
    arrays = [np.asarray(image.convert("RGB")) for image in images]
    labels = np.zeros(1, dtype=int)
    return joined([look_at(Images((str(i),), labels, Pixels(array[None]))) for i, array in enumerate(arrays)])


def again(image: Image.Image, form: str, **options) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return Image.open(buffer).convert("RGB")


@pytest.fixture(scope="module")
def photos(photographs: list[Path]) -> list[Image.Image]:
    return [read_image(path).resize((160, 120)) for path in photographs[:60]]


def test_copies_are_the_same_whatever_their_file_and_others_are_not(photos: list[Image.Image]) -> None:
    looks = looks_of([*photos, again(photos[4], "PNG"), again(photos[9], "WEBP", lossless=True), photos[4]])
    assert sorted(same(looks)) == [[4, 60, 62], [9, 61]]
    assert nearly_same(looks) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda image: again(image, "JPEG", quality=50),
        lambda image: again(image, "WEBP", quality=60),
        lambda image: image.resize((120, 90)),
        lambda image: Image.fromarray((np.asarray(image) * 0.97).astype(np.uint8)),
    ],
    ids=["jpeg", "webp", "smaller", "darker"],
)
def test_images_that_were_changed_a_little_are_nearly_the_same(photos: list[Image.Image], change) -> None:
    looks = looks_of([*photos, *map(change, photos)])
    expected, found = {(i, i + 60) for i in range(60)}, set(nearly_same(looks))
    assert found <= expected and len(found) >= 59


def test_pairs_that_are_three_bits_apart_are_always_candidates() -> None:
    draw = np.random.default_rng(0)
    signs = draw.random((300, 64)) < 0.5
    for i in range(150, 300):
        signs[i] = signs[i - 150]
        signs[i, draw.permutation(64)[:3]] ^= True
    found = set(zip(*(places.tolist() for places in candidates(signs)), strict=True))
    assert {(i, i + 150) for i in range(150)} <= found
    assert all(a < b for a, b in found) and len(found) < len(list(combinations(range(300), 2))) / 20


def test_a_band_that_says_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "MOST_IN_A_BAND", 10)
    first, second = candidates(np.zeros((11, 64), dtype=bool))
    assert len(first) == len(second) == 0


def test_broken_files_are_passed_over_and_processes_change_nothing(
    photo_folder: Path, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    names = sorted(path.relative_to(photo_folder).as_posix() for path in photo_folder.glob("*/*"))
    (photo_folder / names[3]).write_bytes(b"")
    images = Images(tuple(names), np.zeros(len(names), dtype=int), Files(photo_folder, tuple(names)))
    alone = of_images(images)
    monkeypatch.setattr(fingerprints, "AT_ONCE", 5)
    monkeypatch.setattr("vit.progress.LINE_EVERY_SECONDS", 0)
    several = of_images(images)
    assert [i for i, reason in enumerate(alone.reasons) if reason] == [3] and alone.reasons[3] == "an empty file"
    assert told[-1].startswith("24 of 24 images looked at; 0:00 left")
    assert alone.reasons == several.reasons
    for name in ("sizes", "digests", "signs", "colours"):
        assert np.array_equal(getattr(alone, name), getattr(several, name)), name
