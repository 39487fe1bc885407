"""What is seen inside of models, on models whose inside is known."""

import numpy as np
import pytest
import torch
from torch import nn

from vit import create_model
from vit.explanations import internals


@pytest.fixture
def vit() -> nn.Module:
    torch.manual_seed(0)
    options = {"patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2}
    return create_model("vit", num_classes=3, image_size=(16, 24), **options).eval()


INPUTS = torch.randn(3, 3, 16, 24, generator=torch.Generator().manual_seed(0))


def test_attention_that_looks_everywhere_has_the_mean_distance_of_patches(vit):
    for block in vit.blocks:
        nn.init.zeros_(block.attn.qkv.weight)
        nn.init.zeros_(block.attn.qkv.bias)
    places = np.stack(np.meshgrid(range(4), range(6), indexing="ij"), -1).reshape(-1, 2)
    mean = np.linalg.norm(places[:, None] - places[None], axis=-1).mean() / 6
    assert internals.attention_distance(vit, INPUTS) == pytest.approx(np.full((2, 2), mean), abs=1e-5)


def test_attention_to_the_patch_itself_has_no_distance(vit):
    """Queries and keys are the positions, of one length in each head."""
    positions = torch.randn(1, 25, 2, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        vit.pos_embed.copy_(1000 * (positions / positions.norm(dim=-1, keepdim=True)).flatten(2))
        vit.blocks[0].norm1 = nn.Identity()
        vit.blocks[0].attn.qkv.weight.copy_(torch.cat([torch.eye(16)] * 3))
        vit.blocks[0].attn.qkv.bias.zero_()
    assert internals.attention_distance(vit, INPUTS)[0].max() < 0.01


def test_positions_are_most_like_themselves(vit):
    maps = internals.position_similarity(vit)
    assert maps.shape == (4, 6, 4, 6)
    assert all(maps[i, j, i, j] == pytest.approx(1, abs=1e-5) for i in range(4) for j in range(6))
    assert np.abs(maps).max() <= 1 + 1e-5
    large = create_model("vit", num_classes=3, image_size=48, patch_size=4, embed_dim=16, depth=1, num_heads=2)
    assert internals.position_similarity(large).shape == (7, 7, 12, 12)


def test_the_field_of_two_convolutions_is_five_pixels_wide():
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1), nn.AdaptiveAvgPool2d(1))
    field = internals.receptive_field(module, INPUTS)
    rows, columns = np.nonzero(field)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 10, 10, 14)
    assert field.sum() == pytest.approx(1)
    assert internals.area_of_most(field) <= 25 / (16 * 24)


def test_a_model_without_maps_has_no_field():
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    assert internals.receptive_field(module, INPUTS) is None


@pytest.mark.parametrize("name", ["resnet_cifar", "timm/mobilenetv3_small_050", "timm/vit_tiny_patch16_224"])
def test_any_model_can_be_looked_into(name):
    size = 224 if "patch16" in name else 32
    module = create_model(name, num_classes=3, image_size=size).eval()
    found = internals.measure(module, torch.randn(2, 3, size, size))
    assert (found["receptive_field"] is None) == ("patch16" in name) or found["receptive_field"]["area"] <= 1
    assert found["attention_distance"] is None


def test_looking_changes_nothing(vit):
    before = vit(INPUTS)
    found = internals.measure(vit, INPUTS)
    assert vit(INPUTS).equal(before)
    assert all(not part._forward_hooks for part in vit.modules())
    assert np.array(found["attention_distance"]).shape == (2, 2)
    assert found["receptive_field"]["area"] > 0.5  # attention sees everything
