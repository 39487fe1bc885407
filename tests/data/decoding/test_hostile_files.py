"""Good, odd and hostile files: each has its outcome, in bounded time and memory; and two thousand more by chance."""

import io
import multiprocessing
import resource
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from data.decoding.hostile import Case, cases, encoded
from PIL import Image

from vit.data.decoding.reading import FORMATS, own_warnings, read_image
from vit.errors import UserError

SECONDS = 20  # for one file: enough on the slowest machine, and less than a hang
MEMORY = 2**30  # bytes beside what the process has when it begins
FUZZED = 2000

Outcome = tuple[str, object]  # "image" and its size, "refused" and why, or "fault" and what was raised


def outcome(path: Path) -> Outcome:
    """Return what becomes of a file; a warning that leaves the reader is a fault."""
    try:
        image = read_image(path)
        assert image.mode == "RGB" and np.asarray(image).shape == (*image.size[::-1], 3)
        return "image", image.size
    except UserError as error:
        return "refused", str(error)
    except BaseException as error:
        return "fault", repr(error)


def answer(paths: Sequence[Path], answers: Connection) -> None:
    warnings.simplefilter("error")
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))
    for path in paths:
        answers.send(outcome(path))


@pytest.fixture(scope="module")
def outcomes() -> Callable[[Sequence[Path]], Iterator[Outcome]]:
    """Return the function from files to what becomes of each, in a process that may not take long or much."""

    def of(paths: Sequence[Path]) -> Iterator[Outcome]:
        context = multiprocessing.get_context("forkserver")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=answer, args=(paths, theirs))
        process.start()
        theirs.close()
        for path in paths:
            assert ours.poll(SECONDS + 40 * (path == paths[0])), f"{path} takes more than {SECONDS} s"
            yield ours.recv()
        process.join()

    return of


@pytest.fixture(scope="module")
def corpus(photographs: list[Path]) -> list[Case]:
    return list(cases(Image.open(photographs[7])))


def test_every_file_has_its_outcome(corpus: list[Case], outcomes: Callable, tmp_path: Path) -> None:
    assert len(corpus) >= 100 and len({case.kind for case in corpus}) >= 20
    paths = [tmp_path / case.name for case in corpus]
    for case, path in zip(corpus, paths, strict=True):
        case.make(path)
    wrong = []
    for case, path, (kind, what) in zip(corpus, paths, outcomes(paths), strict=True):
        if isinstance(case.expected, str):
            right = kind == "refused" and str(what).startswith(f"{path}: ") and case.expected in str(what)
        else:
            right = (kind, what) == ("image", case.expected)
        if not right:
            wrong.append((case.kind, case.name, kind, what))
    assert wrong == []


def mutated(content: bytes, draw: np.random.Generator) -> bytes:
    """Flip bits, cut the end off, or write over the header."""
    changed = bytearray(content)
    kind = draw.integers(3)
    if kind == 0:
        for place in draw.integers(0, len(changed), draw.integers(1, 20)):
            changed[place] ^= 1 << draw.integers(8)
    elif kind == 1:
        del changed[draw.integers(len(changed)) :]
    else:
        for place in draw.integers(0, min(64, len(changed)), draw.integers(1, 5)):
            changed[place] = draw.integers(256)
    return bytes(changed)


def said_size(content: bytes) -> set[tuple[int, int]]:
    """Return the size in the header, and the size when the image is turned."""
    with own_warnings(), Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return {image.size, image.size[::-1]}


def test_two_thousand_damaged_files_crash_nothing(photographs: list[Path], outcomes: Callable, tmp_path: Path) -> None:
    photo = Image.open(photographs[7]).convert("RGB").resize((64, 48))
    kinds = [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("WEBP", {}), ("WEBP", {"lossless": True})]
    contents = [encoded(photo, form, **options) for form, options in kinds]
    contents += [encoded(photo, form) for form in ("TIFF", "PPM", "JPEG2000", "AVIF")]
    contents += [encoded(photo, "TIFF", compression=how) for how in ("tiff_lzw", "jpeg", "tiff_adobe_deflate")]
    contents += [encoded(photo.quantize(30), "PNG", transparency=3), encoded(photo, "GIF"), encoded(photo, "BMP")]
    draw = np.random.default_rng(2026)
    damaged = [mutated(contents[i % len(contents)], draw) for i in range(FUZZED)]
    paths = [tmp_path / f"{i}.png" for i in range(FUZZED)]
    for path, content in zip(paths, damaged, strict=True):
        path.write_bytes(content)
    seen: Counter[str] = Counter()
    for path, content, (kind, what) in zip(paths, damaged, outcomes(paths), strict=True):
        seen[kind] += 1
        assert kind != "fault", (path, what)
        if kind == "image":
            assert what in said_size(content), path
    assert seen["image"] > FUZZED / 10 and seen["refused"] > FUZZED / 3
