"""The Vision Transformer against timm, against the paper's formulas, and at its limits."""

from collections.abc import Callable

import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer as TimmVisionTransformer
from torch import Tensor, nn

import vit
from vit import UserError
from vit.model import create_model
from vit.models.attention import Attention
from vit.models.blocks import PatchEmbedding
from vit.models.drop_path import DropPath
from vit.models.interface import structure_of
from vit.models.vision_transformer import VisionTransformer, all_tokens
from vit.registry import MODELS

TIMM_NAMES = {
    "vit_tiny": "vit_tiny_patch16_224",
    "vit_small": "vit_small_patch16_224",
    "vit_base": "vit_base_patch16_224",
    "vit_large": "vit_large_patch16_224",
    "vit_huge": "vit_huge_patch14_224",
}
SMALL = {"embed_dim": 24, "depth": 3, "num_heads": 3}
FEW_BLOCKS = {"vit": SMALL} | {name: {"depth": 1} for name in TIMM_NAMES}
FEW_BLOCKS |= {
    "resnet": {"block": "basic", "depths": (1, 2)},
    "resnet34": {"depths": (1, 1, 1, 1)},
    "resnet50": {"depths": (1, 1, 1, 1)},
}


def small(**options) -> VisionTransformer:
    return create_model("vit", **{"num_classes": 5, "image_size": (8, 12), "patch_size": 4} | SMALL | options)


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize(
    ("image_size", "patch_size", "num_classes"), [((15, 35), 5, 7), ((28, 7), 7, 2), ((12, 12), 3, 11)]
)
def test_logits_have_a_row_an_image_and_a_column_a_class(image_size, patch_size, num_classes):
    module = small(image_size=image_size, patch_size=patch_size, num_classes=num_classes)
    assert module(torch.randn(3, 3, *image_size)).shape == (3, num_classes)
    tokens = 1 + (image_size[0] // patch_size) * (image_size[1] // patch_size)
    assert module.embed(torch.randn(3, 3, *image_size)).shape == (3, tokens, 24)


@pytest.mark.parametrize(("ours", "theirs"), TIMM_NAMES.items())
def test_has_the_parameters_of_timm(ours, theirs):
    with torch.device("meta"):
        mine = create_model(ours, num_classes=1000)
        published = timm.create_model(theirs, num_classes=1000)
    assert shapes(mine) == shapes(published)
    assert sum(p.numel() for p in mine.parameters()) == sum(p.numel() for p in published.parameters())


@pytest.mark.parametrize(
    ("name", "image_size", "num_classes"),
    [("vit_tiny", (224, 224), 1000), ("vit_tiny", (48, 112), 13), ("vit_small", (80, 64), 10)],
)
def test_computes_what_timm_computes(name, image_size, num_classes, randomize, assert_same_outputs):
    theirs = timm.create_model(TIMM_NAMES[name], img_size=image_size, num_classes=num_classes)
    ours = create_model(name, num_classes=num_classes, image_size=image_size)
    ours.load_state_dict(randomize(theirs).state_dict())
    depths = ["patch_embed", "blocks.0.attn", "blocks.0.mlp", "blocks.5", "blocks.11", "norm"]
    assert_same_outputs(ours, theirs, torch.randn(2, 3, *image_size), depths[:-2])
    with all_tokens(ours):
        assert_same_outputs(ours, theirs, torch.randn(2, 3, *image_size), depths)


def test_base_computes_what_timm_computes(randomize, assert_same_outputs):
    with torch.device("meta"):
        ours = create_model("vit_base", num_classes=10)
        theirs = timm.create_model("vit_base_patch16_224", num_classes=10)
    randomize(theirs.to_empty(device="cpu"))
    ours.load_state_dict(theirs.state_dict(), assign=True)
    with all_tokens(ours):
        assert_same_outputs(ours, theirs, torch.randn(1, 3, 224, 224), ["patch_embed", "blocks.0", "blocks.11"])


def test_any_width_depth_and_ratio_computes_what_timm_computes(randomize, assert_same_outputs):
    options = {"patch_size": 7, "embed_dim": 72, "depth": 5, "num_heads": 9, "mlp_ratio": 2.5}
    ours = create_model("vit", num_classes=6, image_size=(21, 35), **options)
    theirs = TimmVisionTransformer(img_size=(21, 35), num_classes=6, **options)
    theirs.load_state_dict(randomize(ours).state_dict())
    with all_tokens(ours):
        assert_same_outputs(ours, theirs, torch.randn(5, 3, 21, 35), [f"blocks.{i}" for i in range(5)])


@pytest.mark.parametrize(
    ("options", "computed"),
    [
        ({"drop_path": 0.5}, 1),
        ({"registers": 2, "layer_scale": 0.3}, 1),
        ({"pool": "cls_dist"}, 2),
        ({"pool": "mean"}, 7),
    ],
)
def test_the_last_block_computes_what_the_head_sees_and_everything_learns_the_same(
    options, computed, randomize, outputs_at
):
    module = randomize(small(**options)).double()
    images = torch.randn(8, 3, 8, 12, dtype=torch.float64)
    assert outputs_at(module, images, ["blocks.2"])["blocks.2"].shape == (8, computed, 24)

    def learned() -> dict[str, Tensor]:
        module.zero_grad()
        torch.manual_seed(0)
        logits = module.train()(images)
        logits.square().sum().backward()
        return {"logits": logits} | {name: p.grad for name, p in module.named_parameters() if p.grad is not None}

    expected = learned()
    with all_tokens(module):
        torch.testing.assert_close(learned(), expected)
    assert len(expected) > 30 and all(value.abs().max() > 0 for value in expected.values())


def test_scores_that_fit_fp16_when_scaled_are_not_lost_in_it():
    torch.manual_seed(0)
    layer, x = Attention(64, 1), torch.randn(2, 9, 64)
    with torch.no_grad():
        layer.qkv.weight[:128] = 50 * torch.eye(64).repeat(2, 1)  # x x' of about 64, times 2,500, is beyond 65,504
        expected = layer(x, 1)
        torch.testing.assert_close(layer.half()(x.half(), 1).float(), expected, atol=2e-3, rtol=0)


def test_a_patch_is_embedded_by_one_linear_map(randomize):
    embedding = randomize(PatchEmbedding((4, 4), 10)).double()
    images = torch.randn(2, 3, 8, 12, dtype=torch.float64)
    matrix, bias = embedding.proj.weight.flatten(1), embedding.proj.bias
    rows_of_patches = [
        torch.stack([matrix @ image[:, y : y + 4, x : x + 4].flatten() + bias for y in (0, 4) for x in (0, 4, 8)])
        for image in images
    ]
    torch.testing.assert_close(embedding(images), torch.stack(rows_of_patches))


def attention_by_formula(attention: Attention, x: Tensor) -> Tensor:
    """softmax(q k' / sqrt(d)) v, head by head, for one image [N, D] (arXiv:1706.03762, eq. 1)."""
    q, k, v = (x @ attention.qkv.weight.T + attention.qkv.bias).chunk(3, dim=-1)
    width = x.shape[-1] // attention.num_heads
    heads = []
    for h in range(attention.num_heads):
        columns = slice(h * width, (h + 1) * width)
        weights = torch.exp(q[:, columns] @ k[:, columns].T / width**0.5)
        heads.append(weights / weights.sum(1, keepdim=True) @ v[:, columns])
    return torch.cat(heads, dim=-1) @ attention.proj.weight.T + attention.proj.bias


def test_attention_is_the_formula(randomize):
    attention = randomize(Attention(18, 3)).double()
    x = torch.randn(2, 7, 18, dtype=torch.float64)
    torch.testing.assert_close(attention(x), torch.stack([attention_by_formula(attention, image) for image in x]))


def swapped_patches(images: Tensor) -> Tensor:
    """Exchange the top left 4x4 patch with the bottom right one."""
    images = images.clone()
    images[..., :4, :4], images[..., 4:8, 8:12] = images[..., 4:8, 8:12].clone(), images[..., :4, :4].clone()
    return images


def test_only_the_positions_tell_where_a_patch_lies(randomize):
    module = randomize(small()).eval()
    images = torch.randn(2, 3, 8, 12)
    with torch.no_grad():
        assert (module(images) - module(swapped_patches(images))).abs().max() > 1e-3
        module.pos_embed.zero_()
        torch.testing.assert_close(module(images), module(swapped_patches(images)), atol=1e-5, rtol=0)


def test_a_new_model_gives_every_class_the_same_logit():
    assert small()(torch.randn(2, 3, 8, 12)).eq(0).all()


def test_query_key_and_value_are_drawn_as_three_matrices():
    weights = small(embed_dim=96).blocks[0].attn.qkv.weight.chunk(3)
    bound = (6 / (96 + 96)) ** 0.5  # Glorot and Bengio 2010, eq. 16
    for weight in weights:
        assert 0.98 * bound < weight.abs().max() <= bound


@pytest.mark.parametrize("deviation", [0.02, 0.5])
def test_positions_start_with_their_deviation(deviation):
    positions = small(image_size=(64, 64), position_std=deviation).pos_embed
    assert positions.std().item() == pytest.approx(deviation, rel=0.05)


def test_every_parameter_learns(randomize):
    module = randomize(small())
    module(torch.randn(4, 3, 8, 12)).square().sum().backward()
    unmoved = [name for name, p in module.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not unmoved


def test_drop_path_grows_linearly_to_the_last_block():
    rates = [block.drop_path.rate for block in small(depth=5, drop_path=0.2).blocks]
    assert rates == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2])


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    dropped = DropPath(0.3).train()(torch.ones(20_000, 2, 3))
    per_sample = dropped.flatten(1)
    assert per_sample.eq(per_sample[:, :1]).all()
    kept = per_sample[:, 0] > 0
    torch.testing.assert_close(per_sample[kept, 0], torch.full((int(kept.sum()),), 1 / 0.7))
    assert kept.float().mean().item() == pytest.approx(0.7, abs=5 * (0.3 * 0.7 / 20_000) ** 0.5)


