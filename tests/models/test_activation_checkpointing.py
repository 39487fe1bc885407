"""Activations computed twice: the same loss, gradients and statistics to the last bit, and less memory."""

import pickle
import weakref
from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vit import UserError, create_model
from vit.models.activation_checkpointing import checkpoint_activations
from vit.models.layers import parameters_by_layer
from vit.models.vision_transformer import VisionTransformer

BLOCKS = {"depths": [2, 2], "width": 16, "stem": "7x7"}
MODELS = {
    "vit": {"embed_dim": 48, "num_heads": 3, "depth": 3, "patch_size": 8, "drop_path": 0.5},
    "resnet": BLOCKS | {"block": "basic", "attention": "cbam", "drop_path": 0.5},
    "resnet_cifar": {"depths": [2, 1], "block": "bottleneck", "attention": "se"},
    "timm/test_vit": {"drop_path_rate": 0.5},
    "timm/test_efficientnet": {"drop_path_rate": 0.5},
    "timm/test_resnet": {"drop_path_rate": 0.5},
}
OURS = ["vit", "resnet"]
DTYPES = [None, torch.bfloat16]


@pytest.fixture
def build(randomize: Callable) -> Callable[[str], tuple[nn.Module, Tensor]]:
    """Return the function from a name to that model and images."""

    def make(name: str) -> tuple[nn.Module, Tensor]:
        module = create_model(name, num_classes=3, image_size=32, **MODELS[name])
        return randomize(module), torch.randn(4, 3, 32, 32)

    return make


def recomputed(module: nn.Module) -> nn.Module:
    module = deepcopy(module)
    checkpoint_activations(module)
    return module


def trained(module: nn.Module, images: Tensor, dtype: torch.dtype | None = None) -> dict[str, Tensor | None]:
    """Return the loss, every gradient and every buffer after two passes of a batch."""
    torch.manual_seed(1)
    module.train()
    for _ in range(2):
        with torch.autocast("cpu", dtype, enabled=dtype is not None):
            loss = F.cross_entropy(module(images).float(), torch.tensor([0, 1, 2, 0]))
        loss.backward()
    gradients = {f"gradient of {name}": parameter.grad for name, parameter in module.named_parameters()}
    return {"loss": loss.detach(), "next random number": torch.rand(1)} | gradients | dict(module.named_buffers())


def assert_equal(found: dict[str, Tensor | None], expected: dict[str, Tensor | None]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        other = found[name]
        assert (other is None) == (value is None), name
        assert other is None or value is None or other.equal(value), name


@pytest.mark.parametrize("dtype", DTYPES, ids=["fp32", "bf16"])
@pytest.mark.parametrize("name", MODELS)
def test_nothing_but_the_memory_changes(build: Callable, name: str, dtype: torch.dtype | None) -> None:
    module, images = build(name)
    assert_equal(trained(recomputed(module), images, dtype), trained(module, images, dtype))


@pytest.mark.parametrize("name", MODELS)
def test_twice_is_once(build: Callable, name: str) -> None:
    module, images = build(name)
    assert_equal(trained(recomputed(recomputed(module)), images), trained(module, images))


@pytest.mark.parametrize("name", OURS)
def test_a_part_may_be_frozen(build: Callable, name: str) -> None:
    module, images = build(name)
    for layer in parameters_by_layer(module)[:3]:
        for parameter in layer:
            module.get_parameter(parameter).requires_grad_(False)
    assert_equal(trained(recomputed(module), images), trained(module, images))


@pytest.mark.parametrize("name", MODELS)
def test_blocks_keep_their_input_alone(build: Callable, name: str) -> None:
    def bytes_held(module: nn.Module) -> int:
        storages: list[weakref.ref] = []
        for part in module.modules():
            part.register_forward_hook(lambda *call: storages.append(weakref.ref(call[2].untyped_storage())))
        logits = module.train()(images)
        alive = {storage._cdata: storage.nbytes() for storage in (ref() for ref in storages) if storage is not None}
        assert logits.requires_grad
        return sum(alive.values())

    module, images = build(name)
    assert bytes_held(recomputed(module)) < 0.8 * bytes_held(module)


@pytest.mark.parametrize("name", MODELS)
def test_names_and_evaluation_stay_the_same(build: Callable, name: str) -> None:
    module, images = build(name)
    other = recomputed(module)
    assert list(other.state_dict()) == list(module.state_dict())
    assert [key for key, _ in other.named_modules()] == [key for key, _ in module.named_modules()]
    assert parameters_by_layer(other) == parameters_by_layer(module)
    assert other.eval()(images).equal(module.eval()(images))


@pytest.mark.parametrize("name", MODELS)
def test_copies_recompute_too(build: Callable, name: str) -> None:
    module, images = build(name)
    other = recomputed(module)
    expected = trained(module, images)
    assert_equal(trained(deepcopy(other), images), expected)
    if not isinstance(module, VisionTransformer):  # which cannot be pickled: its pooling is a lambda
        assert_equal(trained(pickle.loads(pickle.dumps(other)), images), expected)


@pytest.mark.parametrize("name", OURS)
def test_evaluation_computes_once(build: Callable, name: str) -> None:
    module, images = build(name)
    calls: list[nn.Module] = []
    for part in module.modules():
        part.register_forward_hook(lambda part, *_: calls.append(part))
    checkpoint_activations(module)
    logits = module.eval()(images)
    forward = len(calls)
    logits.sum().backward()
    assert len(calls) == forward > 0


def test_a_model_without_blocks_is_refused() -> None:
    with pytest.raises(UserError, match="Linear cannot recompute its activations: that takes a model of `vit models`"):
        checkpoint_activations(nn.Linear(3, 3))


def test_a_model_that_timm_cannot_recompute_is_refused() -> None:
    module = create_model("timm/inception_v4", num_classes=3)
    with pytest.raises(UserError, match="timm's InceptionV4 cannot recompute its activations: "):
        checkpoint_activations(module)
