import pytest
import yaml

from vit import recipe as recipes
from vit.errors import UserError
from vit.recipe import Comparison, Optimizer, Recipe
from vit.recipe.values import parse_overrides

GOOD = {
    "data": {"name": "digits", "image_size": 8},
    "augment": ["horizontal_flip", {"random_crop": {"padding": 1}}],
    "model": {"name": "vit", "patch_size": 2, "embed_dim": 24, "depth": 2, "num_heads": 3},
    "schedule": {"epochs": 3, "warmup_epochs": 1},
}


def changed(**changes) -> dict:
    """Return GOOD with some dotted keys changed, written with double underscores."""
    values = yaml.safe_load(yaml.safe_dump(GOOD))
    for key, value in changes.items():
        section, _, name = key.partition("__")
        if name:
            values.setdefault(section, {})[name] = value
        else:
            values[section] = value
    return values


def mistakes(values: dict) -> list[str]:
    with pytest.raises(UserError) as caught:
        recipes.parse(values, where="r.yaml")
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_a_recipe_survives_being_written_and_read(tmp_path) -> None:
    recipe = recipes.parse(GOOD)
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml())
    assert recipes.load_recipe(path, {}) == recipe
    assert recipe.data.image_size == (8, 8)
    assert recipe.augment == ({"horizontal_flip": {}}, {"random_crop": {"padding": 1}})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"data__image_sise": 8}, "data.image_sise is not a recipe key; did you mean image_size?"),
        ({"optimiser": {}}, "optimiser is not a recipe key; did you mean optimizer?"),
        ({"schedule__epochs": "many"}, "schedule.epochs: should be a valid integer, given 'many'"),
        ({"schedule__epochs": 0}, "schedule.epochs: should be greater than 0, given 0"),
        ({"schedule__warmup_epochs": 3}, "schedule: warmup_epochs (3) must be less than epochs (3)"),
        ({"data__fraction": 1.5}, "data.fraction: should be less than or equal to 1, given 1.5"),
        ({"data__name": "digit"}, "data.name: there is no digit; did you mean digits?"),
        ({"model__name": "vit_smal"}, "model.name: there is no vit_smal; did you mean vit_small?"),
        ({"model__drop_pth": 0.1}, "model.drop_pth is not an option of vit; did you mean drop_path?"),
        ({"model__depth": "deep"}, "model.depth: should be a valid integer, given 'deep'"),
        ({"augment": ["horizontal_flop"]}, "augment.0: there is no horizontal_flop; did you mean horizontal_flip?"),
        ({"augment": [{"affine": {"degree": 3}}]}, "augment.0.affine.degree is not an option of affine; did you mean"),
        ({"optimizer__name": "AdamW"}, "optimizer.name: there is no AdamW; did you mean adamw? (adamw, sgd, or timm/<"),
        ({"optimizer__momentun": 0.9}, "optimizer.momentun is not a recipe key; did you mean momentum? (keys of"),
        ({"optimizer__options": {"eps": 1}}, "optimizer: adamw takes no options but betas, layer_decay, lr, momentum"),
        ({"training__precision": "fp8"}, "training.precision: should be 'auto', 'fp32', 'bf16' or 'fp16', given 'fp8'"),
    ],
)
def test_a_mistake_is_named_with_its_path(changes: dict, expected: str) -> None:
    (line,) = mistakes(changed(**changes))
    assert line.startswith(expected)


def test_a_missing_option_of_the_model_is_named() -> None:
    values = changed()
    del values["model"]["depth"]
    assert mistakes(values) == ["model.depth is missing: vit needs it"]


def test_all_mistakes_come_at_once() -> None:
    values = changed(data__image_sise=8, optimizer__lr="fast", training__batch_size=-1, model__drop_pth=0.1)
    assert len(mistakes(values)) == 4


@pytest.mark.parametrize("section", ["data", "mixing", "optimizer", "schedule", "training", "logging"])
def test_every_section_is_closed(section: str) -> None:
    (line,) = mistakes(changed(**{f"{section}__unheard_of": 1}))
    assert line.startswith(f"{section}.unheard_of is not a recipe key")


TIMM_OPTIMIZER = {"name": "timm/adan", "lr": 0.01, "betas": [0.9, 0.9, 0.99], "caution": True}


