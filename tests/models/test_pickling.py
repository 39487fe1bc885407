"""A model can be sent to another process, or saved whole, as those of timm and torchvision can."""

import pickle
from typing import Any

import pytest
import torch

from vit import create_model
from vit.models.blocks import ACTIVATIONS
from vit.models.vision_transformer import POOLS
from vit.registry import MODELS

SMALL = {"vit": {"embed_dim": 24, "depth": 2, "num_heads": 2}, "resnet": {"block": "basic", "depths": [1, 1]}}
CASES = [(name, SMALL.get(name, {"depth": 2} if name.startswith("vit") else {})) for name in MODELS]
CASES += [("vit", SMALL["vit"] | {"pool": pool, "layer_scale": 0.1, "norm_before": True}) for pool in POOLS]
CASES += [("vit", SMALL["vit"] | {"activation": activation, "norm_after_pool": True}) for activation in ACTIVATIONS]
CASES += [("resnet", SMALL["resnet"] | {"attention": attention}) for attention in ("se", "eca", "cbam", "spatial")]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_pickled_model_answers_as_before(name: str, options: dict[str, Any]) -> None:
    module = create_model(name, num_classes=3, image_size=112, **options).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.02)  # heads begin at zero, and would answer alike
    images = torch.randn(1, 3, 112, 112)
    with torch.inference_mode():
        assert torch.equal(pickle.loads(pickle.dumps(module))(images), module(images))
