"""What a set of images holds: each decoded once, described by what tells it from the others; and which are alike.

Two images are the same where their pixels are, and nearly the same where both the signs of their low frequencies and
their colours at 8 x 8 agree: a copy that was encoded again, or scaled. The signs are the perceptual hash of Zauner 2010
(Implementation and Benchmarking of Perceptual Image Hash Functions), 64 bits.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from itertools import combinations

import numpy as np
from PIL import Image
from scipy.fft import dctn

from ..data.sources.datasets import Images
from ..errors import UserError
from ..hardware.machine import available_cores
from ..progress import Countdown

SIDE = 32  # of the grey image whose frequencies are looked at
COLOURS = 8  # a side, of the colours compared
BITS = 64
MOST_BITS_APART = 10
MOST_LEVELS_APART = 8.0  # of 255, the mean over the colours; on CIFAR-10 what lies below are copies, as eyes see them
BANDS = 4  # of 16 bits: images that are 3 bits apart agree in one of them, and most that are 10 in one of all shuffles
SHUFFLES = 4
MOST_IN_A_BAND = 500  # images that agree in a band; more say nothing about one another
AT_ONCE = 500

_kept: Images  # of a process that looks at some of them


@dataclass(frozen=True)
class Fingerprints:
    """What was seen of N images: reasons of those that cannot be decoded, sizes, and what tells them apart."""

    reasons: list[str | None]  # [N]
    sizes: np.ndarray  # int [N, 2]: width, height; 0 where not decoded
    digests: np.ndarray  # bytes [N]: of size and pixels
    signs: np.ndarray  # bool [N, BITS]
    colours: np.ndarray  # uint8 [N, COLOURS * COLOURS * 3]

    @property
    def decoded(self) -> np.ndarray:
        return self.sizes[:, 0] > 0


def of_images(images: Images) -> Fingerprints:
    """Decode every image once, in as many processes as there are cores."""
    if len(images) <= AT_ONCE:
        return look_at(images)
    chunks = [np.arange(first, min(first + AT_ONCE, len(images))) for first in range(0, len(images), AT_ONCE)]
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(available_cores(), context, initializer=_keep, initargs=(images,)) as pool:
        return joined(list(told(pool.map(_look_at_kept, chunks), len(images))))


def _keep(images: Images) -> None:
    """Keep the images in this process, so that they are sent to it once."""
    global _kept
    _kept = images


def _look_at_kept(chosen: np.ndarray) -> Fingerprints:
    return look_at(_kept.at(chosen))


def told(prints: Iterator[Fingerprints], total: int) -> Iterator[Fingerprints]:
    countdown = Countdown(total, "{done:,} of {total:,} images looked at; {left} left")
    done = 0
    for some in prints:
        done += len(some.reasons)
        countdown.tell(done)
        yield some


def joined(prints: Sequence[Fingerprints]) -> Fingerprints:
    arrays = ("sizes", "digests", "signs", "colours")
    return Fingerprints(
        [reason for some in prints for reason in some.reasons],
        *(np.concatenate([getattr(some, name) for some in prints]) for name in arrays),
    )


def look_at(images: Images) -> Fingerprints:
    count = len(images)
    reasons: list[str | None] = [None] * count
    sizes, digests = np.zeros((count, 2), dtype=int), np.zeros(count, dtype="S16")
    grey = np.zeros((count, SIDE, SIDE), dtype=np.float32)
    colours = np.zeros((count, COLOURS * COLOURS * 3), dtype=np.uint8)
    for i in range(count):
        try:
            image = images.read(i)
        except UserError as error:
            reasons[i] = images.reason(i, error)
            continue
        sizes[i] = image.size
        digests[i] = blake2b(repr(image.size).encode() + image.tobytes(), digest_size=15).digest() + b"."
        grey[i] = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))
        colours[i] = np.asarray(image.resize((COLOURS, COLOURS), Image.Resampling.BOX)).ravel()
    return Fingerprints(reasons, sizes, digests, signs_of(grey), colours)


def signs_of(grey: np.ndarray) -> np.ndarray:
    """Return which of the 64 lowest frequencies of images [N, SIDE, SIDE], the mean left out, are above the median."""
    frequencies = np.asarray(dctn(grey, axes=(1, 2)))
    low = frequencies[:, :9, :8].reshape(len(grey), -1)[:, 1 : BITS + 1]
    return low > np.median(low, axis=1, keepdims=True)


def same(prints: Fingerprints) -> list[list[int]]:
    """Return the groups of two or more images that have the same pixels."""
    places = np.flatnonzero(prints.decoded)
    order = places[np.argsort(prints.digests[places], kind="stable")]
    starts = np.flatnonzero(np.r_[True, prints.digests[order][1:] != prints.digests[order][:-1]])
    return [group.tolist() for group in np.split(order, starts[1:]) if len(group) > 1]


def nearly_same(prints: Fingerprints) -> list[tuple[int, int]]:
    """Return the pairs of images that are alike and not the same; one of those that are the same stands for all."""
    copies = {i for group in same(prints) for i in group[1:]}
    places = np.array([i for i in np.flatnonzero(prints.decoded) if i not in copies], dtype=int)
    first, second = candidates(prints.signs[places])
    first, second = places[first], places[second]
    bits = (prints.signs[first] != prints.signs[second]).sum(1)
    levels = np.abs(prints.colours[first].astype(np.int16) - prints.colours[second]).mean(1)
    alike = (bits <= MOST_BITS_APART) & (levels <= MOST_LEVELS_APART)
    return list(zip(first[alike].tolist(), second[alike].tolist(), strict=True))


def candidates(signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs that agree in one band of one shuffle of their bits, in order, the smaller place first."""
    pairs: set[tuple[int, int]] = set()
    draw = np.random.default_rng(0)
    for _ in range(SHUFFLES):
        for band in np.split(draw.permutation(BITS), BANDS):
            keys = signs[:, band] @ (1 << np.arange(len(band)))
            order = np.argsort(keys, kind="stable")
            starts = np.flatnonzero(np.r_[True, keys[order][1:] != keys[order][:-1]])
            for group in np.split(order, starts[1:]):
                if 1 < len(group) <= MOST_IN_A_BAND:
                    pairs |= set(combinations(group.tolist(), 2))
    found = np.array(sorted(pairs), dtype=int).reshape(-1, 2)
    return found[:, 0], found[:, 1]
