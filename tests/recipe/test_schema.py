"""What editors and docs/recipes.md tell of a recipe's keys is what the code reads."""

import copy
import subprocess
import sys
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from vit import recipe as recipes
from vit.errors import UserError
from vit.recipe import Comparison, Recipe
from vit.recipe.documented import keys_of
from vit.recipe.schema import comparison_schema, recipe_schema
from vit.recipe.values import changed, read_yaml

TOOLS = Path(__file__).parents[2] / "tools"
RECIPE, COMPARISON = (Draft202012Validator(schema()) for schema in (recipe_schema, comparison_schema))
SECTIONS = [Recipe, Comparison, *filter(is_dataclass, Recipe.__annotations__.values())]
SHIPPED = recipes.shipped_names()
GOOD = {
    "data": {"name": "digits", "image_size": 8},
    "augment": ["horizontal_flip", {"random_crop": {"padding": 1}}],
    "model": {"name": "vit", "patch_size": 2, "embed_dim": 24, "depth": 2, "num_heads": 3},
    "schedule": {"epochs": 3, "warmup_epochs": 1},
}
GOOD_COMPARISON = {"recipes": ["digits_vit", "digits_resnet"], "seeds": 2}


def places(validator: Draft202012Validator, values: dict[str, Any]) -> list[str]:
    """Return where a schema finds mistakes, as paths such as $.data.image_size."""
    return sorted(error.json_path for error in validator.iter_errors(values))


def without(values: dict[str, Any], key: str) -> dict[str, Any]:
    values = copy.deepcopy(values)
    section, _, name = key.partition(".")
    del values[section][name]
    return values


def test_the_schemas_and_the_page_are_written_from_the_code_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    for path, text in import_module("renew_recipe_schema").files().items():
        assert path.read_text(encoding="utf-8") == text, f"uv run tools/renew_recipe_schema.py renews {path.name}"


@pytest.mark.parametrize("validator", [RECIPE, COMPARISON], ids=["recipe", "comparison"])
def test_a_schema_is_one_of_the_draft_that_it_names(validator: Draft202012Validator) -> None:
    assert validator.schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(validator.schema)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_is_right_by_the_schema_that_it_names(name: str) -> None:
    path = recipes.find(name)
    kind = "comparison" if recipes.is_comparison(name) else "recipe"
    named = f"schema/{kind}.schema.json"
    assert f"# yaml-language-server: $schema={named}\n" in path.read_text(encoding="utf-8")
    assert (path.parent / named).is_file()
    assert places(COMPARISON if kind == "comparison" else RECIPE, read_yaml(path)) == []


