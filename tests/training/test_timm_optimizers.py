"""Every optimizer of timm by its name: that it learns, whom it decays, that it resumes, and what is refused before."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from io import BytesIO

import pytest
import torch
import torch.nn.functional as F
from timm.optim import get_optimizer_info, list_optimizers
from torch import nn
from torch.optim import SGD

from vit import UserError, create_model
from vit.recipe import Optimizer
from vit.training import timm_optimizers
from vit.training.optim import make_optimizer, parameter_groups, state_bytes

ALL = list_optimizers()
NEED_CUDA = [name for name in ALL if isinstance(get_optimizer_info(name).opt_class, str)]  # of apex and bitsandbytes
USABLE = [name for name in ALL if name not in NEED_CUDA and not get_optimizer_info(name).second_order]
USABLE += [f"lookahead_{name}" for name in ("sgd", "adamw", "lion", "lamb")]
VIT = {"embed_dim": 16, "depth": 1, "num_heads": 2, "patch_size": 4}

pytestmark = pytest.mark.filterwarnings("ignore:.*opt_einsum.*:UserWarning")  # kron would be faster with it


@pytest.fixture(scope="module", autouse=True)
def uncompiled() -> Iterator[None]:
    """Kron compiles for every shape: most of a minute."""
    with torch.compiler.set_stance("force_eager"):
        yield


@pytest.fixture
def module(randomize: Callable) -> nn.Module:
    return randomize(create_model("vit", num_classes=3, image_size=8, **VIT))


def settings(name: str, weight_decay: float = 0.1, **options) -> Optimizer:
    return Optimizer(name=f"timm/{name}", lr=0.01, weight_decay=weight_decay, options=options)


def step(module: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    """Take a step along gradients that are drawn from the seed, whatever the weights."""
    torch.manual_seed(seed)
    for parameter in module.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("name", USABLE)
def test_two_steps_move_every_weight_to_a_number(module: nn.Module, name: str) -> None:
    timm_optimizers.check(settings(name), "cpu")
    optimizer, before = make_optimizer(module, settings(name)), weights(module)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(module(torch.randn(4, 3, 8, 8)), torch.tensor([0, 1, 2, 0])).backward()
        optimizer.step()
    for key, after in weights(module).items():
        assert after.isfinite().all(), key
        assert not after.equal(before[key]), key


@pytest.mark.parametrize("name", USABLE)
def test_matrices_and_kernels_alone_decay(module: nn.Module, name: str) -> None:
    moved = []
    for weight_decay in (0.0, 0.5):
        copy = deepcopy(module)
        optimizer = make_optimizer(copy, settings(name, weight_decay))
        for seed in (0, 1):
            step(copy, optimizer, seed)
        moved.append(weights(copy))
    decayed = {name for name, after in moved[0].items() if not after.equal(moved[1][name])}
    (first, _) = parameter_groups(module, settings(name))
    assert decayed == {name for name, p in module.named_parameters() if any(p is other for other in first["params"])}


@pytest.mark.parametrize("name", USABLE)
def test_a_resumed_optimizer_takes_the_same_next_steps(module: nn.Module, name: str) -> None:
    optimizer = make_optimizer(module, settings(name))
    saved, end = (8, 13) if name.startswith("lookahead") else (2, 4)  # look-ahead draws back in every sixth step
    for seed in range(saved):
        step(module, optimizer, seed)
    resumed_module, file = deepcopy(module), BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    resumed = make_optimizer(resumed_module, settings(name))
    resumed.load_state_dict(torch.load(file, weights_only=False))
    for seed in range(saved, end):
        step(module, optimizer, seed)
        step(resumed_module, resumed, seed)
    expected, found = weights(module), weights(resumed_module)
    assert all(found[key].equal(expected[key]) for key in expected)


@pytest.mark.parametrize("name", ["lamb", "lion", "muon"])
def test_layers_learn_at_their_own_rates(module: nn.Module, name: str) -> None:
    optimizer = make_optimizer(module, Optimizer(name=f"timm/{name}", lr=0.1, layer_decay=0.5))
    assert sorted({group["lr"] for group in optimizer.param_groups}) == pytest.approx([0.025, 0.05, 0.1])


def test_options_reach_the_optimizer(module: nn.Module) -> None:
    given = settings("lamb", betas=[0.8, 0.95], eps="1e-7", trust_clip=True)  # PyYAML reads 1e-7 as text
    timm_optimizers.check(given, "cpu")
    group = make_optimizer(module, given).param_groups[0]
    assert (group["betas"], group["eps"], group["trust_clip"]) == ((0.8, 0.95), 1e-7, True)


def test_defaults_are_those_of_the_optimizer(module: nn.Module) -> None:
    assert make_optimizer(module, settings("lion")).param_groups[0]["betas"] == (0.9, 0.99)
    assert len(make_optimizer(module, settings("adan")).param_groups[0]["betas"]) == 3
    assert make_optimizer(module, settings("nlars")).param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("AdamW", {}, "timm has no optimizer AdamW; did you mean adamw?"),
        ("cautious_adamw", {}, "timm has no optimizer cautious_adamw"),  # timm itself would read adamw
        ("lookahead_lamp", {}, "timm has no optimizer lamp; did you mean lamb?"),
        ("adahessian", {}, "needs second derivatives"),
        ("lamb", {"trust_clp": True}, "optimizer.trust_clp is not an option of timm/lamb; did you mean trust_clip?"),
        ("lamb", {"momentum": 0.9}, "optimizer.momentum is not an option of timm/lamb"),
        ("lars", {"betas": [0.9, 0.99]}, "optimizer.betas is not an option of timm/lars"),
        ("adamw", {"maximize": True}, "optimizer.maximize is not an option of timm/adamw"),
        ("adamw", {"betas": "fast"}, "timm/adamw refuses betas='fast'"),
        ("adan", {"betas": [0.9, 0.99]}, r"timm/adan refuses betas=\[0.9, 0.99\]"),
        ("adamw", {"differentiable": True}, "timm/adamw fails with differentiable=True"),
    ],
)
def test_what_cannot_train_is_refused(name: str, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        timm_optimizers.check(settings(name, **options), "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
@pytest.mark.parametrize("name", NEED_CUDA)
def test_optimizers_for_gpus_are_refused_without_one(name: str) -> None:
    with pytest.raises(UserError, match=f"timm/{name} cannot be used here: CUDA required"):
        timm_optimizers.check(settings(name), "cpu")


def test_schedule_free_optimizers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class ScheduleFree(SGD):
        def eval(self) -> None: ...

    monkeypatch.setattr("timm.optim.get_optimizer_class", lambda *_, **__: ScheduleFree)
    with pytest.raises(UserError, match="timm/sgd must be told of evaluation"):
        timm_optimizers.check(settings("sgd"), "cpu")


@pytest.mark.parametrize(("name", "copies"), [("lamb", 2), ("lion", 1), ("lookahead_lion", 1), ("mars", 3), ("sgd", 1)])
def test_what_an_optimizer_remembers_is_counted(module: nn.Module, name: str, copies: int) -> None:
    parameters = sum(parameter.nbytes for parameter in module.parameters())
    assert copies * parameters <= state_bytes(module, settings(name), "cpu") < (copies + 0.05) * parameters


def test_what_ours_remember_is_counted(module: nn.Module) -> None:
    parameters = sum(parameter.nbytes for parameter in module.parameters())
    steps = 4 * len(list(module.parameters()))
    assert state_bytes(module, Optimizer(name="adamw"), "cpu") == 2 * parameters + steps
    assert state_bytes(module, Optimizer(name="sgd"), "cpu") == parameters
    assert state_bytes(module, Optimizer(name="sgd", momentum=0.0), "cpu") == 0
    assert all(parameter.grad is None for parameter in module.parameters())
