"""Maps of attention beside a dense reference in float64 that writes every weight down, of our models and of timm's."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import vit
from vit.explanations import attention_maps
from vit.explanations.methods import own_method
from vit.explanations.token_trunks import token_trunk
from vit.models import vision_transformer
from vit.models.vision_transformer import all_tokens

Dense = list[Tensor]  # every block's softmax weights, [B, H, N, N]
SHAPE = {"patch_size": 4, "embed_dim": 24, "depth": 3, "num_heads": 3, "mlp_ratio": 2.0}
OTHERS = {
    "vit_tiny_patch16_224": {"img_size": (48, 32)},
    "deit_tiny_distilled_patch16_224": {"img_size": 48},
    "vit_small_patch14_reg4_dinov2": {"img_size": 56, "depth": 4},
    "vit_base_patch16_rpn_224": {"img_size": 32, "depth": 2},
}


def redrawn(module: nn.Module, deviation: float = 0.3) -> nn.Module:
    """Return a module in which no part is what it began with: zeros would hide what is wrong."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * deviation / max(parameter.shape) ** 0.5)
    return module.eval()


@contextmanager
def written_down(module: nn.Module, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dense]:
    """Let attention be computed step by step, and every softmax be kept."""
    kept: Dense = []

    def attend(q: Tensor, k: Tensor, v: Tensor, **others: object) -> Tensor:
        weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
        kept.append(weights)
        return weights @ v

    with monkeypatch.context() as patch, all_tokens(module):
        patch.setattr(F, "scaled_dot_product_attention", attend)
        yield kept


def dense(module: nn.Module, images: Tensor, classes: Tensor, monkeypatch: pytest.MonkeyPatch) -> tuple[Dense, Dense]:
    """Return all attention of a copy in float64, and the gradients of the classes' logits by it."""
    copy = deepcopy(module).double()
    with written_down(copy, monkeypatch) as weights:
        logits = copy(images.double())
        slopes = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), weights, allow_unused=True)
    return weights, [torch.zeros_like(w) if slope is None else slope for w, slope in zip(weights, slopes, strict=True)]


def read(relation: Tensor, pool: str, prefix: int, grid: tuple[int, int]) -> Tensor:
    """Return what the head's rows of a relation [B, N, N] give each patch, the identity left out."""
    relation = relation - torch.eye(relation.shape[1], dtype=relation.dtype)
    first, second, patches = relation[:, 0], relation[:, 1], relation[:, prefix:].mean(1)
    row = {"cls": first, "cls_dist": (first + second) / 2, "mean": patches, "cls_mean": (first + patches) / 2}[pool]
    return row[:, prefix:].unflatten(1, grid)


def relevance(weights: Dense, slopes: Dense) -> Tensor:
    total = torch.eye(weights[0].shape[-1], dtype=torch.float64).expand(len(weights[0]), -1, -1)
    for block, slope in zip(weights, slopes, strict=True):
        total = total + (block * slope).clamp(min=0).mean(1) @ total
    return total


def followed(weights: Dense) -> Tensor:
    total = torch.eye(weights[0].shape[-1], dtype=torch.float64).expand(len(weights[0]), -1, -1)
    for block in weights:
        total = (block.mean(1) + torch.eye(block.shape[-1])) / 2 @ total
    return total


