"""The rivals of attention in a block: beside their references, in the same skeleton, with all that a model needs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm.models.metaformer import Pooling as TimmPooling
from timm.models.metaformer import SepConv
from timm.models.mlp_mixer import MixerBlock
from timm.models.sequencer import LSTM2d
from torch import nn

import vit
from vit.comparison.recipes import recipes_of
from vit.data.decoding.reading import read_image
from vit.errors import UserError
from vit.explanations.methods import own_method
from vit.explanations.token_trunks import token_trunk
from vit.files import read_csv
from vit.inference.packed_blocks import is_usual
from vit.model import load
from vit.models import mixers
from vit.models.flops import count_macs, count_parameters
from vit.models.interface import structure_of
from vit.models.mixers import MIXERS, TAKES_PREFIX
from vit.recipe import load_comparison

D, ROWS, COLUMNS, DEPTH = 48, 6, 8, 2
N = ROWS * COLUMNS
SMALL = {"patch_size": 4, "embed_dim": D, "depth": DEPTH, "num_heads": 4, "class_token": False, "pool": "mean"}
RIVALS = [name for name in MIXERS if name != "attention"]
PARAMETERS = {  # of a block's mixer
    "attention": 4 * D * D + 4 * D,
    "identity": 0,
    "pooling": 0,
    "shift": 0,
    "random": 0,
    "conv": 4 * D * D + 98 * D,
    "mlp": 4 * N * N + 3 * N,
    "lstm": 2 * 2 * (4 * (D // 4) * (D + D // 4) + 8 * (D // 4)) + D * D + D,
    "linear": 4 * D * D + 4 * D,
    "cluster": 3 * (D * D + D) + 2,
}
MACS = {
    "attention": 4 * N * D * D + 2 * N * N * D,
    "identity": 0,
    "pooling": 0,
    "shift": 0,
    "random": N * N * D,
    "conv": 4 * N * D * D + 98 * N * D,
    "mlp": 4 * N * N * D,
    "lstm": N * (4 * 4 * (D // 4) * (D + D // 4) + D * D),
    # Four maps, and for H heads of d channels with 2 d features: the features of q and k, k' v, q (k' v), q sum(k).
    "linear": 4 * N * D * D + 2 * (2 * N * D * 2 * (D // 4)) + N * 2 * D,
    "cluster": 3 * N * D * D + 3 * 4 * N * D,  # four centres a head: likenesses, gathering, giving back
}


def mixer(name: str, randomize: Callable) -> nn.Module:
    return randomize(MIXERS[name]((ROWS, COLUMNS), D, 4)).eval()


def tokens() -> torch.Tensor:
    return torch.randn(2, N, D)


def as_maps(x: torch.Tensor) -> torch.Tensor:
    return x.transpose(1, 2).unflatten(2, (ROWS, COLUMNS))


def test_pooling_is_timm_s(randomize) -> None:
    x = tokens()
    assert torch.allclose(as_maps(mixer("pooling", randomize)(x)), TimmPooling()(as_maps(x)), atol=1e-5)


def test_the_convolution_is_timm_s_with_another_activation(randomize) -> None:
    ours, theirs = mixer("conv", randomize), SepConv(D, act1_layer=nn.GELU).eval()
    for layer, other in (
        (ours.expand, theirs.pwconv1),
        (ours.depthwise, theirs.dwconv),
        (ours.project, theirs.pwconv2),
    ):
        other.weight.data.copy_(layer.weight)
    x = tokens()
    with torch.no_grad():
        assert torch.allclose(as_maps(ours(x)), theirs(as_maps(x)), atol=1e-5)


def test_the_token_mlp_is_that_of_timm_s_mixer_block(randomize) -> None:
    ours, theirs = mixer("mlp", randomize), MixerBlock(D, N, mlp_ratio=(2 * N / D, 4)).eval()
    theirs.mlp_tokens.load_state_dict(ours.state_dict())
    x = tokens()
    with torch.no_grad():
        expected = theirs.mlp_tokens(x.transpose(1, 2)).transpose(1, 2)
        assert torch.allclose(ours(x), expected, atol=1e-5)


def test_the_recurrent_mixer_is_timm_s(randomize) -> None:
    ours, theirs = mixer("lstm", randomize), LSTM2d(D, D // 4).eval()
    theirs.load_state_dict(ours.state_dict())
    x = tokens()
    with torch.no_grad():
        expected = theirs(x.unflatten(1, (ROWS, COLUMNS))).flatten(1, 2)
        assert torch.allclose(ours(x), expected, atol=1e-5)


def test_shifted_channels_come_from_the_patch_beside(randomize) -> None:
    x = tokens()
    before, after = as_maps(x), as_maps(mixer("shift", randomize)(x))
    count = D // 12
    ways = [(0, 1), (0, -1), (1, 0), (-1, 0)]  # the patch that each group of channels comes from
    for channel in range(D):
        down, right = ways[channel // count] if channel < 4 * count else (0, 0)
        for row in range(ROWS):
            for column in range(COLUMNS):
                inside = 0 <= row + down < ROWS and 0 <= column + right < COLUMNS
                expected = before[:, channel, row + down, column + right] if inside else torch.zeros(2)
                assert torch.equal(after[:, channel, row, column], expected)


def test_the_random_matrix_mixes_without_learning(randomize) -> None:
    layer = MIXERS["random"]((ROWS, COLUMNS), D, 4)
    assert not list(layer.parameters()) and "matrix" in layer.state_dict()
    assert torch.allclose(layer.matrix.sum(1), torch.ones(N))
    x = tokens()
    assert torch.allclose(layer(x), torch.einsum("nm,bmd->bnd", layer.matrix, x), atol=1e-5)


def test_clustering_is_its_definition(randomize) -> None:
    layer, x = mixer("cluster", randomize), tokens()
    with torch.no_grad():
        found = as_maps(layer(x))
        points, values = layer.point(as_maps(x)), layer.value(as_maps(x))
        for image in range(2):
            joined = []
            for head in range(4):
                part = slice(head * D // 4, (head + 1) * D // 4)
                p, v = points[image, part].flatten(1).T, values[image, part].flatten(1).T
                quarters = [(r, c) for r in (slice(0, 3), slice(3, 6)) for c in (slice(0, 4), slice(4, 8))]
                centres = torch.stack([points[image, part][:, r, c].mean((1, 2)) for r, c in quarters])
                given = torch.stack([values[image, part][:, r, c].mean((1, 2)) for r, c in quarters])
                cosine = F.cosine_similarity(p[:, None], centres[None], dim=-1)
                likeness = (layer.sharpness * cosine + layer.offset).sigmoid()
                best = likeness.argmax(1)
                gathered = torch.zeros_like(given)
                for c in range(4):
                    weights = likeness[best == c, c]
                    gathered[c] = (given[c] + (weights[:, None] * v[best == c]).sum(0)) / (1 + weights.sum())
                joined.append(likeness[range(N), best][:, None] * gathered[best])
            expected = layer.proj(torch.cat(joined, 1).T.unflatten(1, (ROWS, COLUMNS))[None])[0]
            assert torch.allclose(found[image], expected, atol=1e-5)


def test_linear_attention_nears_attention_as_its_features_grow(monkeypatch) -> None:
    errors = []
    for features in (4, 16, 64):
        monkeypatch.setattr(mixers, "FEATURES_PER_CHANNEL", features)
        apart = []
        for seed in range(60):
            torch.manual_seed(seed)
            layer = mixers.LinearAttention(D, 4)
            x = 0.5 * torch.randn(1, 32, D)
            q, k, v = layer.qkv(x).unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4)
            exact = layer.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
            apart.append((layer(x) - exact).square().mean().sqrt().item())
        errors.append(sum(apart) / len(apart))
    assert 1.8 < errors[0] / errors[1] < 2.2 and 1.8 < errors[1] / errors[2] < 2.2, errors


@pytest.mark.parametrize("name", MIXERS)
def test_parameters_and_products_are_those_of_the_formulas(name: str) -> None:
    build = lambda mixer: vit.create_model("vit", num_classes=5, image_size=(24, 32), mixer=mixer, **SMALL)  # noqa: E731
    plain, module = build("identity"), build(name)
    assert count_parameters(module) - count_parameters(plain) == DEPTH * PARAMETERS[name]
    assert count_macs(module, (24, 32)) - count_macs(plain, (24, 32)) == DEPTH * MACS[name]
    assert structure_of(module).family == "vit"


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_mixer_learns_saves_and_answers_as_it_was_scored(name, precision, photo_root, tmp_path: Path) -> None:
    overrides = {
        "data.name": "folder",
        "data.path": str(photo_root),
        "data.image_size": 32,
        "model.mixer": name,
        "model.patch_size": 8,
        "model.class_token": False,
        "model.pool": "mean",
        "model.depth": 2,
        "schedule.epochs": 12,
        "schedule.warmup_epochs": 1,
        "training.batch_size": 8,
        "training.precision": precision,
    }
    trained = vit.train("digits_vit", out=tmp_path / "run", overrides=overrides)
    losses = [float(row["train_loss"]) for row in read_csv(trained.metrics) if row["train_loss"]]
    model = load(trained.path)
    evaluation = vit.evaluate(trained.path, split="train", out=tmp_path / "scored")
    images = evaluation.scored.images
    rows = [model.predict([images.address(i)], top=1)[0]["classes"][0] for i in range(len(images))]
    right = [row == model.classes[label] for row, label in zip(rows, images.labels, strict=True)]
    assert evaluation.scores["top1"] == pytest.approx(sum(right) / len(right))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", RIVALS)
def test_images_of_another_size_are_taken_where_the_mixer_can(name: str, randomize) -> None:
    module = randomize(vit.create_model("vit", num_classes=5, image_size=(24, 32), mixer=name, **SMALL)).eval()
    larger = torch.randn(1, 3, 48, 64)
    with torch.no_grad():
        if name in ("random", "mlp"):  # of so many tokens
            with pytest.raises(RuntimeError):
                module(larger)
        else:
            assert module(larger).shape == (1, 5)


@pytest.mark.parametrize("name", [name for name in RIVALS if name not in TAKES_PREFIX])
def test_what_stands_beside_the_patches_is_refused(name: str) -> None:
    options = {"patch_size": 4, "embed_dim": D, "depth": 1, "num_heads": 4, "mixer": name}
    with pytest.raises(UserError, match=f"mixer {name} mixes patches alone: class_token false, registers 0, pool mean"):
        vit.create_model("vit", num_classes=2, image_size=16, **options)
    options |= {"class_token": False, "pool": "mean", "patch_dropout": 0.5}
    with pytest.raises(UserError, match=f"mixer {name} needs every patch"):
        vit.create_model("vit", num_classes=2, image_size=16, **options)


@pytest.mark.parametrize("name", RIVALS)
def test_what_is_made_for_attention_steps_aside(name: str, randomize, photographs) -> None:
    module = randomize(vit.create_model("vit", num_classes=5, image_size=(24, 32), mixer=name, **SMALL)).eval()
    assert not is_usual(module.blocks[0]) and token_trunk(module) is None
    image = torch.from_numpy(np.array(read_image(photographs[0]).resize((32, 24)))).permute(2, 0, 1)
    assert own_method(module, image[None] / 255) is None
    module.structure()


def test_the_shipped_comparison_matches_parameters() -> None:
    named = recipes_of(load_comparison("compare_mixers"))
    assert {recipe.name for recipe in named} == set(MIXERS)
    sizes = {}
    for recipe in named:
        model = recipe.read().model
        module = vit.create_model(model.name, num_classes=10, image_size=32, **model.options)
        sizes[recipe.name] = count_parameters(module)
    assert all(abs(size / sizes["attention"] - 1) < 0.01 for size in sizes.values()), sizes
