"""Options of the Vision Transformer that change what it is made of, beside their references: positions, norm orders."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from timm.layers.pos_embed_sincos import build_sincos2d_pos_embed
from timm.models.vision_transformer import ResPostBlock
from torch import nn

import vit
from vit.data.preprocessing import Preprocessing
from vit.errors import UserError
from vit.model import Architecture, Model, load
from vit.models.positions import fixed_positions, sincos_1d, sincos_2d
from vit.registry import complete_options

SMALL = {"patch_size": 4, "embed_dim": 48, "depth": 3, "num_heads": 4}
KINDS = ("learned", "sincos_2d", "sincos_1d", "rope", "rope_mixed", "none")
ORDERS = ("pre", "post", "res_post")


def module_of(randomize: Callable, size: tuple[int, int] = (24, 32), **options) -> nn.Module:
    return randomize(vit.create_model("vit", num_classes=5, image_size=size, **SMALL, **options)).eval()


def test_sines_in_two_dimensions_are_those_of_mae_and_of_timm() -> None:
    for rows, columns, width in ((14, 14, 384), (3, 7, 48)):
        theirs = build_sincos2d_pos_embed([columns, rows], width, interleave_sin_cos=True)  # column after column
        theirs = theirs.view(columns, rows, width).transpose(0, 1).flatten(0, 1)
        ours = sincos_2d((rows, columns), width).float()
        assert torch.allclose(ours, theirs, atol=1e-5)
        quarter = width // 4
        place = torch.arange(rows * columns)
        frequency = 10_000 ** -(torch.arange(quarter) / quarter)
        expected = torch.cat(
            [f(p[:, None] * frequency) for p in (place % columns, place // columns) for f in (torch.sin, torch.cos)], 1
        )
        assert torch.allclose(ours, expected, atol=1e-5)


def test_sinusoids_have_the_properties_that_they_were_chosen_for() -> None:
    table = sincos_1d((1, 200), 64)
    assert table.abs().max() <= 1
    assert torch.allclose((table**2).sum(1), torch.full((200,), 32.0, dtype=torch.float64))
    products = table @ table.T
    for offset in (1, 7, 60):  # of the offset alone
        along = products.diagonal(offset)
        assert torch.allclose(along, along[0].expand_as(along))
    pairs = torch.view_as_complex(table.view(200, 32, 2))  # cos + i sin, turned around
    turns = pairs[9:] / pairs[:-9]
    assert torch.allclose(turns, turns[:1].expand_as(turns)), "nine places on is one rotation, wherever one stands"
    assert torch.cdist(table, table).fill_diagonal_(1).min() > 1e-3, "all places differ"


@pytest.mark.parametrize("kind", KINDS)
def test_only_without_positions_the_order_of_patches_does_not_matter(kind: str, randomize) -> None:
    module = module_of(randomize, pool="mean", class_token=False, positions=kind)
    images = torch.randn(2, 3, 24, 32)
    patches = images.unfold(2, 4, 4).unfold(3, 4, 4).flatten(2, 3)  # [2, 3, 48, 4, 4]
    shuffled = patches[:, :, torch.randperm(48)].unflatten(2, (6, 8)).permute(0, 1, 2, 4, 3, 5).reshape(2, 3, 24, 32)
    with torch.no_grad():
        apart = (module(images) - module(shuffled)).abs().max().item()
    assert (apart < 1e-5) == (kind == "none")


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_other_sizes_are_taken_and_nothing_fixed_is_saved(kind: str, randomize, tmp_path: Path) -> None:
    module = module_of(randomize, positions=kind)
    assert ("pos_embed" in module.state_dict()) == (kind == "learned")
    size = (48, 64) if kind.startswith("rope") else (40, 16)
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        assert module(images).shape == (2, 5)
    if kind != "learned":
        larger = vit.create_model("vit", num_classes=5, image_size=size, positions=kind, **SMALL).eval()
        larger.load_state_dict(module.state_dict())
        with torch.no_grad():
            assert torch.equal(larger(images), module(images)), "each grid has positions of its own"


def test_fixed_positions_equal_learned_ones_of_the_same_values(randomize) -> None:
    fixed = module_of(randomize, positions="sincos_2d", registers=2)
    learned = vit.create_model("vit", num_classes=5, image_size=(24, 32), registers=2, class_position=False, **SMALL)
    table = fixed_positions("sincos_2d", (6, 8), 48)
    learned.load_state_dict(fixed.state_dict() | {"pos_embed": table})
    images = torch.randn(2, 3, 24, 32)
    with torch.no_grad():
        assert torch.allclose(learned.eval()(images), fixed(images), atol=1e-6)


def test_the_original_norm_order_is_torch_s_encoder_layer(randomize) -> None:
    block = module_of(randomize, norm_order="post", pool="mean", norm_eps=1e-5).blocks[1]
    theirs = nn.TransformerEncoderLayer(48, 4, 192, 0.0, "gelu", batch_first=True, norm_first=False).eval()
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(block.attn.qkv.weight)
        theirs.self_attn.in_proj_bias.copy_(block.attn.qkv.bias)
        pairs = {
            theirs.self_attn.out_proj: block.attn.proj,
            theirs.linear1: block.mlp.fc1,
            theirs.linear2: block.mlp.fc2,
            theirs.norm1: block.norm1,
            theirs.norm2: block.norm2,
        }
        for other, ours in pairs.items():
            other.weight.copy_(ours.weight)
            other.bias.copy_(ours.bias)
        x = torch.randn(2, 9, 48)
        assert torch.allclose(block(x), theirs(x), atol=1e-5)
    assert isinstance(module_of(randomize, norm_order="post").norm, nn.Identity), "its last norm is the block's own"


def test_residual_post_norm_is_timm_s(randomize) -> None:
    ours = module_of(randomize, norm_order="res_post", pool="mean")
    theirs = ResPostBlock(48, 4, qkv_bias=True, norm_layer=lambda width, **_: nn.LayerNorm(width, eps=1e-6)).eval()
    theirs.load_state_dict(ours.blocks[1].state_dict())
    x = torch.randn(2, 9, 48)
    with torch.no_grad():
        assert torch.allclose(ours.blocks[1](x), theirs(x), atol=1e-5)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_combination_learns_saves_and_answers_alike(order: str, kind: str, tmp_path: Path, photo_root) -> None:
    overrides = {
        "data.name": "folder",
        "data.path": str(photo_root),
        "data.image_size": 16,
        "model.positions": kind,
        "model.norm_order": order,
        "model.depth": 2,
        "schedule.epochs": 2,
        "schedule.warmup_epochs": 1,
        "training.batch_size": 8,
    }
    trained = vit.train("digits_vit", out=tmp_path / "run", overrides=overrides)
    model = load(trained.path)
    scored = vit.evaluate(trained.path)
    assert scored.scores["num_images"] > 0 and model.architecture.options["positions"] == kind
    picture = next(photo_root.rglob("*.png"))
    assert sum(model.predict([picture])[0]["probabilities"]) == pytest.approx(1, abs=1e-5)
    if (order, kind) == ("post", "sincos_2d"):
        exported = load(vit.export(trained.path, to="onnx", out=tmp_path / "onnx"))
        assert exported.predict([picture])[0]["classes"] == model.predict([picture])[0]["classes"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_the_last_block_gives_what_it_gives_with_all_tokens(order: str, pool: str, randomize) -> None:
    from vit.models.vision_transformer import all_tokens

    module = module_of(randomize, norm_order=order, pool=pool)
    images = torch.randn(2, 3, 24, 32)
    with torch.no_grad():
        short = module(images)
        with all_tokens(module):
            assert torch.allclose(module(images), short, atol=1e-5)


def test_deep_post_norm_is_warned_of_beforehand(told, tmp_path: Path, photo_root) -> None:
    base = {
        "data.name": "folder",
        "data.path": str(photo_root),
        "data.image_size": 16,
        "model.norm_order": "post",
        "model.embed_dim": 12,
        "model.num_heads": 1,
        "schedule.epochs": 1,
        "training.batch_size": 16,
    }
    for number, (depth, warmup, said) in enumerate([(12, 0, True), (12, 0.1, False), (14, 0.5, True), (6, 0, False)]):
        told.clear()
        settings = base | {"model.depth": depth, "schedule.warmup_epochs": warmup}
        vit.train("digits_vit", out=tmp_path / str(number), overrides=settings)
        assert any("often learn nothing so" in line for line in told) == said


def written(tmp_path: Path, randomize, **options) -> Path:
    module = module_of(randomize, **options)
    architecture = Architecture("vit", complete_options("vit", SMALL | options), 5)
    path = tmp_path / "model.safetensors"
    preprocessing = Preprocessing((24, 32), (0.5,) * 3, (0.5,) * 3)
    Model(module, architecture, tuple("abcde"), preprocessing).save(path)
    return path


@pytest.mark.parametrize("to", ["timm", "transformers"])
def test_libraries_that_have_no_such_model_are_named(to: str, randomize, tmp_path: Path) -> None:
    path = written(tmp_path, randomize, norm_order="post", positions="rope")
    with pytest.raises(UserError, match="positions rope and norm_order post"):
        vit.export(path, to=to, out=tmp_path / "out")


def test_faster_answers_step_aside(randomize, tmp_path: Path) -> None:
    from vit.inference.packed_blocks import is_usual

    path = written(tmp_path, randomize, norm_order="res_post")
    assert not is_usual(load(path).module.blocks[0])  # type: ignore[index]
    photo = tmp_path / "photo.png"
    from vit.exporters.real_images import photographs

    photographs()[0].save(photo)
    with pytest.raises(UserError, match="norm_order pre and mixer attention alone"):
        from vit.commands.predict import predict

        predict(path, [photo], merge_tokens=2)


@pytest.mark.parametrize(("width", "kind"), [(45, "sincos_1d"), (50, "sincos_2d")])
def test_widths_that_do_not_fit_are_told(width: int, kind: str) -> None:
    with pytest.raises(UserError, match=f"positions {kind} need"):
        vit.create_model(
            "vit", num_classes=2, image_size=16, patch_size=4, embed_dim=width, depth=1, num_heads=1, positions=kind
        )
