"""Residual networks against timm, with every attention module in their slot, and at their limits."""

import pytest
import timm
import torch
from torch import nn

import vit
from vit import UserError, create_model
from vit.models.drop_path import DropPath
from vit.models.resnet import BasicBlock, Bottleneck

STAGES = ["layer1", "layer2", "layer3", "layer4"]
TIMM_NAMES = [
    ("resnet18", "none", "resnet18"),
    ("resnet34", "none", "resnet34"),
    ("resnet50", "none", "resnet50"),
    ("resnet50", "se", "seresnet50"),
]


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize(("name", "attention", "theirs"), TIMM_NAMES)
def test_has_the_parameters_of_timm(name, attention, theirs):
    with torch.device("meta"):
        mine = create_model(name, num_classes=1000, attention=attention)
        published = timm.create_model(theirs)
    assert shapes(mine) == shapes(published)
    assert sum(p.numel() for p in mine.parameters()) == sum(p.numel() for p in published.parameters())


@pytest.mark.parametrize(("name", "attention", "theirs"), TIMM_NAMES)
def test_computes_what_timm_computes(name, attention, theirs, randomize, assert_same_outputs):
    published = randomize(timm.create_model(theirs, num_classes=17))
    ours = create_model(name, num_classes=17, image_size=(97, 70), attention=attention)
    ours.load_state_dict(published.state_dict())
    assert_same_outputs(ours, published, torch.randn(2, 3, 97, 70), ["bn1", "maxpool", *STAGES])


@pytest.mark.parametrize("attention", ["se", "eca", "cbam"])
def test_attention_stands_where_timm_puts_it(attention, randomize, assert_same_outputs):
    published = randomize(timm.create_model("resnet18", num_classes=5, block_args={"attn_layer": attention}))
    ours = create_model("resnet18", num_classes=5, image_size=96, attention=attention)
    ours.load_state_dict(published.state_dict())
    assert_same_outputs(ours, published, torch.randn(2, 3, 96, 80), ["layer1.0.se", *STAGES])


def test_small_stem_computes_what_timm_computes_with_such_a_stem(randomize, assert_same_outputs):
    published = timm.create_model("resnet18", num_classes=10)
    published.conv1, published.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    ours = create_model("resnet18", num_classes=10, image_size=32)
    ours.load_state_dict(randomize(published).state_dict())
    assert_same_outputs(ours, published, torch.randn(2, 3, 32, 24), ["conv1", *STAGES])


@pytest.mark.parametrize(
    ("image_size", "stem", "positions"),
    [
        (32, "auto", (32, 32)),
        ((64, 90), "auto", (64, 90)),
        ((90, 64), "auto", (90, 64)),
        (65, "auto", (17, 17)),
        ((224, 160), "auto", (56, 40)),
        (32, "7x7", (8, 8)),
        ((96, 70), "3x3", (96, 70)),
    ],
)
def test_stem_suits_the_image(image_size, stem, positions, outputs_at):
    module = create_model("resnet18", num_classes=3, image_size=image_size, stem=stem)
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    assert outputs_at(module, torch.randn(1, 3, *size), ["maxpool"])["maxpool"].shape == (1, 64, *positions)


@pytest.mark.parametrize(
    ("name", "image_size", "channels"),
    [("resnet18", (33, 47), [64, 128, 256, 512]), ("resnet50", (40, 56), [256, 512, 1024, 2048])],
)
def test_every_stage_halves_the_positions_and_doubles_the_width(name, image_size, channels, outputs_at):
    module = create_model(name, num_classes=7, image_size=image_size)
    seen = outputs_at(module, torch.randn(2, 3, *image_size), STAGES)
    height, width = image_size
    for stage, count in zip(STAGES, channels, strict=True):
        assert seen[stage].shape == (2, count, height, width)
        height, width = (height + 1) // 2, (width + 1) // 2
    assert seen[""].shape == (2, 7)


@pytest.mark.parametrize("attention", ["none", "se", "eca", "cbam", "spatial"])
def test_every_attention_fits_every_block(attention):
    for block in ("basic", "bottleneck"):
        module = create_model(
            "resnet_cifar", num_classes=3, image_size=(9, 13), block=block, depths=(1, 2), attention=attention
        )
        assert module(torch.randn(2, 3, 9, 13)).shape == (2, 3)


def test_small_network_is_that_of_the_paper():
    """20 weighted layers and 0.27 million parameters (arXiv:1512.03385, section 4.2, n = 3)."""
    module = create_model("resnet_cifar", num_classes=10, image_size=32)
    weighted = [m for m in module.modules() if isinstance(m, nn.Linear) or getattr(m, "kernel_size", None) == (3, 3)]
    assert len(weighted) == 20
    assert sum(p.numel() for p in module.parameters()) == pytest.approx(0.27e6, rel=0.02)


def residual_blocks(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if isinstance(part, BasicBlock | Bottleneck)]


@pytest.mark.parametrize(("name", "attention"), [("resnet18", "se"), ("resnet50", "cbam"), ("resnet_cifar", "none")])
def test_every_block_starts_as_its_shortcut(name, attention):
    module = create_model(name, num_classes=2, image_size=32, depths=(1, 2), attention=attention).eval()
    for block in residual_blocks(module):
        x = torch.randn(2, block.conv1.in_channels, 6, 6)
        with torch.no_grad():
            torch.testing.assert_close(block(x), block.downsample(x).relu())


def test_every_parameter_learns(randomize):
    module = create_model("resnet_cifar", num_classes=4, image_size=8, depths=(1, 1), width=64, attention="cbam")
    randomize(module)(torch.randn(4, 3, 8, 8)).square().sum().backward()
    unmoved = [name for name, p in module.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not unmoved


def test_drop_path_grows_linearly_over_all_blocks():
    module = create_model("resnet_cifar", num_classes=4, image_size=16, depths=(1, 2, 2), drop_path=0.2)
    rates = [part.rate for part in module.modules() if isinstance(part, DropPath)]
    assert rates == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": "sé"}, "model.attention: .*'se', 'eca', 'cbam' or 'spatial', given 'sé'"),
        ({"atention": "se"}, "model.atention is not an option of resnet18; did you mean attention?"),
        ({"stem": "5x5"}, "model.stem: .*'auto', '3x3' or '7x7', given '5x5'"),
        ({"drop_path": 1.2}, r"model\.drop_path: should be less than 1, given 1\.2"),
        ({"width": 0}, "width"),
    ],
)
def test_refuses_what_does_not_fit(options, message):
    with pytest.raises(UserError, match=message):
        vit.create_model("resnet18", num_classes=3, **options)
