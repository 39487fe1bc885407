"""Images decoded and resized once, then read as they are: uint8, in memory or in a file that is mapped into it.

Evaluation sees the same pixels as without. Random crops are taken from an image that covers 8/7 of the model's size,
256 pixels of 224, and no longer from the whole file: the smallest of them are blurred.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from PIL import Image

from ...errors import UserError
from ...hardware.machine import available_cores, free_memory_bytes
from ...places import cache_folder, expanded
from ...progress import Countdown
from ...recipe import Data, Recipe
from ..decoding.reading import own_warnings
from ..preprocessing import Preprocessing, to_size
from ..sources.broken import digest, refuse
from ..sources.datasets import Images
from ..sources.stores import Pixels

logger = logging.getLogger(__name__)

PIXELS, INDEX = "pixels.bin", "index.npz"
COVERED = 8 / 7
FORMAT = 2  # of these files, and of how files are decoded
AT_ONCE = 256  # images between two looks at the clock
RAM_SHARE = 0.5  # of the free memory, which training needs too


@dataclass(frozen=True)
class AsInEvaluation:
    """An image of the model's size, with evaluation's crop."""

    preprocessing: Preprocessing

    def fitted(self, images: Images, place: int) -> np.ndarray:
        return np.asarray(to_size(self.preprocessing, images.store.decode(place)))

    @property
    def bytes_per_image(self) -> float:
        height, width = self.preprocessing.image_size
        return 3 * height * width


@dataclass(frozen=True)
class Covering:
    """A whole image, no larger than covers a height and width."""

    size: tuple[int, int]

    def fitted(self, images: Images, place: int) -> np.ndarray:
        image = Image.fromarray(images.store.region(place, lambda width, height: (0, 0, width, height), self.size))
        factor = max(self.size[0] / image.height, self.size[1] / image.width)
        if factor < 1:
            size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
            image = image.resize(size, Image.Resampling.BICUBIC)
        return np.asarray(image)

    @property
    def bytes_per_image(self) -> float:
        return 3 * self.size[0] * self.size[1] * 4 / 3  # of most photographs


Fit = AsInEvaluation | Covering


def of_training(images: Images, preprocessing: Preprocessing, recipe: Recipe) -> tuple[Images, Preprocessing]:
    """Return training images as the recipe's `data.cache` keeps them, and what is left to do with them."""
    fit = training_fit(preprocessing, recipe)
    if isinstance(fit, Covering):
        return kept(images, fit, recipe.data), preprocessing
    return of_evaluation(images, preprocessing, recipe.data)


def training_fit(preprocessing: Preprocessing, recipe: Recipe) -> Fit:
    if recipe.augment and "random_resized_crop" in recipe.augment[0]:
        height, width = (max(1, round(side * COVERED)) for side in preprocessing.image_size)
        return Covering((height, width))
    return AsInEvaluation(preprocessing)


def bytes_kept(recipe: Recipe, preprocessing: Preprocessing, training_images: int, validation_images: int) -> int:
    """Return about how many bytes `data.cache` takes, in memory or on disk."""
    if recipe.data.cache == "none":
        return 0
    training = training_fit(preprocessing, recipe).bytes_per_image
    return round(training_images * training + validation_images * AsInEvaluation(preprocessing).bytes_per_image)


def of_evaluation(images: Images, preprocessing: Preprocessing, data: Data) -> tuple[Images, Preprocessing]:
    """Return images as `data.cache` keeps them, and what is left to do with them."""
    if data.cache == "none":
        return images, preprocessing
    fitted = kept(images, AsInEvaluation(preprocessing), data)
    return fitted, replace(preprocessing, crop_fraction=1.0, crop_mode="center")


