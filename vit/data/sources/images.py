"""Images of one split, and what a dataset has by itself."""

from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from ...errors import UserError
from ..decoding.reading import own_warnings
from ..preprocessing import IMAGENET_MEAN, IMAGENET_STD
from .stores import Choose, Pixels, Sharded, Store

NEVER_SHRUNK = 2**31


@dataclass(frozen=True)
class Images:
    """One split: names, labels, and where the pixels are: at some places of a store, by default all of them.

    Labels are class numbers [N], or, where an image may have several or none, a table [N, C] of what is there.
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    store: Store
    places: np.ndarray = None  # type: ignore[assignment]  # of the store

    def __post_init__(self) -> None:
        if self.places is None:
            object.__setattr__(self, "places", np.arange(len(self.ids)))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def multilabel(self) -> bool:
        return self.labels.ndim == 2

    @property
    def shard_of(self) -> np.ndarray | None:
        """Return the number of the file that each image lies in, where many lie in one: [N]."""
        return self.store.shard_of[self.places] if isinstance(self.store, Sharded) else None

    def counts(self, num_classes: int) -> np.ndarray:
        """Return how many images each class has: [C]."""
        return class_counts(self.labels, num_classes)

    def target(self, index: int) -> int | np.ndarray:
        """Return an image's class number, or its row [C] of zeros and ones."""
        return self.labels[index].astype(np.float32) if self.multilabel else int(self.labels[index])

    def read(self, index: int) -> Image.Image:
        """Return an upright RGB image; raises UserError, with the reason, for one that cannot be decoded."""
        with own_warnings():
            return self.store.decode(int(self.places[index]))

    def pixels(self, index: int) -> np.ndarray:
        """Return what `read` does as an array [height, width, 3]; JPEG files take half the time so."""
        return self.region(index, lambda width, height: (0, 0, width, height), (NEVER_SHRUNK, NEVER_SHRUNK))

    def region(self, index: int, choose: Choose, size: tuple[int, int]) -> np.ndarray:
        """Return the box that `choose` names for an image's width and height, no finer than `size` needs: [h, w, 3]."""
        return self.store.region(int(self.places[index]), choose, size)

    def complaint(self, index: int) -> str | None:
        """Return why an image cannot be decoded, or None where it can; to be called inside of `own_warnings`."""
        try:
            self.store.decode(int(self.places[index]))
        except UserError as error:
            return self.reason(index, error)
        return None

    def reason(self, index: int, error: UserError) -> str:
        """Return what an image's error says, without its address."""
        return str(error).removeprefix(f"{self.address(index)}: ")

    def address(self, index: int) -> str:
        """Return where an image is, for messages."""
        return self.store.address(int(self.places[index]))

    def where(self, mask: np.ndarray) -> "Images":
        return self.at(np.flatnonzero(mask))

    def at(self, chosen: np.ndarray) -> "Images":
        """Return the images at some places, in their order."""
        ids = tuple(self.ids[i] for i in chosen)
        return replace(self, ids=ids, labels=self.labels[chosen], places=self.places[chosen])

    def in_memory(self) -> "Images":
        """Decode every file now; for sets of small images, all of one size."""
        if not self.store.encoded:
            return self
        arrays = [self.pixels(i) for i in range(len(self))]
        odd = next((i for i, array in enumerate(arrays) if array.shape != arrays[0].shape), None)
        if odd is not None:
            height, width = arrays[0].shape[:2]
            raise UserError(
                f"{self.ids[odd]} is not {width}x{height} as {self.ids[0]}; for other images: data.name=folder"
            )
        return Images(self.ids, self.labels, Pixels(np.stack(arrays)))


def class_counts(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return how often each class stands in labels [N] or [N, C]: [C]."""
    return labels.sum(0) if labels.ndim == 2 else np.bincount(labels, minlength=num_classes)


@dataclass(frozen=True)
class Source:
    """What a dataset has by itself: classes in order, and one to three splits."""

    classes: tuple[str, ...]
    splits: dict[str, Images]  # "train", and "validation" or "test" where they exist
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    small: bool = False  # small enough to be held in memory whole
    passed_over: dict[str, str] = field(default_factory=dict)  # entries that are not used, and why
