"""Our own bf16 kernels compute what autocast does, and are taken where they were measured to be faster."""

import json
import pickle
from copy import deepcopy

import pytest
import torch

from vit import create_model
from vit.kernels import bf16
from vit.kernels.bf16 import Bf16Attention, Bf16MLP, use_bf16_kernels
from vit.kernels.choose import choose_kernels
from vit.kernels.packed_linear import bf16_supported

SIZE = (16, 16)
needs_bf16 = pytest.mark.skipif(not bf16_supported(), reason="the processor has no instructions for bf16")


@pytest.fixture
def memory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vit" / "measured.json"


def small(**options) -> torch.nn.Module:
    shape = {"patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3}
    return create_model("vit", num_classes=3, image_size=SIZE, **shape, **options)


def is_quick(module: torch.nn.Module) -> bool:
    return any(isinstance(part, Bf16Attention | Bf16MLP) for part in module.modules())


def gradients(block: torch.nn.Module, x: torch.Tensor, bf16: bool) -> list[torch.Tensor]:
    """Return the output of a block, and the gradients of its input and parameters."""
    x = x.detach().clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        y = block(x)
    y.float().square().sum().backward()
    return [y.detach(), x.grad, *(parameter.grad for parameter in block.parameters())]


def distances(found: list[torch.Tensor], exact: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack([(a.double() - b).norm() / b.norm() for a, b in zip(found, exact, strict=True)])


@needs_bf16
def test_values_and_gradients_are_as_near_to_the_exact_ones_as_those_of_autocast():
    torch.manual_seed(0)
    usual = small().blocks[0]
    for parameter in usual.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(5, 17, 24)
    quick = deepcopy(usual)
    use_bf16_kernels(quick)
    exact = gradients(deepcopy(usual).double(), x.double(), bf16=False)
    of_usual, of_quick = (distances(gradients(block, x, bf16=True), exact) for block in (usual, quick))
    assert of_quick.max() < 0.05 and (of_quick < 1.5 * of_usual + 1e-3).all()


@needs_bf16
@pytest.mark.parametrize("kept", [0, 17])
def test_heads_in_groups_and_attention_computed_again_give_the_same_bits(monkeypatch, kept):
    torch.manual_seed(0)
    block, x = small().blocks[0], torch.randn(5, 17, 24)
    use_bf16_kernels(block)
    at_once = gradients(deepcopy(block), x, bf16=True)
    monkeypatch.setattr(bf16, "CACHED_SCORES", 2 * 17**2)  # two of 15 heads; the last is alone
    monkeypatch.setattr(bf16, "MOST_KEPT_TOKENS", kept)
    for a, b in zip(gradients(block, x, bf16=True), at_once, strict=True):
        assert torch.equal(a, b)


def test_without_autocast_nothing_changes():
    torch.manual_seed(0)
    usual, x = small().blocks[0], torch.randn(5, 17, 24)
    quick = deepcopy(usual)
    use_bf16_kernels(quick)
    for a, b in zip(gradients(usual, x, bf16=False), gradients(quick, x, bf16=False), strict=True):
        assert torch.equal(a, b)
    assert list(quick.state_dict()) == list(usual.state_dict())


@needs_bf16
def test_frozen_layers_get_no_gradients():
    torch.manual_seed(0)
    block = small().blocks[0]
    use_bf16_kernels(block)
    block.requires_grad_(False)
    block.mlp.fc2.bias.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        block(torch.randn(2, 17, 24)).float().sum().backward()
    assert [name for name, parameter in block.named_parameters() if parameter.grad is not None] == ["mlp.fc2.bias"]


def test_other_activations_keep_their_own_layer():
    swiglu = small(activation="swiglu")
    use_bf16_kernels(swiglu)
    assert isinstance(swiglu.blocks[0].attn, Bf16Attention) and not isinstance(swiglu.blocks[0].mlp, Bf16MLP)


@pytest.mark.parametrize("training", [True, False])
def test_the_parameters_and_their_names_stay_in_the_layers_that_compute_otherwise(training):
    module = small().train(training)
    before = dict(module.named_parameters())
    use_bf16_kernels(module)
    after = dict(module.named_parameters())
    assert list(before) == list(after) and all(after[name] is before[name] for name in before)
    assert all(part.training == training for part in module.modules())
    for copy in (deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert is_quick(copy) and copy.blocks[1].attn.num_heads == 3
        assert all(torch.equal(tensor, copy.state_dict()[name]) for name, tensor in module.state_dict().items())


@needs_bf16
def test_the_faster_way_is_taken_and_told(memory):
    choose_kernels(small(), SIZE, "bf16", "cpu")
    ((what, ratio),) = json.loads(memory.read_text()).items()
    assert "17 tokens, 3 heads, width 24, hidden 96" in what and ratio > 0
    for remembered, taken in ((1.6, True), (1.0, False), (0.5, False)):
        memory.write_text(json.dumps({what: remembered}))
        module = small()
        line = choose_kernels(module, SIZE, "bf16", "cpu")
        assert is_quick(module) == taken
        assert line == ("blocks by our own bf16 kernels, 1.60 times as fast as the usual ones here" if taken else None)


@pytest.mark.parametrize(("precision", "device"), [("fp32", "cpu"), ("bf16", "cuda")])
def test_elsewhere_nothing_is_measured(memory, precision, device):
    module = small()
    assert choose_kernels(module, SIZE, precision, device) is None
    assert not is_quick(module) and not memory.exists()


def test_a_network_without_attention_is_left_alone(memory):
    module = create_model("resnet18", num_classes=3, image_size=SIZE)
    assert choose_kernels(module, SIZE, "bf16", "cpu") is None and not memory.exists()
