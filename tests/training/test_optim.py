"""Parameter groups, the learning rate over the steps, and decoupled weight decay against a hand-written reference."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from vit import create_model
from vit.recipe import Optimizer, Schedule
from vit.training.optim import DecoupledSGD, make_optimizer, make_schedule, parameter_groups

MODELS = {
    "vit_tiny": {"depth": 2},
    "resnet18": {"attention": "cbam"},
    "resnet50": {"attention": "se"},
    "resnet_cifar": {"attention": "eca"},
    "timm/vit_tiny_patch16_224": {"depth": 2},
    "timm/deit_tiny_distilled_patch16_224": {"depth": 2},
    "timm/convnext_atto": {},
}


def build(name: str) -> nn.Module:
    return create_model(name, num_classes=5, image_size=32, **MODELS[name])


def names_of(group: dict, module: nn.Module) -> set[str]:
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return {names[id(parameter)] for parameter in group["params"]}


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_is_in_one_group(name):
    module = build(name)
    decayed, plain = (names_of(group, module) for group in parameter_groups(module, Optimizer(weight_decay=0.1)))
    assert decayed | plain == {name for name, _ in module.named_parameters()}
    assert not decayed & plain
    assert decayed
    assert plain


@pytest.mark.parametrize("name", MODELS)
def test_biases_norms_tokens_and_positions_are_not_decayed(name):
    module = build(name)
    norms = (nn.LayerNorm, nn.modules.batchnorm._BatchNorm, nn.GroupNorm)
    expected = {
        f"{path}.{own}" if path else own
        for path, part in module.named_modules()
        for own, _ in part.named_parameters(recurse=False)
        if own == "bias" or isinstance(part, norms) or own.endswith(("token", "embed", "gamma"))
    }
    decayed, plain = parameter_groups(module, Optimizer(weight_decay=0.1))
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert names_of(plain, module) == expected


def test_frozen_parameters_are_in_no_group():
    module = build("vit_tiny")
    module.patch_embed.requires_grad_(False)
    names = set().union(*(names_of(group, module) for group in parameter_groups(module, Optimizer(weight_decay=0.1))))
    assert names == {name for name, _ in module.named_parameters() if not name.startswith("patch_embed")}


def test_the_recipe_names_the_optimizer():
    module = build("vit_tiny")
    adamw = make_optimizer(module, Optimizer(name="adamw", lr=0.01, weight_decay=0.2, betas=(0.8, 0.95)))
    assert isinstance(adamw, AdamW)
    assert [(g["lr"], g["betas"], g["weight_decay"]) for g in adamw.param_groups] == [
        (0.01, (0.8, 0.95), 0.2),
        (0.01, (0.8, 0.95), 0.0),
    ]
    sgd = make_optimizer(module, Optimizer(name="sgd", lr=0.1, momentum=0.8, weight_decay=0.3))
    assert isinstance(sgd, SGD)
    assert [(g["lr"], g["momentum"], g["nesterov"], g["weight_decay"]) for g in sgd.param_groups] == [
        (0.1, 0.8, True, 0.3),
        (0.1, 0.8, True, 0.0),
    ]
    assert not make_optimizer(module, Optimizer(name="sgd", momentum=0.0)).param_groups[0]["nesterov"]


class OneLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2).double()


def reference_step(p, velocity, gradient, lr, decay, momentum):
    """Nesterov's momentum in torch's form, after the weights have shrunk by lr * decay."""
    velocity = gradient if velocity is None else momentum * velocity + gradient
    return p * (1 - lr * decay) - lr * (gradient + momentum * velocity if momentum else gradient), velocity


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_decoupled_sgd_is_the_reference(momentum):
    module = OneLayer()
    optimizer = make_optimizer(module, Optimizer(name="sgd", lr=0.1, weight_decay=0.5, momentum=momentum))
    state = {name: (p.detach().numpy().copy(), None) for name, p in module.named_parameters()}
    draw = np.random.default_rng(0)
    for lr in (0.1, 0.3, 0.05, 0.2, 0.2, 0.01):
        for group in optimizer.param_groups:
            group["lr"] = lr
        for name, parameter in module.named_parameters():
            gradient = draw.normal(size=parameter.shape)
            parameter.grad = torch.from_numpy(gradient)
            decay = 0.5 if name.endswith("weight") else 0.0
            state[name] = reference_step(*state[name], gradient, lr, decay, momentum)
        optimizer.step()
        for name, parameter in module.named_parameters():
            np.testing.assert_allclose(parameter.detach().numpy(), state[name][0], rtol=1e-12)


def test_decay_shrinks_by_lr_and_decay_whatever_the_momentum():
    """Without gradients 10 steps shrink by (1 - 0.1 * 0.2)^10; coupled decay with momentum would shrink by far more."""
    parameter = nn.Parameter(torch.ones(4, 4, dtype=torch.float64))
    optimizer = DecoupledSGD([parameter], lr=0.1, weight_decay=0.2, momentum=0.9, nesterov=True)
    for _ in range(10):
        parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    torch.testing.assert_close(parameter.detach(), torch.full((4, 4), 0.98**10, dtype=torch.float64))
    assert optimizer.param_groups[0]["weight_decay"] == 0.2


def test_decoupled_sgd_without_decay_is_sgd():
    def trained(cls: type[SGD]) -> torch.Tensor:
        torch.manual_seed(0)
        module, x = nn.Linear(5, 3), torch.randn(8, 5)
        optimizer = cls(module.parameters(), lr=0.1, momentum=0.9, nesterov=True)
        for _ in range(5):
            optimizer.zero_grad()
            module(x).square().sum().backward()
            optimizer.step()
        return module.weight.detach()

    assert trained(DecoupledSGD).equal(trained(SGD))


def test_decoupled_sgd_takes_a_closure_at_the_undecayed_weights():
    parameter = nn.Parameter(torch.full((1, 1), 2.0))
    optimizer = DecoupledSGD([parameter], lr=0.5, weight_decay=0.2)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = parameter.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4.0
    assert parameter.item() == pytest.approx(2.0 * (1 - 0.5 * 0.2) - 0.5 * 4.0)


def test_a_resumed_optimizer_continues_with_its_decay():
    parameter = nn.Parameter(torch.ones(2, 2))
    first = DecoupledSGD([parameter], lr=0.1, weight_decay=0.2, momentum=0.9)
    parameter.grad = torch.ones(2, 2)
    first.step()
    resumed = DecoupledSGD([nn.Parameter(torch.ones(2, 2))], lr=1.0, weight_decay=0.0, momentum=0.0)
    resumed.load_state_dict(first.state_dict())
    group = resumed.param_groups[0]
    assert (group["lr"], group["weight_decay"], group["momentum"]) == (0.1, 0.2, 0.9)


def learning_rates(lr: float, schedule: Schedule, steps_per_epoch: int, steps: int) -> list[float]:
    """Return the rate of every step, from the first on."""
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make_schedule(optimizer, lr, schedule, steps_per_epoch)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_warms_up_and_decays_as_computed_by_hand():
    rates = learning_rates(0.44, Schedule(epochs=10, warmup_epochs=2, final_lr=0.04), 5, 60)
    assert rates[:11] == pytest.approx(
        [0.04 * (step + 1) for step in range(11)]
    )  # tenths of the way from 0, at step 10
    assert rates[10] == max(rates)
    assert rates[20] == pytest.approx(0.04 + 0.4 * 0.8535533905932737)  # a quarter: (1 + cos 45 degrees) / 2
    assert rates[30] == pytest.approx(0.04 + 0.4 * 0.5)
    assert rates[40] == pytest.approx(0.04 + 0.4 * 0.1464466094067263)
    assert rates[50:] == pytest.approx([0.04] * 10)


def test_without_warmup_it_starts_at_the_peak():
    rates = learning_rates(0.3, Schedule(epochs=4), 2, 9)
    assert rates[0] == 0.3
    assert rates[4] == pytest.approx(0.15)
    assert rates[8] == pytest.approx(0.0, abs=1e-12)


def test_warmup_may_last_a_part_of_an_epoch():
    rates = learning_rates(1.0, Schedule(epochs=3, warmup_epochs=0.5), 8, 24)
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(later < earlier for earlier, later in pairwise(rates[4:]))
