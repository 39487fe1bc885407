"""The range test: what it does at each learning rate, and what it makes of the losses."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vit.training.lr_range_test import course, range_test, suggested
from vit.training.objectives import Step

LRS = np.geomspace(1e-6, 10, 100)


def losses(falls_at: float, breaks_at: float, scatter: float = 0.0) -> np.ndarray:
    """A loss that falls from 2.3 to 0.3 around one learning rate, and grows without end from another."""
    x = np.log10(LRS)
    fall = 2.3 - 2 / (1 + np.exp(-4 * (x - math.log10(falls_at))))
    noise = scatter * np.random.default_rng(0).standard_normal(len(x))
    return fall + np.maximum(0, LRS / breaks_at - 1) ** 2 + noise


@pytest.mark.parametrize("falls_at", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("scatter", [0.0, 0.05])
def test_the_steepest_fall_is_found(falls_at: float, scatter: float) -> None:
    found = suggested(LRS, losses(falls_at, breaks_at=100 * falls_at, scatter=scatter))
    assert found == pytest.approx(falls_at, rel=0.5)


@pytest.mark.parametrize("scatter", [0.0, 0.05])
def test_a_loss_that_never_falls_suggests_nothing(scatter: float) -> None:
    assert suggested(LRS, losses(falls_at=1e9, breaks_at=0.1, scatter=scatter)) is None


def test_the_course_keeps_constants_and_removes_scatter() -> None:
    assert np.allclose(course([2.0] * 30), 2.0)
    noisy = np.random.default_rng(0).standard_normal(1000)
    assert course(noisy).std() < 0.4


def told(loss: Callable[[Tensor], Tensor]) -> Step:
    """Return the step that a loss on the outputs makes."""

    def step(module: nn.Module, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        out = module(inputs)
        return loss(out), out

    return step


def test_each_step_is_taken_at_its_learning_rate_and_groups_keep_their_ratio() -> None:
    """One weight, one input of 1: SGD moves it by the learning rate times the gradient -1."""
    module = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    nn.init.zeros_(module[0].weight)
    nn.init.ones_(module[1].weight)
    optimizer = torch.optim.SGD([{"params": module[0].parameters(), "lr": 0.5}, {"params": [], "lr": 1.0}])
    one = torch.ones(1, 1)
    steps = [[(one, one)]] * 3
    found = range_test(
        module, steps, told(lambda out: 5 - out.sum()), optimizer, np.array([0.1, 0.2, 0.4]), "cpu", None, None
    )
    assert found == pytest.approx([5, 4.95, 4.85])
    assert module[0].weight.item() == pytest.approx(0.35)


def test_parts_of_a_step_are_its_mean_and_clipped_together() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    parts = [(torch.tensor([[x]]), torch.zeros(1, 1)) for x in (1.0, 3.0)]
    range_test(module, [parts], told(lambda out: -out.sum()), optimizer, np.array([1.0]), "cpu", None, clip_norm=0.5)
    assert module.weight.item() == pytest.approx(0.5)  # of a gradient of 2


@pytest.mark.parametrize("last", [math.nan, math.inf, 100.0])
def test_it_ends_where_the_loss_breaks(last: float) -> None:
    values = iter([2.0, 1.0, last, 1.0])
    module = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    steps = [[(torch.ones(1, 1), torch.ones(1, 1))]] * 4
    step = told(lambda out: out.sum() * 0 + next(values))
    found = range_test(module, steps, step, optimizer, np.full(4, 0.1), "cpu", None, None)
    assert found.tolist() == [2.0, 1.0] + [100.0] * (last == 100.0)
