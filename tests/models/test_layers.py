"""A model's parameters by depth, against timm's grouping."""

import pytest
import timm
import torch
from timm.models import group_parameters
from timm.optim import param_groups_layer_decay

from vit import create_model
from vit.models.layers import parameters_by_layer
from vit.recipe import Optimizer
from vit.training.features import HeadOnly
from vit.training.optim import parameter_groups

PAIRS = {
    "vit_tiny": ({"depth": 3}, "vit_tiny_patch16_224", {"depth": 3}),
    "vit_small": (
        {"depth": 2, "pool": "mean", "norm_after_pool": True, "registers": 2},
        "vit_small_patch16_224",
        {"depth": 2, "global_pool": "avg", "reg_tokens": 2},
    ),
    "resnet18": ({}, "resnet18", {}),
    "resnet50": ({"attention": "se", "stem": "7x7"}, "seresnet50", {}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_layers_are_those_of_timm(name: str) -> None:
    options, theirs, arguments = PAIRS[name]
    with torch.device("meta"):
        ours = create_model(name, num_classes=5, image_size=224, **options)
        published = timm.create_model(theirs, num_classes=5, **arguments)
    groups = group_parameters(published, published.group_matcher(coarse=False))
    head = {"head.weight", "head.bias", "fc.weight", "fc.bias"}
    expected = [set(groups[key]) - head for key in sorted(groups)]
    expected = [layer for layer in expected if layer] + [head & {key for key, _ in published.named_parameters()}]
    assert [set(layer) for layer in parameters_by_layer(published)] == expected
    beside = {"fc_norm.weight", "fc_norm.bias"}  # timm's pattern `^norm` misses it; here it learns as norm does
    found = [set(layer) - beside for layer in parameters_by_layer(ours)]
    assert found == [layer - beside for layer in expected if layer - beside]


def test_a_head_alone_is_one_layer() -> None:
    head = HeadOnly(create_model("vit_tiny", num_classes=5, depth=1))
    (groups,) = {group["lr"] for group in parameter_groups(head, Optimizer(lr=0.1, layer_decay=0.5))}
    assert groups == 0.1


@pytest.mark.parametrize("name", ["vit_tiny", "resnet18"])
def test_layer_decay_is_that_of_timm(name: str) -> None:
    options, theirs, arguments = PAIRS[name]
    ours = create_model(name, num_classes=5, image_size=224, **options)
    published = timm.create_model(theirs, num_classes=5, **arguments)
    names = {id(parameter): key for key, parameter in published.named_parameters()}
    undecayed = getattr(published, "no_weight_decay", tuple)()
    expected = {
        names[id(parameter)]: (group["lr_scale"], group["weight_decay"])
        for group in param_groups_layer_decay(published, 0.05, no_weight_decay_list=undecayed, layer_decay=0.7)
        for parameter in group["params"]
    }
    names = {id(parameter): key for key, parameter in ours.named_parameters()}
    settings = Optimizer(lr=0.01, weight_decay=0.05, layer_decay=0.7)
    found = {
        names[id(parameter)]: (group["lr"] / 0.01, group["weight_decay"])
        for group in parameter_groups(ours, settings)
        for parameter in group["params"]
    }
    assert found.keys() == expected.keys()
    for key, (scale, decay) in expected.items():
        assert found[key][0] == pytest.approx(scale), key
        assert found[key][1] == decay, key
