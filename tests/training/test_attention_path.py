"""Attention by two matrix products is the fused kernel's, and is taken where it was measured to be faster."""

import json

import pytest
import torch

from vit.models import create_model
from vit.models.vision_transformer import Attention
from vit.training import measured
from vit.training.attention_path import choose_attention_path

SIZE = (16, 16)


@pytest.fixture
def memory(tmp_path, monkeypatch):
    path = tmp_path / "measured.json"
    monkeypatch.setattr(measured, "MEMORY", path)
    return path


def small() -> torch.nn.Module:
    return create_model("vit", num_classes=3, image_size=SIZE, patch_size=4, embed_dim=24, depth=2, num_heads=3)


def paths(module: torch.nn.Module) -> set[str]:
    return {part.path for part in module.modules() if isinstance(part, Attention)}


def test_both_ways_give_the_same_values_and_gradients():
    torch.manual_seed(0)
    layer = Attention(24, 3)
    found = []
    for path in ("fused", "plain"):
        layer.path = path
        layer.zero_grad()
        x = torch.linspace(-1, 1, 2 * 17 * 24).reshape(2, 17, 24).requires_grad_()
        y = layer(x)
        y.square().sum().backward()
        found.append([y.detach(), x.grad, *(parameter.grad.clone() for parameter in layer.parameters())])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_the_faster_way_is_taken_and_told(memory):
    choose_attention_path(small(), SIZE, "bf16", "cpu")
    ((what, ratio),) = json.loads(memory.read_text()).items()
    assert "17 tokens, 3 heads of 8, bf16" in what and ratio > 0
    for remembered, path in ((1.6, "plain"), (1.05, "fused"), (0.5, "fused")):
        memory.write_text(json.dumps({what: remembered}))
        module = small()
        line = choose_attention_path(module, SIZE, "bf16", "cpu")
        assert paths(module) == {path}
        told = "attention as matrix products, 1.6 times as fast as the fused kernel here"
        assert line == (told if path == "plain" else None)


@pytest.mark.parametrize(("precision", "device"), [("fp32", "cpu"), ("bf16", "cuda")])
def test_elsewhere_nothing_is_measured(memory, precision, device):
    module = small()
    assert choose_attention_path(module, SIZE, precision, device) is None
    assert paths(module) == {"fused"} and not memory.exists()


def test_a_network_without_attention_is_left_alone(memory):
    module = create_model("resnet18", num_classes=3, image_size=SIZE)
    assert choose_attention_path(module, SIZE, "bf16", "cpu") is None and not memory.exists()
