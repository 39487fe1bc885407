"""The order of images: a function of seed, epoch and step, whoever asks."""

from pathlib import Path

import numpy as np
import pytest

from vit import UserError
from vit.data.loading.order import (
    Position,
    TrainingBatches,
    balanced_order,
    sharded_order,
    training_batches,
    uniform_order,
)
from vit.data.sources.datasets import Images
from vit.data.sources.stores import Files
from vit.hardware.processes import ALONE, Share
from vit.recipe import load_recipe

IDS = tuple(f"image-{i:03d}" for i in range(50))


def batches(parts: int = 1, share: Share = ALONE, start: Position = Position(), batch_size: int = 12):  # noqa: B008
    return TrainingBatches(IDS, uniform_order(len(IDS), 3), batch_size, parts, share, start)


def places(batch: list[tuple[int, int]]) -> list[int]:
    return [index for _, index in batch]


def test_every_epoch_has_its_own_order_of_all_images() -> None:
    orders = [uniform_order(50, 3)(epoch).tolist() for epoch in range(5)]
    assert all(sorted(one) == list(range(50)) for one in orders)
    assert len(set(map(tuple, orders))) == 5
    assert orders[2] == uniform_order(50, 3)(2).tolist() != uniform_order(50, 4)(2).tolist()


def test_an_epoch_has_whole_steps_and_its_own_number() -> None:
    loader = batches()
    for epoch in (0, 4):
        loader.set_epoch(epoch)
        found = list(loader)
        assert len(found) == len(loader) == 4
        assert {key[0] for batch in found for key in batch} == {epoch}
        assert len({index for batch in found for index in places(batch)}) == 48


@pytest.mark.parametrize(("world_size", "parts"), [(1, 4), (2, 1), (2, 3), (4, 3)])
def test_processes_and_parts_share_the_same_steps(world_size: int, parts: int) -> None:
    whole = list(batches())
    shares = [list(batches(parts, Share(rank, world_size))) for rank in range(world_size)]
    for step, expected in enumerate(whole):
        pieces = [share[step * parts + part] for part in range(parts) for share in shares]
        assert len({len(piece) for piece in pieces}) == 1
        assert [key for piece in pieces for key in piece] == expected


def test_an_epoch_goes_on_in_its_middle_and_the_next_begins_at_its_beginning() -> None:
    loader, whole = batches(start=Position(2, 3)), batches()
    loader.set_epoch(2)
    whole.set_epoch(2)
    assert list(loader) == list(whole)[3:]
    assert len(loader) == len(whole)
    loader.set_epoch(3)
    whole.set_epoch(3)
    assert list(loader) == list(whole)


def test_the_images_of_a_batch_can_be_named() -> None:
    loader = batches(parts=2, share=Share(1, 2))
    loader.set_epoch(5)
    for number, batch in enumerate(loader):
        assert loader.names(5, number) == [IDS[i] for i in places(batch)]


def test_a_step_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(UserError, match="12 images of a step cannot be divided among 5 processes and 1 parts"):
        batches(share=Share(0, 5))
    with pytest.raises(UserError, match="3 images of a step cannot be divided among 4 processes"):
        TrainingBatches(IDS[:3], uniform_order(3, 0), 12, 1, Share(0, 4), Position())


def test_a_set_smaller_than_the_batch_is_one_step_of_equal_shares() -> None:
    first, second = (
        TrainingBatches(IDS[:7], uniform_order(7, 0), 12, 1, Share(rank, 2), Position()) for rank in (0, 1)
    )
    assert [len(batch) for batch in (*first, *second)] == [3, 3]


def test_balanced_sampling_shows_every_class_equally_often() -> None:
    labels = np.repeat([0, 1, 2], [70, 25, 5])
    orders = [balanced_order(labels, seed=1)(epoch) for epoch in range(3)]
    for order in orders:
        counts = np.bincount(labels[order])
        assert len(order) == 100 and counts.max() - counts.min() <= 1
        rare = np.bincount(order[labels[order] == 2], minlength=100)[95:]
        assert rare.max() - rare.min() <= 1  # the few images of a rare class in turn
        assert len(set(order[labels[order] == 0])) == counts[0]  # no image of a common one twice
    assert not np.array_equal(orders[0], orders[1])
    assert np.array_equal(orders[0], balanced_order(labels, seed=1)(0))


def test_an_epoch_goes_through_a_few_shards_at_a_time() -> None:
    shard_of = np.repeat(np.arange(20), 30)[np.random.default_rng(0).permutation(600)]
    order = sharded_order(shard_of, seed=3)
    epochs = [order(epoch) for epoch in (0, 0, 1)]
    assert all(np.array_equal(np.sort(places), np.arange(600)) for places in epochs)
    assert np.array_equal(epochs[0], epochs[1]) and not np.array_equal(epochs[0], epochs[2])
    groups = [[set(shard_of[places[i : i + 240]]) for i in range(0, 600, 240)] for places in epochs]
    assert [len(group) for group in groups[0]] == [8, 8, 4] and groups[0] != groups[2]
    assert len(set(shard_of[epochs[0][:40]])) == 8  # mixed, not one behind the other


def test_a_recipe_chooses_the_sampling() -> None:
    labels = np.repeat([0, 1], [40, 10])
    images = Images(IDS, labels, Files(Path(), IDS))
    recipe = load_recipe("digits_vit", {"data.sampling": "balanced", "training.batch_size": 50})
    (batch,) = training_batches(recipe, images, 1, ALONE, Position())
    assert np.bincount(labels[places(batch)]).tolist() == [25, 25]
