"""Every shipped recipe parses, builds its model, and says what it claims."""

import pytest
import torch

from vit import create_model
from vit import recipe as recipes
from vit.recipe import load_recipe
from vit.registry import TRANSFORMS

NAMES = recipes.shipped_names()
COMPARISONS = [name for name in NAMES if recipes.is_comparison(name)]
RECIPES = [name for name in NAMES if name not in COMPARISONS]
NUM_CLASSES = 7


def test_the_promised_recipes_are_there() -> None:
    attention = ["", "_se", "_eca", "_cbam"]
    promised = {"digits_vit", "compare_digits", "cifar10_vit_tiny", "compare_cifar10"}
    promised |= {"imagenet_vit_small", "imagenet_resnet50"}
    promised |= {f"digits_resnet{name}" for name in attention} | {f"cifar10_resnet18{name}" for name in attention}
    assert promised <= set(NAMES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_builds_its_model(name: str) -> None:
    recipe = load_recipe(name)
    size = recipe.data.image_size
    module = create_model(recipe.model.name, num_classes=NUM_CLASSES, image_size=size, **recipe.model.options)
    logits = module(torch.randn(2, 3, *size))
    assert logits.shape == (2, NUM_CLASSES)
    logits.sum().backward()


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_builds_its_transforms(name: str) -> None:
    recipe = load_recipe(name)
    for step in recipe.augment:
        for transform, options in step.items():
            assert TRANSFORMS[transform](recipe.data.image_size, **options) is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_opens_with_what_it_is(name: str) -> None:
    lines = recipes.find(name).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    command = "compare" if name in COMPARISONS else "pretrain" if load_recipe(name).pretraining else "train"
    assert lines[1].startswith(f"#   vit {command} {name}")


@pytest.mark.parametrize("name", COMPARISONS)
def test_the_models_of_a_comparison_differ_in_the_model_alone(name: str) -> None:
    comparison = recipes.load_comparison(name, {})
    settings = [load_recipe(recipe).to_dict() for recipe in comparison.recipes]
    for values in settings:
        del values["model"]
    assert all(values == settings[0] for values in settings)
