import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import vit
from vit.data.preprocessing import Preprocessing
from vit.errors import UserError
from vit.model import Model, assemble
from vit.recipe import load_recipe

PREPROCESSING = Preprocessing((12, 8), (0.1, 0.2, 0.3), (0.5, 0.6, 0.7), "bilinear", 0.9)
CLASSES = ("ant", "bee", "čáp")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    recipe = load_recipe("digits_vit", {"data.image_size": [12, 8], "model.drop_path": 0.1})
    module, architecture, _ = assemble("vit", recipe.model.options, 3, (12, 8), None)
    torch.nn.init.normal_(module.get_parameter("head.weight"))
    path = tmp_path / "model.safetensors"
    Model(module, architecture, CLASSES, PREPROCESSING, recipe=recipe).save(path)
    return path


def test_a_model_file_says_everything_about_its_model(saved: Path) -> None:
    loaded = vit.load(saved)
    assert loaded.classes == CLASSES
    assert loaded.preprocessing == PREPROCESSING
    assert loaded.recipe == load_recipe("digits_vit", {"data.image_size": [12, 8], "model.drop_path": 0.1})
    assert not loaded.module.training


def test_a_loaded_model_gives_the_same_logits(saved: Path) -> None:
    with safe_open(saved, framework="pt") as file:
        names = set(file.keys())
        description = json.loads(file.metadata()["vit"])
    assert {"cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "head.bias"} <= names
    assert description["format_version"] == 4 and description["output"] == "softmax"
    assert description["architecture"]["options"]["norm_eps"] == 1e-6
    assert description["classes"] == list(CLASSES)
    one, two = vit.load(saved), vit.load(saved)
    images = torch.randn(2, 3, 12, 8)
    assert torch.equal(one.module(images), two.module(images))


def test_the_weights_of_a_file_cut_short_are_refused(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:-1000])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        vit.load(saved)


def test_a_file_of_format_one_is_read(saved: Path) -> None:
    with safe_open(saved, framework="pt") as file:
        description = json.loads(file.metadata()["vit"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    description["format_version"] = 1  # its options were those of the recipe alone, and no crop was named
    description["architecture"]["options"] = description["recipe"]["model"] | {}
    for key in ("name", "pretrained", "new_head"):
        del description["architecture"]["options"][key]
    del description["preprocessing"]["crop_mode"]
    images = torch.randn(2, 3, 12, 8)
    expected = vit.load(saved).module(images)
    save_file(weights, saved, metadata={"vit": json.dumps(description)})
    assert torch.equal(vit.load(saved).module(images), expected)


def test_a_newer_format_is_refused(saved: Path) -> None:
    with safe_open(saved, framework="pt") as file:
        description = json.loads(file.metadata()["vit"]) | {"format_version": 99}
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(weights, saved, metadata={"vit": json.dumps(description)})
    with pytest.raises(UserError, match="of format 99"):
        vit.load(saved)


def test_a_run_that_has_not_ended_is_named(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("data:\n")
    with pytest.raises(UserError, match="its training has not ended"):
        vit.load(tmp_path)
