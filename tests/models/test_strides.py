"""Strided 1x1 convolutions: equal numbers without the kernel that writes past its memory, whoever built them."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vit import create_model
from vit.models.strides import thin_out

SWEEP = Path(__file__).parents[2] / "tools" / "sweep_narrow_networks.py"


def test_narrow_networks_neither_crash_nor_err() -> None:
    """In processes of their own: before, a third of these shapes ended by a signal, hung or gave wrong gradients."""
    swept = subprocess.run([sys.executable, SWEEP, "--quick"], capture_output=True, text=True, timeout=600)
    assert swept.returncode == 0, swept.stdout


@pytest.mark.parametrize("stride", [2, 3, (2, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_computes_what_the_strided_convolution_does(stride, dtype: torch.dtype) -> None:
    layer = nn.Conv2d(16, 24, 1, stride).to(dtype)
    thin = thin_out(copy.deepcopy(layer))
    thin = pickle.loads(pickle.dumps(copy.deepcopy(thin)))  # as averaging and other processes do
    images = torch.randn(2, 16, 17, 14, dtype=dtype)
    ours, theirs = (images.clone().requires_grad_() for _ in range(2))
    found, expected = thin(ours), layer(theirs)
    torch.testing.assert_close(found, expected)
    gradient = torch.randn_like(found)
    found.backward(gradient)
    expected.backward(gradient)
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(thin.get_parameter("weight").grad, layer.weight.grad)
    assert thin.state_dict().keys() == layer.state_dict().keys()


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "timm/resnet18", "timm/test_resnet", "timm/skresnet18"])
def test_no_strided_1x1_convolution_reaches_a_library(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple] = []
    real = F.conv2d

    def watched(x, weight, bias=None, stride=1, *others, **options):
        seen.append((tuple(weight.shape[2:]), stride))
        return real(x, weight, bias, stride, *others, **options)

    monkeypatch.setattr(F, "conv2d", watched)
    create_model(name, num_classes=3, image_size=64).eval()(torch.randn(1, 3, 64, 64))
    assert len(seen) > 10
    assert not [s for s in seen if s[0] == (1, 1) and s[1] not in (1, (1, 1))]
