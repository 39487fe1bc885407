"""Attention to another sequence and under masks, the decoder's block, pooling by a query, beside their references."""

from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

import vit
from vit.explanations.token_trunks import token_trunk
from vit.model import load
from vit.models.attention import Attention, causal_mask
from vit.models.decoder import DecoderBlock
from vit.models.interface import structure_of

D, HEADS = 48, 4
SMALL = {"patch_size": 4, "embed_dim": D, "depth": 3, "num_heads": HEADS}


def copied(theirs: nn.MultiheadAttention, ours: Attention) -> None:
    theirs.in_proj_weight.data.copy_(ours.qkv.weight)
    theirs.in_proj_bias.data.copy_(ours.qkv.bias)
    theirs.out_proj.load_state_dict(ours.proj.state_dict())


@pytest.mark.parametrize("masked", [False, True])
def test_attention_to_another_sequence_is_torch_s(masked: bool, randomize: Callable) -> None:
    ours, theirs = randomize(Attention(D, HEADS)), nn.MultiheadAttention(D, HEADS, batch_first=True)
    copied(theirs, ours)
    x, context = torch.randn(2, 5, D), torch.randn(2, 9, D)
    mask = torch.rand(5, 9) > 0.4 if masked else None
    if mask is not None:
        mask[:, 0] = True  # who may look at nobody has no answer
    with torch.no_grad():
        expected, _ = theirs(x, context, context, attn_mask=None if mask is None else ~mask)
        assert torch.allclose(ours(x, context=context, mask=mask), expected, atol=1e-5)
        assert torch.allclose(ours(x, context=x), ours(x), atol=1e-6), "itself as a context"


def test_what_comes_later_changes_nothing_but_what_all_may_see(randomize: Callable) -> None:
    layer, x = randomize(Attention(D, HEADS)), torch.randn(1, 8, D)
    for place in range(8):
        other = x.clone()
        other[:, place] += 1
        for prefix in (0, 3):
            mask = causal_mask(8, prefix)
            with torch.no_grad():
                moved = (layer(x, mask=mask) - layer(other, mask=mask)).abs().amax((0, 2)) > 0
            expected = torch.arange(8) >= place if place >= prefix else torch.ones(8, dtype=torch.bool)
            assert torch.equal(moved, expected)


@pytest.mark.parametrize("order", ["post", "pre"])
def test_the_decoder_s_block_is_torch_s(order, randomize: Callable) -> None:
    ours = randomize(DecoderBlock(D, HEADS, 4 * D, norm_order=order)).eval()
    theirs = nn.TransformerDecoderLayer(
        D, HEADS, 4 * D, 0.0, "gelu", batch_first=True, norm_first=order == "pre"
    ).eval()
    copied(theirs.self_attn, ours.self_attn)
    copied(theirs.multihead_attn, ours.cross_attn)
    pairs = {theirs.linear1: ours.mlp.fc1, theirs.linear2: ours.mlp.fc2}
    pairs |= {theirs.norm1: ours.norm1, theirs.norm2: ours.norm2, theirs.norm3: ours.norm3}
    for other, layer in pairs.items():
        other.load_state_dict(layer.state_dict())
    x, encoded, mask = torch.randn(2, 6, D), torch.randn(2, 11, D), causal_mask(6)
    with torch.no_grad():
        assert torch.allclose(ours(x, encoded, mask), theirs(x, encoded, tgt_mask=~mask), atol=1e-5)


def test_stochastic_depth_in_a_decoder_keeps_samples_with_their_images(randomize: Callable) -> None:
    block = randomize(DecoderBlock(D, HEADS, D, drop_path=0.5)).train()
    x, encoded = torch.randn(8, 3, D), torch.randn(8, 5, D)
    assert block(x, encoded).shape == x.shape


def test_pooling_by_a_query_is_timm_s(randomize: Callable, assert_same_outputs: Callable) -> None:
    theirs = timm.create_model(
        "vit_base_patch16_siglip_224", img_size=(24, 32), num_classes=5, act_layer="gelu_tanh", **SMALL
    )
    ours = vit.create_model(
        "vit",
        num_classes=5,
        image_size=(24, 32),
        pool="map",
        class_token=False,
        activation="gelu_tanh",
        **SMALL,
    )
    ours.load_state_dict(randomize(theirs).state_dict())
    assert_same_outputs(ours, theirs, torch.randn(2, 3, 24, 32), ["blocks.2", "attn_pool"])
    assert "attn_pool.latent" in structure_of(ours).undecayed and token_trunk(ours) is None


@pytest.mark.parametrize("to", ["timm", "onnx"])
def test_a_model_that_pools_by_a_query_learns_and_is_exported(to: str, photo_root: Path, tmp_path: Path) -> None:
    overrides = {
        "data.name": "folder",
        "data.path": str(photo_root),
        "data.image_size": 16,
        "model.pool": "map",
        "model.class_token": False,
        "schedule.epochs": 2,
        "schedule.warmup_epochs": 1,
        "training.batch_size": 8,
    }
    trained = vit.train("digits_vit", out=tmp_path / "run", overrides=overrides)
    assert load(trained.path).architecture.options["pool"] == "map"
    assert vit.evaluate(trained.path).scores["num_images"] > 0
    assert vit.export(trained.path, to=to, out=tmp_path / to).is_dir()
