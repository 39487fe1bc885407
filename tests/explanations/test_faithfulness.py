"""Deletion, insertion and random orders, where their result is known."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vit.explanations.cells import Grid, covered, grid_for, to_cells
from vit.explanations.faithfulness import Covering, Protocol, area, fill_of, in_order
from vit.explanations.weights_check import rank_correlation, with_shuffled_weights
from vit.report.explanations import gain, verdict
from vit.report.results import ExplanationRow

GRID = Grid(4, 4)


def only_cell(number: int):
    """Return an answer that is 1 while one cell of the grid is uncovered, and 0 without it."""

    def answer(images: Tensor) -> np.ndarray:
        cells = to_cells(images.mean(1), GRID)
        there = (cells[:, number] > 0.5).astype(float)
        return np.stack([1 - there, there], 1)

    return answer


def test_an_answer_of_one_cell_falls_at_once_and_returns_at_once() -> None:
    relevance = np.zeros(16)
    relevance[5] = 1
    found = Covering(only_cell(5), torch.ones(1, 3, 8, 8), GRID, Protocol("mean", 16, 3), "a").curves(relevance, 1)
    assert found.deletion.tolist() == [1.0] + [0.0] * 16
    assert found.insertion.tolist() == [0.0] + [1.0] * 16
    assert float(area(found.deletion)) == pytest.approx(1 / 32)
    assert found.random_deletion.shape == (3, 17) and 0 < found.random_deletion.mean() < 1
    assert min(found.gains) > 0


def test_the_reverse_order_is_worse_than_chance() -> None:
    relevance = np.zeros(16)
    relevance[5] = -1
    found = Covering(only_cell(5), torch.ones(1, 3, 8, 8), GRID, Protocol("mean", 16, 5), "a").curves(relevance, 1)
    assert max(found.gains) < 0


def test_equal_cells_have_no_order_of_their_own() -> None:
    orders = {tuple(in_order(np.zeros(16), np.random.default_rng(seed))) for seed in range(5)}
    assert len(orders) == 5
    assert in_order(np.arange(16.0), np.random.default_rng(0)).tolist() == list(range(15, -1, -1))


def test_every_image_has_random_orders_of_its_own_and_always_the_same() -> None:
    def curves(key: str) -> np.ndarray:
        covering = Covering(only_cell(5), torch.ones(1, 3, 8, 8), GRID, Protocol("mean", 16, 2), key)
        return covering.curves(np.arange(16.0), 1).random_deletion

    assert np.array_equal(curves("a"), curves("a"))
    assert not np.array_equal(curves("a"), curves("b"))


@pytest.mark.parametrize("size", [(8, 8), (10, 13), (224, 160)])
def test_covering_takes_the_cells_that_maps_are_read_in(size: tuple[int, int]) -> None:
    grid = grid_for(size)
    assert min(grid.rows, grid.columns) == (8 if min(size) <= 64 else 14)
    images = torch.ones(1, 3, *size)
    masks = torch.eye(grid.cells, dtype=torch.bool)
    changed = 1 - covered(images, torch.zeros_like(images), masks, grid)[:, 0]
    assert torch.equal(changed.sum(0), torch.ones(size))
    assert (to_cells(changed, grid).argmax(1) == np.arange(grid.cells)).all()


def test_a_blurred_copy_keeps_the_mean_and_loses_the_detail() -> None:
    images = torch.randn(2, 3, 32, 48)
    assert not fill_of(images, "mean").any()
    blurred = fill_of(images, "blur")
    assert float(blurred.std()) < 0.2 * float(images.std())
    assert torch.allclose(fill_of(torch.full((1, 3, 32, 48), 0.7), "blur"), torch.tensor(0.7), atol=1e-5)


def row(deletion: list[float], insertion: list[float]) -> ExplanationRow:
    return ExplanationRow("m", "x", "why", len(deletion), gain([deletion]), gain([insertion]), None, "")


def test_maps_drawn_at_random_are_seldom_called_better_than_random() -> None:
    """Forty draws of a network of random weights, twenty images each: the metric itself is tested."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5)).eval()
    images = torch.randn(40, 20, 1, 3, 8, 8)

    @torch.inference_mode()
    def answer(some: Tensor) -> np.ndarray:
        return network(some).softmax(1).double().numpy()

    called = 0
    for draw, some in enumerate(images):
        generator = np.random.default_rng(draw)
        gains = [
            Covering(answer, image, GRID, Protocol("mean", 8, 1), f"{draw}/{i}").curves(generator.random(16), 2).gains
            for i, image in enumerate(some)
        ]
        deletion, insertion = zip(*gains, strict=True)
        found = row(list(deletion), list(insertion))
        assert found.is_known
        called += verdict(found) == "better than a random order"
    assert called <= 2


def test_a_verdict_needs_images() -> None:
    assert verdict(row([0.5], [0.5])) == "one image: look, and conclude nothing"
    assert verdict(row([0.5] * 9, [0.5] * 9)) == "9 images: look, and conclude nothing"
    better = [0.5, 0.4, 0.6] * 4
    assert verdict(row(better, better)) == "better than a random order"
    assert verdict(row(better, [-0.1, 0.1, 0.0] * 4)) == "better than a random order in deletion alone"
    assert verdict(row([0.1, -0.1, 0.0] * 4, better)) == "better than a random order in insertion alone"
    assert verdict(row([-value for value in better], [0.1, -0.1, 0.0] * 4)) == "no better than a random order"
    assert verdict(row([], [])) == "not measured: its maps are flat"


def test_shuffled_weights_are_the_same_values_elsewhere_and_the_model_keeps_its_own() -> None:
    module = nn.Linear(20, 30)
    before = module.weight.detach().clone()
    other = with_shuffled_weights(module)
    assert torch.equal(module.weight, before)
    assert not torch.equal(other.weight, before)
    assert torch.equal(other.weight.flatten().sort().values, before.flatten().sort().values)


def test_rank_correlation_of_like_and_unlike_maps() -> None:
    maps = np.random.default_rng(0).random((5, 16))
    assert rank_correlation(maps, maps * 3 + 1) == pytest.approx(1)
    assert rank_correlation(maps, -maps) == pytest.approx(-1)
    assert rank_correlation(maps, np.zeros((5, 16))) == 0