def test_an_optimizer_of_timm_has_its_own_keys() -> None:
    recipe = recipes.parse(changed(optimizer=TIMM_OPTIMIZER))
    assert recipe.optimizer.options == {"betas": [0.9, 0.9, 0.99], "caution": True}
    assert recipe.to_dict()["optimizer"] == TIMM_OPTIMIZER | {"layer_decay": 1.0, "weight_decay": 0.05}
    assert recipes.parse(recipe.to_dict()) == recipe


@pytest.mark.parametrize(
    ("written", "name", "expected"),
    [
        ({"name": "sgd", "lr": 0.1, "momentum": 0.8}, "timm/lars", {"name": "timm/lars", "lr": 0.1}),
        (TIMM_OPTIMIZER, "timm/lion", {"name": "timm/lion", "lr": 0.01}),
        (TIMM_OPTIMIZER, "sgd", {"name": "sgd", "lr": 0.01, "momentum": 0.9, "betas": [0.9, 0.999]}),
        (TIMM_OPTIMIZER, "timm/adan", TIMM_OPTIMIZER),
    ],
)
def test_another_optimizer_leaves_the_keys_of_the_first(written: dict, name: str, expected: dict) -> None:
    recipe = recipes.parse(changed(optimizer=written))
    replaced = recipes.override(recipe, {"optimizer.name": name}).to_dict()["optimizer"]
    assert replaced == {"layer_decay": 1.0, "weight_decay": 0.05} | expected


def test_an_override_reaches_the_options_of_the_new_optimizer() -> None:
    overrides = {"optimizer.name": "timm/lars", "optimizer.momentum": 0.8}
    recipe = recipes.override(recipes.parse(GOOD), overrides)
    assert recipe.optimizer.options == {"momentum": 0.8}


def test_momentum_of_timm_beside_its_options_is_refused() -> None:
    with pytest.raises(ValueError, match="momentum and betas of timm/lars are its options"):
        Optimizer(name="timm/lars", momentum=0.8)


def test_numbers_written_as_yaml_text_are_numbers() -> None:
    # PyYAML reads 5e-4 as text and 5.0e-4 as a number.
    for text in ("5e-4", "5.0e-4"):
        values = changed(optimizer__lr=yaml.safe_load(text))
        assert recipes.parse(values).optimizer.lr == 5e-4


def test_a_key_given_twice_is_refused(tmp_path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("data: {name: digits, image_size: 8}\nmodel: {name: vit}\ndata: {name: folder}\n")
    with pytest.raises(UserError, match="given twice: data"):
        recipes.load_recipe(path, {})


def test_overrides_reach_their_keys_and_nothing_else() -> None:
    overrides = parse_overrides(["schedule.epochs=7", "model.depth=1", "augment=[]", "data.path=a=b"])
    recipe = recipes.override(recipes.parse(GOOD), overrides)
    assert (recipe.schedule.epochs, recipe.model.options["depth"], recipe.augment) == (7, 1, ())
    assert recipe.data.path == "a=b"
    assert recipe.model.options["embed_dim"] == 24


def test_an_override_without_a_value_is_refused() -> None:
    with pytest.raises(UserError, match="KEY=VALUE"):
        parse_overrides(["schedule.epochs"])


def test_a_comparison_takes_its_own_keys_and_hands_on_the_rest(tmp_path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("recipes: [digits_vit, digits_resnet]\nfractions: [0.5, 1.0]\n")
    comparison = recipes.read_comparison(path, {"seeds": 2, "schedule.epochs": 1})
    assert (comparison.seeds, comparison.fractions) == (2, [0.5, 1.0])
    assert comparison.overrides == {"schedule.epochs": 1}


def test_a_comparison_is_closed_too(tmp_path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("recipes: [digits_vit]\nseed: 3\n")
    with pytest.raises(UserError, match="seed is not a recipe key; did you mean seeds"):
        recipes.load_comparison(path, {})


def test_recipe_and_comparison_are_told_apart() -> None:
    with pytest.raises(UserError, match="vit compare compare_digits"):
        recipes.load_recipe("compare_digits", {})
    with pytest.raises(UserError, match="vit train digits_vit"):
        recipes.load_comparison("digits_vit", {})


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean digits_resnet_se"):
        recipes.find("digits_resnet_sse")


def test_sections_are_frozen() -> None:
    recipe = recipes.parse(GOOD)
    assert isinstance(recipe, Recipe)
    with pytest.raises(AttributeError):
        recipe.schedule.epochs = 5  # type: ignore[misc]
    assert Comparison(recipes=["a"]).seeds == 3