@pytest.mark.parametrize(("rate", "images", "computed"), [(0.3, 10, 7), (0.1, 32, 29), (0.0, 4, 4), (0.1, 4, 4)])
def test_a_dropped_branch_is_not_computed(rate: float, images: int, computed: int):
    torch.manual_seed(0)
    seen: list[int] = []

    def branch(x):
        seen.append(len(x))
        return x

    drop_path = DropPath(rate).train()
    x = torch.randn(images, 3, 2)
    changed = (drop_path.residual(x, branch) != x).flatten(1).any(1)
    assert seen == [computed] and int(changed.sum()) <= computed
    assert drop_path.eval().residual(x, branch).equal(2 * x)


def test_a_residual_keeps_the_mean_and_drops_every_sample_as_often():
    torch.manual_seed(0)
    drop_path = DropPath(0.3).train()
    x = torch.zeros(10, 1)
    draws = torch.stack([drop_path.residual(x, lambda kept: kept + 1) for _ in range(4_000)])
    assert draws.unique().tolist() == pytest.approx([0, 10 / 7])
    assert draws.mean(0).flatten().tolist() == pytest.approx([1.0] * 10, abs=0.05)


def test_a_dropped_sample_sends_no_gradient_through_the_branch():
    torch.manual_seed(0)
    x = torch.ones(8, 2, requires_grad=True)
    DropPath(0.5).train().residual(x, lambda kept: 3 * kept).sum().backward()
    assert sorted(x.grad[:, 0].tolist()) == [1.0] * 4 + [1.0 + 3 * 2] * 4


