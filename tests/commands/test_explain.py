"""`vit explain`: a page, pictures, maps and numbers of several models on the same images; and the same in Python."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_models import model_file
from PIL import Image
from playwright.sync_api import Browser

import vit
from vit.cli import run
from vit.commands.explain import models_and_images
from vit.explanations.methods import METHODS as TITLED
from vit.files import read_json
from vit.places import short_names

METHODS = ("integrated_gradients", "attention", "occlusion")


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


@pytest.fixture
def two(tmp_path: Path, randomize) -> list[str]:
    return [
        model_file(tmp_path / "vit.safetensors", randomize),
        model_file(tmp_path / "cnn.safetensors", randomize, "resnet", attention="cbam"),
    ]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve pictures of several shapes, one of which lies on its side by its metadata."""
    folder = tmp_path / "photos"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(12):
        pixels = draw.integers(0, 255, (6 + number, 20, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((200 - 8 * number, 80 + 12 * number))
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 3 else 1
        image.save(folder / f"{number:02}.jpg", exif=exif)
    return folder


def test_a_page_pictures_maps_and_numbers_are_written(two, photos, tmp_path, capsys) -> None:
    out = tmp_path / "why"
    assert run(["explain", *two, str(photos / "00.jpg"), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == (out / "explanation.html").as_posix() and "one image: look" in said
    numbers = read_json(out / "explanation.json")
    (image,) = numbers["images"]
    found = {(one["model"], one["method"]) for one in image["explanations"]}
    assert found == {("vit", name) for name in METHODS} | {
        ("cnn", name) for name in (METHODS[0], "hirescam", METHODS[2])
    }
    assert all(one["flat"] is None and 0 < one["probability"] < 1 for one in image["explanations"])
    assert all(len(one["curves"]["random_deletion"]) == 3 for one in image["explanations"])
    with np.load(out / "maps.npz", allow_pickle=False) as maps:
        shapes = {name: maps[name].shape for name in maps.files}
    pictures = sorted((out / "overlays").iterdir())
    assert [path.stem for path in pictures] == sorted(shapes) and len(shapes) == len(image["explanations"])
    assert shapes[next(name for name in shapes if "vit" in name and name.endswith("-attention"))] == (8, 12)
    assert {opened(path).size for path in pictures} == {(200, 80)}  # the file's own shape
    page = (out / "explanation.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:|#)', page) and "<b>" not in page
    assert "Inside vit" in page and "Inside cnn" not in page


def test_many_images_have_a_verdict_of_their_mean(two, photos, tmp_path) -> None:
    assert run(["explain", *two, str(photos), "--out", str(tmp_path / "why"), "--fill", "blur"]) == 0
    numbers = read_json(tmp_path / "why" / "explanation.json")
    assert len(numbers["images"]) == 12 and numbers["protocol"]["fill"] == "blur"
    assert {row["model"] for row in numbers["methods"]} == {"vit", "cnn"} and len(numbers["methods"]) == 4
    for row in numbers["methods"]:
        assert row["images"] == 12 and row["deletion"]["low"] < row["deletion"]["mean"] < row["deletion"]["high"]
        gains = [
            one["gains"]["deletion"]
            for image in numbers["images"]
            for one in image["explanations"]
            if one["model"] == row["model"] and TITLED[one["method"]].title == row["method"]
        ]
        assert len(gains) >= 12
        if len(gains) == 12:  # one class an image
            assert row["deletion"]["mean"] == pytest.approx(np.mean(gains))


def test_an_image_on_its_side_is_explained_upright(two, photos, tmp_path) -> None:
    (one,) = vit.explain(two[0], photos / "03.jpg")
    upright = opened(photos / "03.jpg").rotate(-90, expand=True)
    (other,) = vit.explain(two[0], upright)
    assert one.map.shape == other.map.shape == (32, 48)
    assert np.corrcoef(one.cells.ravel(), other.cells.ravel())[0, 1] > 0.9


def test_named_classes_and_methods_are_explained_in_python(two, photos) -> None:
    model = vit.load(two[0])
    found = vit.explain(model, [photos / "00.jpg", photos / "01.jpg"], method="rollout", classes=["dog", "cat"])
    assert [one.class_name for one in found] == ["dog", "cat"] * 2
    assert {one.method for one in found} == {"rollout"} and all(one.curves is None for one in found)
    assert np.allclose(found[0].map, found[1].map, rtol=1e-5)  # of no class
    answers = vit.explain(model, photos / "00.jpg")
    (row,) = model.predict([photos / "00.jpg"], top=1)
    assert [answers[0].class_name] == row["classes"]
    assert answers[0].probability == pytest.approx(row["probabilities"][0], rel=1e-5)


def test_all_labels_of_an_image_are_explained(tmp_path, randomize, photos) -> None:
    name = model_file(tmp_path / "several.safetensors", randomize, output="sigmoid")
    model = vit.load(name)
    with torch.no_grad():
        model.module.head.bias.copy_(torch.tensor([5.0, 5.0, -5.0]))
    assert {one.class_name for one in vit.explain(model, photos / "00.jpg")} == {"cat", "dog"}
    with torch.no_grad():
        model.module.head.bias.fill_(-5.0)
    assert len(vit.explain(model, photos / "00.jpg")) == 1


def test_what_cannot_be_read_is_told_and_the_others_are_explained(two, photos, tmp_path, capsys) -> None:
    (photos / "broken.jpg").write_bytes(b"no image")
    assert run(["explain", two[1], str(photos), "--out", str(tmp_path / "why")]) == 2
    assert "broken.jpg" in capsys.readouterr().err
    assert len(read_json(tmp_path / "why" / "explanation.json")["images"]) == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["VIT"], "models first, and then image files"),
        (["PHOTO"], "models first, and then image files"),
        (["PHOTO", "VIT"], "models first, and then image files"),
        (["VIT", "PHOTO", "--method", "gradcam"], "there is no method gradcam; did you mean grad_cam"),
        (["CNN", "PHOTO", "--method", "rollout"], "rollout needs a Vision Transformer's tokens"),
        (["VIT", "PHOTO", "--class", "dgo"], "knows no class dgo; did you mean dog"),
        (["VIT", "VIT", "PHOTO"], "name every model once"),
        (["VIT", "nowhere.jpg"], "no such file"),
        (["nowhere", "PHOTO"], "nowhere is neither"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(arguments, message, two, photos, tmp_path, capsys) -> None:
    names = {"VIT": two[0], "CNN": two[1], "PHOTO": str(photos / "00.jpg")}
    out = tmp_path / "why"
    assert run(["explain", *(names.get(word, word) for word in arguments), "--out", str(out)]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not out.exists()


def test_a_class_is_known_by_any_of_its_names(two, photos) -> None:
    model = replace(vit.load(two[0]), classes=("tabby, tabby cat", "crane", "Crane, bird"))
    assert {one.class_name for one in vit.explain(model, photos / "00.jpg", classes=["Tabby"])} == {"tabby, tabby cat"}
    assert vit.explain(model, photos / "00.jpg", classes=["crane"])[0].class_name == "crane"
    with pytest.raises(vit.UserError, match="calls several classes CRANE: 'crane', 'Crane, bird'; name one of them"):
        vit.explain(model, photos / "00.jpg", classes=["CRANE"])


def test_models_are_told_from_images(tmp_path, photos, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/a").mkdir(parents=True)
    (tmp_path / "runs/a/recipe.yaml").touch()
    given = ["runs/a", "timm/vit_tiny_patch16_224", "photos", "photos/00.jpg"]
    assert models_and_images(given) == (given[:2], given[2:])
    assert short_names(["runs/a", "other/a", "b.safetensors"]) == ["runs/a", "other/a", "b"]
    assert short_names(["runs/a", "runs/b"]) == ["a", "b"]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_whole_in_a_browser(browser: Browser, two, photos, tmp_path, width: int, scheme) -> None:
    files = [str(photos / f"{number:02}.jpg") for number in (0, 11)]
    assert run(["explain", *two, *files, "--out", str(tmp_path / "why")]) == 0
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    complaints, requests = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: requests.append(asked.url))
    page.goto((tmp_path / "why" / "explanation.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert complaints == [] and all(url.startswith(("file:", "data:")) for url in requests)
    pictures = page.locator(".stack img")
    assert pictures.evaluate_all("all => all.every(one => one.complete && one.naturalWidth > 0 && one.alt)")
    layers = page.locator(".stack img + img")
    assert layers.count() >= 2 * 2 * 3
    for i in range(layers.count()):  # a map lies exactly on its picture
        own, below = layers.nth(i).bounding_box(), layers.nth(i).locator("xpath=..").bounding_box()
        assert own is not None and below is not None and own["width"] == pytest.approx(below["width"], abs=1)
        assert own["height"] == pytest.approx(below["height"], abs=1)
    before = float(layers.first.evaluate("node => getComputedStyle(node).opacity"))
    page.get_by_label("strength of the map").focus()
    page.keyboard.press("Home")
    assert before > 0.5 and float(layers.first.evaluate("node => getComputedStyle(node).opacity")) == 0
    context.close()