@pytest.mark.parametrize("name", [name for name in SHIPPED if not recipes.is_comparison(name)])
def test_every_default_written_out_is_right_too(name: str) -> None:
    assert places(RECIPE, recipes.load_recipe(name).to_dict()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"data.image_size": [8, 16]},
        {"data.mean": [0.5, 0.5, 0.5]},
        {"data.workers": "auto"},
        {"augment": [{"horizontal_flip": None}]},
        {"model": {"name": "vit_tiny", "patch_size": 2, "pretrained": True}},
        {"model": {"name": "timm/resnet18", "drop_rate": 0.1, "block_args": {"attn_layer": "se"}}},
        {"optimizer": {"name": "sgd", "momentum": 0.8, "weight_decay": 0}},
        {"optimizer": {"name": "timm/lamb", "betas": [0.9, 0.99], "grad_averaging": True}},
        {"tuning.trainable": 2},
        {"schedule.raised_epochs": 1, "schedule.lower_image_size": 6},
    ],
    ids=str,
)
def test_what_is_read_is_right_by_the_schema(changes: dict[str, Any]) -> None:
    values = changed(GOOD, changes)
    recipes.parse(values)
    assert places(RECIPE, values) == []


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"optimiser": {}}, "$"),
        ({"data.image_sise": 8}, "$.data"),
        ({"data.name": "digit"}, "$.data.name"),
        ({"data.image_size": 0}, "$.data.image_size"),
        ({"data.path": ""}, "$.data.path"),
        ({"data.fraction": 1.5}, "$.data.fraction"),
        ({"data.mean": [0.5, 0.5]}, "$.data.mean"),
        ({"augment": ["horizontal_flop"]}, "$.augment[0]"),
        ({"augment": [{"affine": {"degree": 3}}]}, "$.augment[0]"),
        ({"model.name": "vit_smal"}, "$.model.name"),
        ({"model.drop_pth": 0.1}, "$.model"),
        ({"model.depth": "deep"}, "$.model.depth"),
        ({"model.activation": "relu"}, "$.model.activation"),
        ({"model": {"name": "timm/resnet18", "pretrained_cfg": {}}}, "$.model"),
        ({"optimizer.name": "AdamW"}, "$.optimizer.name"),
        ({"optimizer.momentun": 0.9}, "$.optimizer"),
        ({"schedule.epochs": True}, "$.schedule.epochs"),
        ({"schedule.epochs": 2.5}, "$.schedule.epochs"),
        ({"training.loss": "mse"}, "$.training.loss"),
        ({"training.seed": 2**32}, "$.training.seed"),
    ],
    ids=str,
)
def test_a_mistake_in_a_recipe_is_found_by_the_schema_and_by_reading(changes: dict[str, Any], place: str) -> None:
    values = changed(GOOD, changes)
    assert places(RECIPE, values) == [place]
    with pytest.raises(UserError):
        recipes.parse(values)


@pytest.mark.parametrize("key", ["data.image_size", "schedule.epochs", "model.name", "model.embed_dim"])
def test_a_key_that_is_missing_is_found_by_the_schema(key: str) -> None:
    assert places(RECIPE, without(GOOD, key)) == [f"$.{key.split('.')[0]}"]


@pytest.mark.parametrize(
    "overrides",
    [{"data.image_size": 16}, {"data": {"fraction": 0.5}}, {"mixing": {"mixup": 0.2}, "model.drop_path": 0.1}],
    ids=str,
)
def test_overrides_of_a_comparison_stand_dotted_or_in_sections(overrides: dict[str, Any]) -> None:
    assert places(COMPARISON, GOOD_COMPARISON | {"overrides": overrides}) == []


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"seed": 3}, "$"),
        ({"seeds": 0}, "$.seeds"),
        ({"fractions": [0.5, 2]}, "$.fractions[1]"),
        ({"protocol": "mine"}, "$.protocol"),
        ({"recipes": []}, "$.recipes"),
        ({"overrides": {"data.image_sise": 8}}, "$.overrides"),
        ({"overrides": {"schedule": {"epochs": 0}}}, "$.overrides.schedule.epochs"),
        ({"overrides": {"training.batch_size": "many"}}, "$.overrides['training.batch_size']"),
    ],
    ids=str,
)
def test_a_mistake_in_a_comparison_is_found_by_its_schema(changes: dict[str, Any], place: str) -> None:
    assert places(COMPARISON, GOOD_COMPARISON | changes) == [place]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_key_says_what_it_means(section: type) -> None:
    assert [key.name for key in keys_of(section) if not key.meaning.endswith(".")] == []


def test_an_editor_is_told_default_unit_and_meaning() -> None:
    schedule = RECIPE.schema["properties"]["schedule"]["properties"]
    assert schedule["raised_epochs"] == {
        "description": "The last epochs, at `data.image_size`; those before are at `lower_image_size`. Unit: epochs.",
        "type": "integer",
        "minimum": 0,
        "maximum": 1_000_000,
        "default": 0,
    }


def test_reading_a_recipe_imports_nothing_of_the_schema() -> None:
    command = "import sys, vit.cli.verbs, vit.recipe as r; r.load_recipe('digits_vit'); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True)
    assert not {"vit.recipe.schema", "vit.recipe.documented", "jsonschema"} & set(run.stdout.split())
