"""What images are by their content, whatever they are called and wherever they lie."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from ...errors import UserError, listed
from ...files import replace_file
from ...hardware.machine import available_cores
from ...places import cache_folder
from ...progress import Countdown
from .broken import digest, refuse
from .datasets import Dataset, Images

SPLITS = ("train", "validation", "test")
REMEMBERED = 1_000  # encoded images: fewer are read again as soon as looked for
AT_ONCE = 500


@dataclass(frozen=True)
class Contents:
    """The images of a run, by split: their names [N], and the digests of their content, uint64 [N]."""

    ids: Mapping[str, np.ndarray]
    digests: Mapping[str, np.ndarray]

    def has(self, split: str, ids: Sequence[str] | np.ndarray, digests: np.ndarray) -> bool:
        """Return whether a split is of just these images, in their order."""
        return np.array_equal(self.ids[split], ids) and np.array_equal(self.digests[split], digests)

    def changes(self, now: "Contents") -> list[str]:
        """Return a line for each image of these that is another now, or of another split, or gone or new in a split.

        Of train these may be a part.
        """
        lines: list[str] = []
        for split in SPLITS:
            if now.has(split, self.ids[split], self.digests[split]):
                continue  # names by the million are looked up only where something differs
            before, after = self._named(split), now._named(split)
            lines += [f"{name}: gone from {split}" for name in before if name not in after]
            lines += [f"{name}: another image now" for name in before if before[name] != after.get(name, before[name])]
            if split != "train":
                lines += [f"{name}: new in {split}" for name in after if name not in before]
        return lines

    def _named(self, split: str) -> dict[str, int]:
        return dict(zip(self.ids[split].tolist(), self.digests[split].tolist(), strict=True))


def contents_of(dataset: Dataset) -> Contents:
    parts = {name: dataset.split(name) for name in SPLITS}
    return Contents(
        {name: np.array(images.ids, dtype=str) for name, images in parts.items()},
        {name: digests_of(images) for name, images in parts.items()},
    )


def digests_of(images: Images) -> np.ndarray:
    """Return a digest of every image's content, uint64 [N]; remembered until any file changes where there are many.

    Raises UserError that names all images that cannot be read.
    """
    if not images.store.encoded or len(images) < REMEMBERED:
        return read_digests(images)
    memory = cache_folder() / "contents" / f"{digest(images)}.npy"
    with suppress(OSError, ValueError):
        known = np.load(memory, allow_pickle=False)
        if known.shape == (len(images),) and known.dtype == np.uint64:
            return known
    found = read_digests(images)
    with suppress(OSError):  # a home that cannot be written costs a look a run
        replace_file(memory, lambda beside: np.save(beside, found))
    return found


def read_digests(images: Images) -> np.ndarray:
    complaints: list[str] = []

    def one(place: int) -> int:
        try:
            content = images.store.content(place)
        except UserError as error:
            complaints.append(str(error))
            return 0
        return int.from_bytes(blake2b(content, digest_size=8).digest(), "big")

    found = np.zeros(len(images), dtype=np.uint64)
    places = images.places.tolist()
    countdown = Countdown(len(images), "{done:,} of {total:,} images read; {left} left")
    with ThreadPoolExecutor(available_cores()) as pool:
        for first in range(0, len(images), AT_ONCE):
            some = places[first : first + AT_ONCE]
            found[first : first + AT_ONCE] = list(pool.map(one, some))
            countdown.tell(first + len(some))
    refuse(sorted(complaints))
    return found


def digest_of_all(digests: np.ndarray) -> str:
    """Return what stands for a set of images, in whatever order."""
    return blake2b(np.sort(digests).tobytes(), digest_size=16).hexdigest()


def write(path: Path, contents: Contents) -> None:
    arrays = {f"{kind}_{split}": values[split] for kind, values in vars(contents).items() for split in SPLITS}
    replace_file(path, lambda beside: np.savez_compressed(beside, **arrays))


def read(path: Path, splits: Sequence[str] = SPLITS) -> Contents | None:
    """Return what `write` kept of splits, or None where a run is older than that.

    Raises UserError for a damaged file.
    """
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return Contents(
                {split: arrays[f"ids_{split}"] for split in splits},
                {split: arrays[f"digests_{split}"] for split in splits},
            )
    except Exception as error:  # of the zip, of its compression, of an array's header
        raise UserError(f"{path} cannot be read ({error}); without it, nobody knows the run's images") from error


def check_unchanged(kept: Contents, now: Contents, what: str, advice: str) -> None:
    """Raise UserError, with names, where the images of a run are not what they were."""
    changes = kept.changes(now)
    if changes:
        count = "1 image has" if len(changes) == 1 else f"{len(changes):,} images have"
        raise UserError("\n".join([f"{count} changed since {what} began; {advice}:", *listed(changes)]))
