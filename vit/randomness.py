"""Random numbers as a function of names and counts, never of worker count or arrival order."""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np


def derive_seed(*parts: int | str) -> int:
    """Return a 32-bit seed that depends on every part, in order.

    Every random decision of a run draws from such a seed: `derive_seed(seed, "augment", epoch, sample)`.
    """
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=4).digest(), "big")


def keys_of(names: Iterable[str]) -> np.ndarray:
    """Return a 64-bit key for every name: [N]."""
    hashes = b"".join(blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest() for name in names)
    return np.frombuffer(hashes, dtype=np.uint64)


class Draws:
    """Numbers for many samples at once, those of each a function of its key and of `seed` alone.

    The n-th number of a key is SplitMix64's (Steele et al. 2014, doi:10.1145/2660193.2660195).
    """

    def __init__(self, keys: np.ndarray, seed: int) -> None:
        self._states = _mixed(keys + _mixed(np.array([seed], dtype=np.uint64)))
        self._drawn = 0

    def bits(self, count: int) -> np.ndarray:
        """Return the next `count` whole numbers of 64 bits of every key: [N, count]."""
        steps = np.arange(self._drawn + 1, self._drawn + count + 1, dtype=np.uint64)
        self._drawn += count
        return _mixed(self._states[:, None] + steps * _GOLDEN)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Return a number of every key, from `low` up to `high`: [N]."""
        return low + (high - low) * (self.bits(1)[:, 0] >> np.uint64(11)) * 2.0**-53

    def below(self, ends: int | np.ndarray) -> np.ndarray:
        """Return a whole number of every key, from 0 up to its end, without it: [N]."""
        return (self.uniform() * ends).astype(np.int64)

    def chance(self, probability: float) -> np.ndarray:
        """Return whether an event of some probability comes about, for every key: [N]."""
        return self.uniform() < probability


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(states: np.ndarray) -> np.ndarray:
    states = (states ^ (states >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    states = (states ^ (states >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return states ^ (states >> np.uint64(31))
