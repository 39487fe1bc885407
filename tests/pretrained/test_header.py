"""A model file is data from strangers: whatever its header and tensors are, a message or the truth, and no more."""

import json
import math
import random
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import vit
from vit.data.preprocessing import Preprocessing
from vit.errors import UserError
from vit.model import Model, assemble
from vit.recipe import load_recipe

MUTATIONS = 150
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 3, 10**6, 10**9, 10**30, 0.5, -1e-6, 1e300, math.nan, math.inf),
    *("", "q", "8", "\x1b[31m", "x" * 2_000, [], [1], [[1]], [0, 0, 0], {}, {"a": 1}, [None] * 3, [10**9, 10**9]),
)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = load_recipe("digits_vit", {"model.embed_dim": 16, "model.depth": 1, "model.num_heads": 2})
    module, architecture, _ = assemble("vit", recipe.model.options, 3, (8, 8), None)
    path = tmp_path_factory.mktemp("good") / "model.safetensors"
    means = (0.5, 0.5, 0.5)
    preprocessing = Preprocessing((8, 8), means, means)
    Model(module, architecture, ("ant", "bee", "cow"), preprocessing, recipe=recipe).save(path)
    return path


@pytest.fixture(scope="module")
def good_timm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = load_recipe("digits_vit", {"model": {"name": "timm/test_resnet"}})
    module, architecture, _ = assemble("timm/test_resnet", {}, 3, (32, 32), None)
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    means = (0.5, 0.5, 0.5)
    preprocessing = Preprocessing((32, 32), means, means)
    Model(module, architecture, ("ant", "bee", "cow"), preprocessing, recipe=recipe).save(path)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (9, 7), (200, 10, 90)).save(tmp_path / "x.png")
    return tmp_path / "x.png"


def described(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["vit"])


