"""Which part of a model learns, and what stays exactly as it was."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from vit import UserError, create_model
from vit.recipe import Tuning
from vit.training import features, tuning

VIT = {"embed_dim": 32, "depth": 4, "num_heads": 2, "patch_size": 8}


@pytest.fixture
def transformer(randomize: Callable) -> nn.Module:
    return randomize(create_model("vit", num_classes=3, image_size=32, **VIT))


def learning(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


def test_everything_learns_unless_told(transformer: nn.Module) -> None:
    tuning.prepare(transformer, Tuning())
    assert learning(transformer) == {name for name, _ in transformer.named_parameters()}


def test_the_head_alone(transformer: nn.Module) -> None:
    tuning.prepare(transformer, Tuning(trainable="head"))
    assert learning(transformer) == {"head.weight", "head.bias"}


def test_the_last_blocks_with_the_norm_and_the_head(transformer: nn.Module) -> None:
    tuning.prepare(transformer, Tuning(trainable=2))
    assert {name.split(".")[0] for name in learning(transformer)} == {"blocks", "norm", "head"}
    assert {name.split(".")[1] for name in learning(transformer) if name.startswith("blocks")} == {"2", "3"}


def test_more_blocks_than_there_are(transformer: nn.Module) -> None:
    with pytest.raises(UserError, match="tuning.trainable=5: the model has 4 blocks; give at most 4, or all"):
        tuning.prepare(transformer, Tuning(trainable=5))


@pytest.mark.parametrize("name", ["resnet18", "timm/test_resnet"])
def test_frozen_batch_norms_keep_weights_and_statistics(name: str) -> None:
    module = create_model(name, num_classes=3, image_size=64)
    tuning.prepare(module, Tuning(freeze_batch_norm=True))
    before = {key: value.clone() for key, value in module.state_dict().items() if "running" in key}
    module.train()
    tuning.keep_frozen_statistics(module)
    module(torch.randn(4, 3, 64, 64)).sum().backward()
    assert before
    assert all(torch.equal(module.state_dict()[key], value) for key, value in before.items())
    assert not any("bn" in key for key in learning(module))
    free = create_model(name, num_classes=3, image_size=64).train()
    tuning.keep_frozen_statistics(free)
    assert all(norm.training for norm in tuning.batch_norms(free))


@pytest.mark.parametrize("name", ["vit", "timm/test_vit"])
def test_adapters_start_without_effect_and_merge_exactly(name: str, randomize: Callable) -> None:
    module = randomize(create_model(name, num_classes=3, image_size=32, **(VIT if name == "vit" else {}))).eval()
    images = torch.randn(2, 3, 32, 32)
    names = set(module.state_dict())
    before = module(images)
    adapters = tuning.prepare(module, Tuning(trainable="lora", lora_rank=3, lora_alpha=6))
    assert torch.allclose(module(images), before, atol=1e-6)
    assert {key.split(".")[-1] for key in learning(module) if "lora" not in key} == {"weight", "bias"}
    assert all("lora_" in key or key.startswith("head.") for key in learning(module))
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            if "lora_" in key:
                parameter.normal_(0, 0.05)
    adapted = module(images)
    assert (adapted - before).abs().max() > 1e-2
    assert adapters is not None
    adapters.merge()
    assert set(module.state_dict()) == names
    assert torch.allclose(module(images), adapted, atol=1e-5)


def test_adapters_need_the_blocks_of_a_transformer() -> None:
    with pytest.raises(UserError, match="needs the blocks of a Vision Transformer"):
        tuning.prepare(create_model("resnet18", num_classes=3), Tuning(trainable="lora"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit", VIT),
        ("vit", VIT | {"pool": "cls_dist"}),
        ("vit", VIT | {"pool": "cls_mean"}),
        ("resnet18", {"attention": "eca"}),
        ("timm/test_resnet", {}),
        ("timm/test_convnext", {}),
    ],
)
def test_features_and_head_are_the_model(name: str, options: dict, randomize: Callable) -> None:
    module = randomize(create_model(name, num_classes=3, image_size=32, **options)).eval()
    images, labels = torch.randn(6, 3, 32, 32), torch.arange(6) % 3
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=4)
    found = features.compute(module, loader, "cpu")
    head = features.HeadOnly(module)
    with torch.no_grad():
        assert torch.allclose(head(found.tensors[0]), module(images), atol=1e-5)
    assert torch.equal(found.tensors[1], labels)
    assert {id(p) for p in head.parameters()} < {id(p) for p in module.parameters()}