def kept(images: Images, fit: Fit, data: Data) -> Images:
    """Return images at the size of `fit`, from the cache where they are there already.

    Raises UserError for images that cannot be decoded, and where there is no room.
    """
    if data.cache == "none" or not images.store.encoded:
        return images
    if data.cache == "ram":
        _check_room("data.cache=ram", fit, len(images), RAM_SHARE * free_memory_bytes(), "memory")
        return Images(images.ids, images.labels, Pixels(list(resized(images, fit))))
    folder = expanded(data.cache_folder) if data.cache_folder else cache_folder() / "images"
    return Images(images.ids, images.labels, Pixels(on_disk(images, fit, folder)))


def on_disk(images: Images, fit: Fit, folder: Path) -> "MappedArrays":
    """Return the resized images that lie below `folder`, written there by the first run that wants them."""
    place = folder / key(images, fit)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(place):
            if not place.is_dir():
                write(images, fit, place)
    except OSError as error:
        raise UserError(
            f"data.cache=disk: {place}: {error.strerror or error}; set data.cache_folder to one that can be written"
        ) from error
    return MappedArrays(place)


def write(images: Images, fit: Fit, place: Path) -> None:
    """Write resized images, and only then give their folder its name."""
    _check_room("data.cache=disk", fit, len(images), shutil.disk_usage(place.parent).free, f"disk at {place.parent}")
    with TemporaryDirectory(dir=place.parent, prefix=".unfinished-") as name:
        unfinished = Path(name) / "images"
        unfinished.mkdir()
        sizes = np.zeros((len(images), 2), dtype=np.int64)
        with (unfinished / PIXELS).open("wb") as file:
            for i, pixels in enumerate(resized(images, fit)):
                sizes[i] = pixels.shape[:2]
                file.write(pixels.tobytes())
            file.flush()
            os.fsync(file.fileno())
            logger.info(f"{file.tell() / 1e9:.1f} GB of resized images are kept in {place}")
        np.savez(unfinished / INDEX, sizes=sizes)
        unfinished.rename(place)


def resized(images: Images, fit: Fit) -> Iterator[np.ndarray]:
    """Decode and resize every image; raises UserError that names all that cannot be decoded, behind the last one."""
    complaints: list[str] = []

    def one(place: int) -> np.ndarray | None:
        try:
            return fit.fitted(images, place)
        except UserError as error:
            complaints.append(str(error))
            return None

    countdown = Countdown(len(images), "{done:,} of {total:,} images resized; {left} left")
    places = images.places.tolist()
    with own_warnings(), ThreadPoolExecutor(available_cores()) as pool:
        for first in range(0, len(places), AT_ONCE):
            some = places[first : first + AT_ONCE]
            yield from (pixels for pixels in pool.map(one, some) if pixels is not None)
            countdown.tell(first + len(some))
    refuse(sorted(complaints))


def key(images: Images, fit: Fit) -> str:
    """Return what changes when any file does (its name, size or time), or what is done with it."""
    facts = [FORMAT, type(fit).__name__, asdict(fit), version("pillow"), version("simplejpeg"), digest(images)]
    return sha256(json.dumps(facts).encode()).hexdigest()[:32]


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Let one run at a time write to a place; the others wait for it."""
    lock = FileLock(place.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("another run resizes these images; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


class MappedArrays(Sequence[np.ndarray]):
    """uint8 arrays [height, width, 3] one behind the other in a file, of which the system keeps in memory what it can.

    Sent to another process is the file's name alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with np.load(folder / INDEX, allow_pickle=False) as index:
            self.sizes = index["sizes"]
        self.ends = np.cumsum(3 * self.sizes.prod(1))

    @cached_property
    def bytes(self) -> np.ndarray:
        return np.memmap(self.folder / PIXELS, dtype=np.uint8, mode="r")

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, number: Any) -> Any:
        height, width = self.sizes[number]
        end = self.ends[number]
        return np.asarray(self.bytes[end - 3 * height * width : end]).reshape(height, width, 3)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "bytes"}


def _check_room(setting: str, fit: Fit, count: int, free: float, of_what: str) -> None:
    needed = count * fit.bytes_per_image
    if needed > free:
        raise UserError(
            f"{setting}: {count:,} resized images take about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB "
            f"of {of_what} can be used; set data.cache=none, or a smaller data.image_size"
        )
