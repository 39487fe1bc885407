"""Small models learn to tell images by the colour of one cell, and their maps must find it."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from planted_cells import CELL, COLOURS, GRID, MODELS, SIDE, learned, planted
from torch import Tensor, nn

import vit
from vit.explanations.explain import Explanation, explained
from vit.explanations.faithfulness import Protocol
from vit.explanations.measured import measure
from vit.explanations.methods import DEFAULT, own_method
from vit.model import Model
from vit.models.resnet import ResNet


@pytest.fixture(scope="module", params=MODELS)
def trained(request: pytest.FixtureRequest) -> Model:
    return learned(request.param)


@pytest.fixture(scope="module")
def explain(trained: Model) -> Callable[..., list[Explanation]]:
    def of(images: Tensor, classes: Tensor, method: str = DEFAULT, **options) -> list[Explanation]:
        keys, wanted = [str(i) for i in range(len(images))], [[c] for c in classes.tolist()]
        found = explained(trained, images, wanted, keys, methods=[method], grid=GRID, **options)
        return [one for (one,) in found]

    return of


@pytest.mark.parametrize("method", [DEFAULT, "occlusion"])
def test_the_planted_cell_is_found(trained: Model, explain, method: str) -> None:
    count = 200 if method == DEFAULT else 50
    images, labels, cells = planted(count, torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert float((trained.module(images).argmax(1) == labels).float().mean()) > 0.97
    most = np.array([int(one.cells.argmax()) for one in explain(images, labels, method=method)])
    side = 2 if method == "occlusion" else 1  # of its squares, in cells
    found = [np.stack(np.divmod(numbers, GRID.columns)) // side for numbers in (most, cells.numpy())]
    assert np.mean((found[0] == found[1]).all(0)) >= 0.95


def test_each_class_of_a_mosaic_is_found_in_its_own_quarter(trained: Model, explain) -> None:
    """The grid pointing game (Boehle et al. 2021, arXiv:2104.00032): what speaks for a class lies in its part."""
    generator = torch.Generator().manual_seed(2)
    half, shares = SIDE // 2, []
    for _ in range(10):
        image = torch.randn(3, SIDE, SIDE, generator=generator) * 0.5
        corners = [(0, 0), (0, half), (half, 0), (half, half)]
        for colour, (top, left) in zip(COLOURS, corners, strict=True):
            row, column = (int(torch.randint(half // CELL, (1,), generator=generator)) * CELL for _ in range(2))
            image[:, top + row : top + row + CELL, left + column : left + column + CELL] += colour[:, None, None]
        maps = explain(image.expand(len(corners), -1, -1, -1), torch.arange(len(corners)))
        for one, (top, left) in zip(maps, corners, strict=True):
            speaks = np.clip(one.cells, 0, None)
            rows, columns = (slice(start // CELL, (start + half) // CELL) for start in (top, left))
            shares.append(speaks[rows, columns].sum() / max(speaks.sum(), 1e-12))
    assert np.mean(shares) >= 0.5  # by chance 0.25


def test_the_default_map_is_better_than_a_random_order(trained: Model, explain) -> None:
    images, _, _ = planted(100, torch.Generator().manual_seed(3))
    found = measure(trained, images, [str(i) for i in range(100)])[0]
    for kind in ("deletion", "insertion"):
        gains = np.array(found[kind])
        assert len(gains) == 100 and gains.mean() - 2 * gains.std(ddof=1) / 10 > 0
    assert found["likeness"] is not None and abs(found["likeness"]) < 0.5


def test_the_model_is_as_it_was_after_every_method_and_after_an_error(trained: Model, explain) -> None:
    module = trained.module
    images, labels, _ = planted(3, torch.Generator().manual_seed(4))
    own = own_method(module, images)
    assert own is not None
    next(module.parameters()).requires_grad_(False)
    module.train()
    list(module.children())[-1].eval()
    before = state_of(module, images)
    for method in ("occlusion", DEFAULT, "hirescam", own):
        explain(images, labels, method=method, protocol=Protocol("blur", 4, 1))
        assert_same(before, state_of(module, images))
    with pytest.raises(RuntimeError):
        explain(torch.full((3, 3, SIDE, SIDE), 1.0)[:, :1], labels, protocol=Protocol())
    with pytest.raises(vit.UserError):
        explain(images, labels, method="rollout" if isinstance(module, ResNet) else "no such")
    assert_same(before, state_of(module, images))
    module.requires_grad_(True).eval()


def state_of(module: nn.Module, images: Tensor) -> dict:
    training = {name: part.training for name, part in module.named_modules()}
    queries = {name: part.queries for name, part in module.named_modules() if hasattr(part, "queries")}
    hooks = [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules()]
    required = [parameter.requires_grad for parameter in module.parameters()]
    gradients = [parameter.grad is None for parameter in module.parameters()]
    tensors = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    module.eval()
    with torch.inference_mode():
        tensors["logits"] = module(images)
    for name, part in module.named_modules():
        part.training = training[name]
    return {"facts": (training, queries, hooks, required, gradients), "tensors": tensors}


def assert_same(before: dict, after: dict) -> None:
    assert before["facts"] == after["facts"]
    assert all(torch.equal(before["tensors"][name], tensor) for name, tensor in after["tensors"].items())