def test_drop_path_passes_everything_in_evaluation_and_at_rate_zero():
    x = torch.randn(9, 4)
    assert DropPath(0.9).eval()(x).equal(x)
    assert DropPath(0.0).train()(x).equal(x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": (64, 50)}, r"vit_tiny: patch_size 16 does not divide image_size \[64, 50\]"),
        ({"image_size": 224, "patch_size": 15}, r"vit_tiny: patch_size 15 does not divide image_size \[224, 224\]"),
        ({"num_heads": 5}, "vit_tiny: num_heads 5 does not divide embed_dim 192"),
        ({"drop_path": 1.0}, r"model\.drop_path: should be less than 1, given 1\.0"),
        ({"patchsize": 8}, "model.patchsize is not an option of vit_tiny; did you mean patch_size?"),
        ({"depth": "many"}, "model.depth: .*integer.*given 'many'"),
        ({"pretrained": "nowhere.pth"}, "there is no file or folder nowhere.pth"),
    ],
)
def test_refuses_what_does_not_fit(options, message):
    with pytest.raises(UserError, match=message):
        vit.create_model("vit_tiny", **{"num_classes": 3} | options)


@pytest.mark.parametrize(
    "options",
    [{"patch_size": 0}, {"patch_size": -8}, {"num_heads": 0}, {"embed_dim": 0}, {"depth": -1}, {"mlp_ratio": -1.0}],
    ids=str,
)
def test_refuses_sizes_that_are_no_sizes(options):
    with pytest.raises(UserError, match=next(iter(options))):
        small(**options)


