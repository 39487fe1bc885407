"""Which image comes when, and in which process: a function of seed, epoch and step alone.

A run may therefore stop after any step and go on in other processes, with the images that were next.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler

from ...errors import UserError
from ...hardware.processes import Share
from ...randomness import derive_seed
from ...recipe import Recipe
from ..sources.datasets import Images

SHARDS_AT_ONCE = 8  # whose images are mixed
Order = Callable[[int], np.ndarray]  # epoch -> places of images, in the order they are seen


@dataclass(frozen=True)
class Position:
    """How far training is: so many whole epochs, and so many batches of the next one."""

    epoch: int = 0
    batch: int = 0


class TrainingBatches(Sampler):
    """Which images make which batch: a new order every epoch, and each process's share of it.

    A step takes the next `batch_size` images whatever the number of processes and parts; a process computes its share
    in `parts` batches. The last, smaller step of an epoch is left out; another order leaves out other images.
    """

    def __init__(
        self, ids: tuple[str, ...], order: Order, batch_size: int, parts: int, share: Share, start: Position
    ) -> None:
        self.ids = ids
        self.order = order
        self.parts = parts
        self.share = share
        self.start = start
        self.sampler = self  # where Lightning looks for set_epoch
        pieces = parts * share.world_size
        self.batch_size = min(batch_size, len(ids) // pieces * pieces)
        if not self.batch_size or self.batch_size % pieces:
            raise UserError(
                f"{min(batch_size, len(ids))} images of a step cannot be divided among {share.world_size} processes "
                f"and {parts} parts; change training.batch_size, training.accumulate or the number of devices"
            )

    def set_epoch(self, epoch: int) -> None:  # called by Lightning, for the first epoch behind the first __iter__
        if epoch != self.start.epoch:
            self.start = Position(epoch)

    def __len__(self) -> int:
        return len(self.ids) // self.batch_size * self.parts

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, first = self.start.epoch, self.start.batch
        order = self.order(epoch)
        return ([(epoch, int(i)) for i in order[self._places(batch)]] for batch in range(first, len(self)))

    def names(self, epoch: int, batch: int) -> list[str]:
        """Return the names of the images of one batch of this process."""
        return [self.ids[i] for i in self.order(epoch)[self._places(batch)]]

    def _places(self, batch: int) -> slice:
        step, part = divmod(batch, self.parts)
        size = self.batch_size // (self.parts * self.share.world_size)
        first = step * self.batch_size + (part * self.share.world_size + self.share.rank) * size
        return slice(first, first + size)


def uniform_order(length: int, seed: int) -> Order:
    """Return epoch -> every image once, in an order drawn from (seed, epoch) alone."""
    return lambda epoch: np.random.default_rng(derive_seed(seed, "order", epoch)).permutation(length)


def sharded_order(shard_of: np.ndarray, seed: int) -> Order:
    """Return epoch -> every image once: the shards in a new order, and the images of a few shards at a time mixed."""
    shards = np.unique(shard_of)

    def order(epoch: int) -> np.ndarray:
        generator = np.random.default_rng(derive_seed(seed, "shards", epoch))
        turn = np.empty(shards.max() + 1, dtype=np.int64)  # of each shard
        turn[shards] = generator.permutation(len(shards)) // SHARDS_AT_ONCE
        mixed = generator.permutation(len(shard_of))
        return mixed[np.argsort(turn[shard_of[mixed]], kind="stable")]

    return order


def balanced_order(labels: np.ndarray, seed: int) -> Order:
    """Return epoch -> as many images, every class equally often: those of a rare class come again, those of a common
    one are left out in turn."""

    def order(epoch: int) -> np.ndarray:
        generator = np.random.default_rng(derive_seed(seed, "balanced", epoch))
        classes = generator.permutation(np.unique(labels))
        counts = np.diff(np.linspace(0, len(labels), len(classes) + 1).astype(int))
        drawn = [
            _again_and_again(np.flatnonzero(labels == c), n, generator) for c, n in zip(classes, counts, strict=True)
        ]
        return generator.permutation(np.concatenate(drawn))

    return order


def _again_and_again(members: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    rounds = [generator.permutation(members) for _ in range(-(-count // len(members)))]
    return np.concatenate(rounds)[:count]


def training_batches(recipe: Recipe, images: Images, parts: int, share: Share, start: Position) -> TrainingBatches:
    """Return the batches of a recipe; raises UserError for a step that cannot be divided so."""
    return TrainingBatches(images.ids, order_of(recipe, images), recipe.training.batch_size, parts, share, start)


def order_of(recipe: Recipe, images: Images) -> Order:
    seed, shard_of = recipe.training.seed, images.shard_of
    if recipe.data.sampling == "balanced":
        return balanced_order(images.labels, seed)
    if shard_of is not None and len(np.unique(shard_of)) > SHARDS_AT_ONCE:
        return sharded_order(shard_of, seed)
    return uniform_order(len(images), seed)
