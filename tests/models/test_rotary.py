"""Rotary positions beside timm's, and what they are for: attention sees how far patches lie apart, and not where."""

from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor, nn

import vit
from vit.errors import UserError
from vit.explanations.token_trunks import attention_of, token_trunk
from vit.models.rotary import AxialRotaryAttention, MixedRotaryAttention
from vit.models.vision_transformer import all_tokens

WIDE = {"patch_size": 16, "embed_dim": 384, "depth": 2, "num_heads": 6, "layer_scale": 1e-5}
SMALL = {"patch_size": 4, "embed_dim": 48, "depth": 3, "num_heads": 4}
KINDS = ("rope", "rope_mixed")


def of_timm(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of timm's rotary model under our names; its frequencies are [2, depth, H, D/H/2]."""
    renamed = {name.replace("gamma_", "ls"): tensor for name, tensor in tensors.items() if name != "rope.freqs"}
    named = {f"{name}.gamma" if ".ls" in name else name: tensor for name, tensor in renamed.items()}
    turns = tensors["rope.freqs"].unbind(1) if "rope.freqs" in tensors else ()
    return named | {f"blocks.{i}.attn.frequencies": part for i, part in enumerate(turns)}


@pytest.mark.parametrize("size", [224, 384])
@pytest.mark.parametrize("kind", KINDS)
def test_the_logits_are_those_of_timm(kind: str, size: int, randomize: Callable) -> None:
    theirs = timm.create_model(f"vit_small_patch16_{kind}_224", depth=2, num_classes=7, dynamic_img_size=True)
    theirs = randomize(theirs).eval()
    ours = vit.create_model("vit", num_classes=7, image_size=224, positions=kind, **WIDE).eval()
    ours.load_state_dict(of_timm(theirs.state_dict()))
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        assert torch.allclose(ours(images), theirs(images), atol=1e-5)


@pytest.mark.parametrize("kind", [AxialRotaryAttention, MixedRotaryAttention])
def test_products_of_queries_and_keys_depend_on_the_offset_alone(kind: type) -> None:
    attention = kind((5, 7), 1, 48, 4)
    q, k, _ = attention.heads(torch.ones(1, 1 + 35, 48))  # the same everywhere, so that places alone tell
    products = (q @ k.transpose(-2, -1))[0, :, 1:, 1:].unflatten(2, (5, 7)).unflatten(1, (5, 7))
    assert torch.allclose(products[:, 0, 0, 2, 3], products[:, 2, 1, 4, 4], atol=1e-5)
    assert torch.allclose(products[:, 4, 5, 1, 2], products[:, 3, 3, 0, 0], atol=1e-5)
    assert not torch.allclose(products[:, 0, 0, 2, 3], products[:, 0, 0, 3, 3], atol=1e-3)
    assert torch.allclose(q.norm(dim=-1), q.norm(dim=-1)[..., :1].expand(1, 4, 36), atol=1e-5), "turned, not stretched"
    plain, _, _ = attention.stacked_heads(torch.ones(1, 36, 48))
    assert torch.equal(q[:, :, 0], plain[:, :, 0]), "the prefix has no place"


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_block_gives_what_it_gives_with_all_tokens_and_attention_can_be_seen(kind: str, randomize) -> None:
    module = randomize(vit.create_model("vit", num_classes=5, image_size=(24, 32), positions=kind, **SMALL)).eval()
    images = torch.randn(2, 3, 24, 32)
    with torch.no_grad(), all_tokens(module):
        whole = module(images)
    assert torch.allclose(module(images), whole, atol=1e-5)
    trunk = token_trunk(module)
    assert trunk
    for block in attention_of(module, trunk, images):  # raises where the weights do not give the block's output
        assert torch.allclose(block.weights.sum(-1), torch.ones(()), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_in_bfloat16_the_places_stay_exact(kind: str, randomize) -> None:
    module: nn.Module = randomize(vit.create_model("vit", num_classes=5, image_size=64, positions=kind, **SMALL)).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        exact = module(images)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = module(images)
    assert (rounded - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_heads": 8}, "whose width 4 divides, given 6"),
        ({"mixer": "linear"}, "turn the queries and keys of attention, given mixer linear"),
        ({"patch_dropout": 0.5}, "positions rope need every patch: patch_dropout 0"),
    ],
)
def test_what_does_not_go_together_is_told(options: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        vit.create_model("vit", num_classes=2, image_size=16, positions="rope", **SMALL | options)


@pytest.mark.parametrize("options", [{"positions": "rope"}, {"mixer": "pooling", "class_token": False, "pool": "mean"}])
def test_images_of_another_shape_are_refused_and_not_misread(options: dict) -> None:
    module = vit.create_model("vit", num_classes=2, image_size=24, **SMALL, **options)
    with pytest.raises(ValueError, match="4 x 9 are not of the model's shape, 6 x 6"):  # as many patches
        module(torch.randn(1, 3, 16, 36))
    assert module(torch.randn(1, 3, 48, 48)).shape == (1, 2)


def test_learned_turns_are_not_decayed() -> None:
    from vit.models.interface import structure_of

    module = vit.create_model("vit", num_classes=2, image_size=24, positions="rope_mixed", **SMALL)
    assert {f"blocks.{i}.attn.frequencies" for i in range(3)} <= structure_of(module).undecayed