def check(module: nn.Module, images: Tensor, pool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trunk = token_trunk(module)
    assert trunk is not None and trunk.pool == pool
    classes = torch.tensor([1, 0])
    weights, slopes = dense(module, images, classes, monkeypatch)
    grid = trunk.grid_of(images)
    depth = len(weights)
    assert all(torch.allclose(w.sum(-1), torch.ones((), dtype=w.dtype)) for w in weights)
    same(
        attention_maps.gradient_weighted_attention(module, trunk, images, classes),
        read(relevance(weights, slopes), pool, trunk.prefix, grid),
    )
    kept = torch.eye(weights[0].shape[-1]) * (1 - 0.5**depth)  # `read` leaves the whole identity out, a rollout's share
    same(
        attention_maps.rollout(module, trunk, images, classes),
        read(followed(weights) + kept, pool, trunk.prefix, grid),
    )
    last = [read(w + torch.eye(w.shape[-1]), pool, trunk.prefix, grid) for w in weights[-1].unbind(1)]
    same(attention_maps.last_attention(module, trunk, images), torch.stack(last, 1))


def same(found: Tensor, expected: Tensor) -> None:
    expected = expected.detach()
    assert found.shape == expected.shape
    assert float((found.double() - expected).abs().max()) <= 1e-5 * float(expected.abs().max())


@pytest.mark.parametrize("size", [(16, 16), (16, 24), (24, 16)], ids=["square", "wide", "of another size"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pool": "mean"},
        {"pool": "mean", "class_token": False, "norm_after_pool": True},
        {"pool": "cls_mean", "registers": 4},
        {"pool": "cls_dist"},
        {"registers": 4, "class_position": False, "layer_scale": 0.5},
        {"pool": "cls_dist", "registers": 4, "class_position": False, "activation": "swiglu"},
    ],
    ids=lambda options: "-".join(f"{value}" for value in options.values()) or "plain",
)
def test_maps_are_those_of_dense_attention(options, size, monkeypatch) -> None:
    trained_at = (16, 16) if size == (24, 16) else size
    module = redrawn(vit.create_model("vit", num_classes=3, image_size=trained_at, **SHAPE, **options))
    check(module, torch.randn(2, 3, *size), options.get("pool", "cls"), monkeypatch)


@pytest.mark.parametrize("name", OTHERS)
def test_maps_of_timms_transformers_are_those_of_dense_attention(name, monkeypatch) -> None:
    module = redrawn(timm.create_model(name, num_classes=3, **OTHERS[name]))
    images = torch.randn(2, 3, *module.patch_embed.img_size)
    pool = "cls_dist" if "distilled" in name else {"token": "cls", "avg": "mean"}[module.global_pool]
    check(module, images, pool, monkeypatch)
    assert own_method(module, images) == "attention"


def test_a_model_of_timm_has_the_same_maps_as_ours(monkeypatch) -> None:
    theirs = redrawn(timm.create_model("vit_tiny_patch16_224", num_classes=3, img_size=32))
    ours = vit.create_model("vit_tiny", num_classes=3, image_size=32)
    ours.load_state_dict(theirs.state_dict())
    images, classes = torch.randn(2, 3, 32, 32), torch.tensor([0, 2])
    maps = [
        attention_maps.gradient_weighted_attention(m.eval(), token_trunk(m), images, classes) for m in (ours, theirs)
    ]
    assert torch.allclose(*maps, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "vit_base_patch16_siglip_224", "convnext_atto"])
def test_models_that_cannot_be_followed_have_no_method_of_their_own(name) -> None:
    module = timm.create_model(name, num_classes=3).eval()
    assert own_method(module, torch.randn(1, 3, 224, 224)) is None


def test_a_gate_behind_the_heads_is_found_and_not_guessed_at() -> None:
    """Attention whose output is not A V: as timm's `gated`, here a factor that nobody announced."""
    module = redrawn(vit.create_model("vit", num_classes=3, image_size=16, **SHAPE))
    proj = module.blocks[0].attn.proj
    proj.register_forward_pre_hook(lambda part, arguments: (arguments[0] * 2,))
    with pytest.raises(vit.UserError, match="cannot be written down"):
        attention_maps.rollout(module, token_trunk(module), torch.randn(1, 3, 16, 16), torch.tensor([0]))
    assert own_method(module, torch.randn(1, 3, 16, 16)) is None


def test_every_pool_can_be_read_but_the_one_that_looks_by_itself() -> None:
    read = {"cls", "mean", "cls_mean", "cls_dist"}
    assert set(vision_transformer.POOLS) == read | {"map"}
    module = redrawn(vit.create_model("vit", num_classes=3, image_size=16, pool="map", class_token=False, **SHAPE))
    assert token_trunk(module) is None and own_method(module, torch.randn(1, 3, 16, 16)) is None
