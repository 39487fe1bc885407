"""Random numbers as a function of names and counts, never of worker count or arrival order."""

from hashlib import blake2b


def derive_seed(*parts: int | str) -> int:
    """Return a 32-bit seed that depends on every part, in order.

    Every random decision of a run draws from such a seed: `derive_seed(seed, "augment", epoch, sample)`.
    """
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big")