def write(path: Path, good: Path, values: Any, tensors: dict | None = None) -> Path:
    text = values if isinstance(values, str) else json.dumps(values)
    save_file(tensors if tensors is not None else load_file(good), path, metadata={"vit": text})
    return path


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """Return the path of every value in a header."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, item in inner for place in places(item, (*path, key))]


def changed(values: Any, place: tuple, what: Any) -> Any:
    values = deepcopy(values)
    inner_at(values, place)[place[-1]] = what
    return values


def removed(values: Any, place: tuple) -> Any:
    values = deepcopy(values)
    inner = inner_at(values, place)
    if place[-1] in inner or isinstance(inner, list):
        del inner[place[-1]]
    return values


def inner_at(values: Any, place: tuple) -> Any:
    for key in place[:-1]:
        values = values[key]
    return values


@pytest.mark.parametrize("kind", ["good", "good_timm"])
def test_whatever_a_header_says_is_a_message_or_the_truth(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path, picture: Path
) -> None:
    good = request.getfixturevalue(kind)
    values, chance = described(good), random.Random(kind)
    everywhere = [place for place in places(values) if place[0] != "recipe"]
    some_options = (
        "depth",
        "layers",
        "channels",
        "stem_width",
        "global_pool",
        "act_layer",
        "img_size",
        "output_stride",
    )
    refused = 0
    for number in range(MUTATIONS // 2):
        place = chance.choice(everywhere)
        if kind == "good_timm" and chance.random() < 0.5:
            place = ("architecture", "options", chance.choice(some_options))
        what = chance.choice(ODD)
        mutated = removed(values, place) if chance.random() < 0.15 else changed(values, place, what)
        path = write(tmp_path / f"{number}.safetensors", good, mutated)
        try:
            row = vit.load(path).predict([picture])[0]
        except UserError:
            refused += 1
        else:
            assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-4), (place, what)
            assert len(set(row["classes"])) == 3, (place, what)
        path.unlink()
    assert refused > MUTATIONS // 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(classes=["a"] * 3), r"classes: should be distinct, but 'a' is there twice"),
        (lambda m: m.update(classes=["a"]), "classes: 1 names for 3 outputs"),
        (lambda m: m["preprocessing"].update(crop_mode="q"), "preprocessing.crop_mode: should be 'center' or 'squash'"),
        (
            lambda m: m["preprocessing"].update(std=[0, 1, 1]),
            r"preprocessing.std.0: should be greater than or equal to 0.000001, given 0",
        ),
        (lambda m: m["preprocessing"].update(mean=[math.nan, 1, 1]), "preprocessing.mean.0: should be"),
        (lambda m: m["preprocessing"].update(crop_fraction=1e-9), "pixels, where 67,108,864 are the most"),
        (lambda m: m["architecture"]["options"].update(norm_eps=-1), "options.norm_eps: should be greater than 0"),
        (
            lambda m: m["architecture"]["options"].update(depth=10**9),
            r"larger model than its tensors.*depth: 1000000000",
        ),
        (lambda m: m["architecture"]["options"].update(embed_dim=10**7), "embed_dim: 10000000"),
        (lambda m: m["architecture"].update(name="nothing"), "there is no model nothing"),
        (lambda m: m.update(format_version="two"), "format_version: should be a valid integer"),
        (lambda m: m.update(recipe={"data": []}), r"data is a section[\s\S]*schedule is missing"),
        (lambda m: m.update(more=1), "more: is no key of it"),
    ],
)
def test_what_is_wrong_is_named(good: Path, tmp_path: Path, change: Callable, message: str) -> None:
    values = described(good)
    change(values)
    with pytest.raises(UserError, match=message):
        vit.load(write(tmp_path / "m.safetensors", good, values))


def test_all_mistakes_of_a_header_are_told_at_once(good: Path, tmp_path: Path) -> None:
    values = described(good)
    values["preprocessing"] |= {"crop_mode": "q", "std": [0, 0, 0]}
    with pytest.raises(UserError, match="4 mistakes"):
        vit.load(write(tmp_path / "m.safetensors", good, values))


@pytest.mark.parametrize("text", ["[" * 100_000, "", "null", "[1]", "{", '{"format_version": 1' + "0" * 5_000 + "}"])
def test_a_header_that_is_none_is_refused(good: Path, tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="header does not read as ours|describes no model"):
        vit.load(write(tmp_path / "m.safetensors", good, text))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.fill_(math.nan), "head.bias holds NaN or infinity"),
        (lambda t: t.fill_(math.inf), "head.bias holds NaN or infinity"),
        (lambda t: t.to(torch.complex64), "head.bias is complex"),
        (lambda t: t.to(torch.int64), "head.bias is of int64"),
        (lambda t: t.bool(), "head.bias is of bool"),
        (lambda t: t[:0], r"head.bias is \[0\], not \[3\]"),
    ],
)
def test_weights_that_are_no_numbers_are_named(good: Path, tmp_path: Path, spoil: Callable, message: str) -> None:
    tensors = load_file(good)
    tensors["head.bias"] = spoil(tensors["head.bias"].clone())
    with pytest.raises(UserError, match=message):
        vit.load(write(tmp_path / "m.safetensors", good, described(good), tensors))


@pytest.mark.parametrize(
    "options",
    [
        {"pretrained": True, "pretrained_cfg": {"url": "http://127.0.0.1:1/x.pth"}},
        {"pretrained_cfg_overlay": {"file": "/etc/hostname"}},
        {"checkpoint_path": "/etc/hostname"},
        {"cache_dir": "elsewhere"},
        {"features_only": True},
        {"scriptable": True},
        {"act_layer": "os.system"},
        {"norm_layer": {"a": 1}},
        {"in_chans": 1},
        {"num_classes": 7},
        {"drop_rate": math.nan},
    ],
)
def test_timm_is_given_shapes_and_rates_alone(good_timm: Path, tmp_path: Path, options: dict) -> None:
    values = described(good_timm)
    values["architecture"]["options"] = options
    name = next(iter(options))
    with pytest.raises(UserError, match=f"architecture.options.{name}"):
        vit.load(write(tmp_path / "m.safetensors", good_timm, values))
    with pytest.raises(UserError, match=f"model.{name}"):
        load_recipe("digits_vit", {"model": {"name": "timm/test_resnet", **options}})
    if name != "num_classes":  # a keyword of the function itself
        with pytest.raises(UserError, match=f"model.{name}"):
            vit.models.build("timm/test_resnet", num_classes=3, image_size=32, **options)


def test_a_large_model_of_timm_is_not_built_of_small_tensors(good_timm: Path, tmp_path: Path) -> None:
    values = described(good_timm)
    for name, options in (("timm/eva_giant_patch14_224", {}), ("timm/test_resnet", {"stem_width": 10**7})):
        values["architecture"] |= {"name": name, "options": options}
        with pytest.raises(UserError, match="asks for a larger model than its tensors are of"):
            vit.load(write(tmp_path / "m.safetensors", good_timm, values))


def test_a_config_of_timm_makes_nothing_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = timm.create_model("test_resnet", num_classes=3).eval()
    save_file(module.state_dict(), tmp_path / "model.safetensors")
    facts = {"url": "http://127.0.0.1:1/x.pth", "hf_hub_id": "a/b", "file": "/etc/hostname", "custom_load": True}
    facts |= {"input_size": [3, 32, 32], "mean": [0.1, 0.2, 0.3], "num_classes": 3, "source": "hf-hub"}
    config = {"architecture": "test_resnet", "num_classes": 3, "pretrained_cfg": facts}
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a connection was made"))
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(vit.load(tmp_path).module(images), module(images), atol=1e-5)
    assert vit.load(tmp_path).preprocessing.mean == (0.1, 0.2, 0.3)
    for wrong, message in (
        ({"model_args": {"checkpoint_path": "/etc/hostname"}}, "model_args.checkpoint_path"),
        ({"model_args": {"stem_width": 10**7}}, "larger model than its tensors"),
        ({"architecture": "no_such"}, "timm has no model no_such"),
        ({"pretrained_cfg": {"std": [0, 1, 1]}}, r"config.json beside .*[\s\S]*std.0: should be greater than"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(config | wrong))
        with pytest.raises(UserError, match=message):
            vit.load(tmp_path)


def test_a_configuration_of_transformers_is_checked(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text("[" * 100_000)
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="is not JSON"):
        vit.load(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_std": [0, 0, 0], "resample": "big"}))
    with pytest.raises(UserError, match=r"preprocessor_config.json beside .*4 mistakes"):
        vit.load(tmp_path)