def test_a_number_in_quotes_is_read_as_a_number_or_refused():
    """YAML reads 1e-1 as text, so that `model.drop_path=1e-1` arrives as such."""
    try:
        module = small(drop_path="1e-1")
    except UserError as error:
        assert "drop_path" in str(error)
    else:
        assert module.blocks[-1].drop_path.rate == pytest.approx(0.1)


def test_weights_that_are_not_there_are_not_passed_over_in_silence():
    with pytest.raises(UserError, match="nowhere"):
        small(pretrained="nowhere/model.safetensors")


def test_names_the_nearest_model_for_one_that_is_not_there():
    with pytest.raises(UserError, match="there is no model vit_smal; did you mean vit_small?"):
        vit.create_model("vit_smal", num_classes=3)


def test_names_what_is_missing():
    with pytest.raises(UserError, match="model.embed_dim is missing: vit needs it") as error:
        vit.create_model("vit", num_classes=3)
    assert "model.depth is missing" in str(error.value)


@pytest.mark.parametrize(
    ("name", "image_size", "kind"),
    [("timm/vit_tiny_patch16_224", (32, 48), "vit"), ("timm/resnet18", (40, 56), "cnn"), ("timm/resnet18", 32, "cnn")],
)
def test_opens_the_zoo_of_timm(name, image_size, kind):
    module = vit.create_model(name, num_classes=4, image_size=image_size)
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    assert module.eval()(torch.randn(2, 3, *size)).shape == (2, 4)
    assert structure_of(module).family == kind


def test_passes_options_to_timm():
    module = vit.create_model("timm/vit_tiny_patch16_224", num_classes=4, image_size=32, depth=2)
    assert len(module.blocks) == 2


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("timm/resnet17", {}, "timm has no model resnet17; did you mean resnet"),
        ("timm/resnet18", {"attention": "se"}, r"model\.attention is not given to timm/resnet18 from here"),
        ("timm/vit_tiny_patch16_224", {"num_heads": 5}, "timm could not build vit_tiny_patch16_224 .*num_heads"),
    ],
)
def test_says_what_timm_could_not_build(name, options, message):
    with pytest.raises(UserError, match=message):
        vit.create_model(name, num_classes=4, **options)


@pytest.mark.parametrize("name", MODELS)
def test_the_state_of_every_model_loads_back(name, randomize):
    options = (
        {"num_classes": 3, "image_size": 56}
        | ({"patch_size": 14} if name.startswith("vit") else {})
        | FEW_BLOCKS.get(name, {})
    )
    module, other = randomize(vit.create_model(name, **options)), vit.create_model(name, **options)
    other.load_state_dict(module.state_dict(), strict=True)
    images = torch.randn(2, 3, 56, 56)
    with torch.no_grad():
        assert module.eval()(images).equal(other.eval()(images))
    assert structure_of(module).family == ("vit" if name.startswith("vit") else "cnn")


def test_a_function_put_into_the_table_is_a_model(monkeypatch):
    def build_mean(*, num_classes: int, image_size: tuple[int, int], bias: bool = True) -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, num_classes, bias=bias))

    build: Callable[..., nn.Module] = build_mean
    monkeypatch.setitem(MODELS, "mean", build)
    assert vit.create_model("mean", num_classes=4, bias=False)(torch.randn(2, 3, 5, 6)).shape == (2, 4)
    with pytest.raises(UserError, match="model.bia is not an option of mean; did you mean bias?"):
        vit.create_model("mean", num_classes=4, bia=False)
