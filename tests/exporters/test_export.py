"""What we write, read by the libraries it is written for."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch

import vit
from vit.data.decoding.reading import read_image
from vit.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from vit.errors import UserError
from vit.model import Model, assemble
from vit.recipe import load_recipe

CLASSES = ("ant", "bee", "cat", "dog")
TINY = {"embed_dim": 96, "depth": 2, "num_heads": 3}
PLAIN = Preprocessing((64, 64), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "bilinear", 1.0, "squash")
CROPPED = Preprocessing((64, 64), IMAGENET_MEAN, IMAGENET_STD, "bicubic", 0.8)
VARIANTS = {
    "plain": ("vit", TINY),
    "tanh": ("vit", TINY | {"activation": "gelu_tanh"}),
    "deit3": ("vit", TINY | {"layer_scale": 1e-5, "class_position": False}),
    "registers": ("vit", TINY | {"registers": 3, "layer_scale": 1e-5}),
    "registers, no positions": ("vit", TINY | {"registers": 3, "class_position": False}),
    "mean": ("vit", TINY | {"pool": "mean"}),
    "swiglu": ("vit", TINY | {"activation": "swiglu", "mlp_ratio": 256 / 96, "layer_scale": 1e-5}),
    "resnet18": ("resnet18", {"stem": "7x7"}),
    "resnet50": ("resnet50", {"stem": "7x7", "depths": (1, 2, 1, 1)}),
}
TIMM_ONLY = {
    "clip": ("vit", TINY | {"norm_before": True, "patch_bias": False, "norm_eps": 1e-5, "activation": "quick_gelu"}),
    "mae": ("vit", TINY | {"pool": "mean", "norm_after_pool": True}),
    "distilled": ("vit", TINY | {"pool": "cls_dist"}),
    "se": ("resnet18", {"stem": "7x7", "attention": "se"}),
    "cbam": ("resnet50", {"stem": "7x7", "attention": "cbam", "depths": (1, 1, 1, 1)}),
    "timm": ("timm/test_vit2", {}),
}
TRANSFORMERS_ONLY = {
    "cls_mean": ("vit", TINY | {"pool": "cls_mean", "layer_scale": 1.0}),
    "eps": ("vit", TINY | {"norm_eps": 1e-12}),
}


@pytest.fixture
def save(tmp_path: Path, randomize: Callable) -> Callable:
    """Return the function that writes a model file of an architecture, every weight drawn anew."""

    def write(name: str, options: dict, preprocessing: Preprocessing = PLAIN) -> Path:
        module, architecture, _ = assemble(name, options, len(CLASSES), preprocessing.image_size, None)
        model = {"model": {"name": name} | options, "data.image_size": list(preprocessing.image_size)}
        path = tmp_path / "run" / "model.safetensors"
        recipe = load_recipe("digits_vit", model)
        Model(randomize(module), architecture, CLASSES, preprocessing, recipe=recipe).save(path)
        return path

    return write


def logits(module: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found = module.eval()(images)
    return getattr(found, "logits", found)


@pytest.mark.parametrize(
    ("ours", "options", "theirs", "arguments"),
    [
        ("vit_tiny", {"depth": 2}, "vit_tiny_patch16_224", {"depth": 2}),
        (
            "vit_small",
            {"depth": 1, "layer_scale": 1e-5, "class_position": False},
            "deit3_small_patch16_224",
            {"depth": 1},
        ),
        ("vit_tiny", {"depth": 1, "pool": "cls_dist"}, "deit_tiny_distilled_patch16_224", {"depth": 1}),
        ("resnet18", {"attention": "se", "stem": "7x7"}, "seresnet18", {}),
        ("resnet50", {"stem": "7x7"}, "resnet50", {}),
    ],
)
def test_timm_loads_the_model_file_itself(save, ours: str, options: dict, theirs: str, arguments: dict) -> None:
    path = save(ours, options, Preprocessing((224, 224), IMAGENET_MEAN, IMAGENET_STD))
    module = timm.create_model(theirs, num_classes=len(CLASSES), checkpoint_path=path, **arguments)
    images = torch.randn(2, 3, 224, 224)
    expected = logits(vit.load(path).module, images)
    assert expected.std() > 1e-2
    assert (logits(module, images) - expected).abs().max() <= 1e-5


@pytest.mark.parametrize(("name", "options"), (VARIANTS | TIMM_ONLY).values(), ids=VARIANTS | TIMM_ONLY)
def test_timm_loads_the_exported_folder(save, tmp_path: Path, name: str, options: dict) -> None:
    path = save(name, options)
    folder = vit.export(path, to="timm", out=tmp_path / "export")
    module = timm.create_model(f"local-dir:{folder}", pretrained=True)
    images = torch.randn(2, 3, 64, 64)
    assert (logits(module, images) - logits(vit.load(path).module, images)).abs().max() <= 1e-5
    config = timm.data.resolve_model_data_config(module)
    assert (tuple(config["mean"]), tuple(config["std"])) == (PLAIN.mean, PLAIN.std)
    assert (config["interpolation"], config["crop_pct"], config["crop_mode"]) == ("bilinear", 1.0, "squash")


@pytest.mark.filterwarnings("ignore")  # transformers' own
@pytest.mark.parametrize(("name", "options"), (VARIANTS | TRANSFORMERS_ONLY).values(), ids=VARIANTS | TRANSFORMERS_ONLY)
@pytest.mark.parametrize("preprocessing", [PLAIN, CROPPED], ids=["squash", "crop"])
def test_transformers_loads_the_exported_folder(
    save, tmp_path: Path, photographs: list[Path], name: str, options: dict, preprocessing: Preprocessing
) -> None:
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    path = save(name, options, preprocessing)
    folder = vit.export(path, to="transformers", out=tmp_path / "export")
    module, report = AutoModelForImageClassification.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    images = torch.randn(2, 3, *preprocessing.image_size)
    assert (logits(module, images) - logits(vit.load(path).module, images)).abs().max() <= 1e-5
    assert [module.config.id2label[i] for i in range(len(CLASSES))] == list(CLASSES)

    # Square, because transformers and torchvision round the middle of an odd margin to different pixels.
    image = read_image(photographs[7]).crop((0, 0, 300, 300))
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    theirs = processor(image, return_tensors="pt")["pixel_values"][0]
    ours = vit.load(path).transform(image)
    assert theirs.shape == ours.shape
    assert (theirs - ours).abs().mean() < 0.02


@pytest.mark.parametrize(("name", "options"), TIMM_ONLY.values(), ids=TIMM_ONLY)
def test_what_transformers_has_not_is_refused(save, tmp_path: Path, name: str, options: dict) -> None:
    path = save(name, options)
    with pytest.raises(UserError, match="export with --to timm"):
        vit.export(path, to="transformers", out=tmp_path / "export")
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vit", TINY | {"pool": "cls_mean"}, "no Vision Transformer with pool cls_mean"),
        ("vit", TINY | {"representation_size": 8}, "no Vision Transformer with representation_size"),
        ("vit", TINY | {"norm_before": True}, "a bias exactly where no norm stands before the blocks"),
        ("vit", TINY | {"activation": "swiglu"}, "SwiGLU only together with layer scale"),
        ("resnet18", {}, "no ResNet with a 3x3 stem"),
    ],
)
def test_what_timm_has_not_is_refused(save, tmp_path: Path, name: str, options: dict, message: str) -> None:
    path = save(name, options)
    with pytest.raises(UserError, match=message):
        vit.export(path, to="timm", out=tmp_path / "export")
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize("to", ["timm", "transformers"])
@pytest.mark.parametrize("variant", ["plain", "registers", "swiglu"])
def test_an_export_comes_back_as_it_was(save, tmp_path: Path, to: str, variant: str) -> None:
    path = save(*VARIANTS[variant])
    folder = vit.export(path, to=to, out=tmp_path / "export")
    before, after = vit.load(path), vit.load(folder)
    assert after.classes == CLASSES
    assert after.preprocessing == PLAIN
    images = torch.randn(2, 3, 64, 64)
    assert (logits(after.module, images) - logits(before.module, images)).abs().max() <= 1e-5


def test_a_stem_is_kept_as_it_was_chosen(save, tmp_path: Path) -> None:
    path = save("resnet18", {}, Preprocessing((96, 96), IMAGENET_MEAN, IMAGENET_STD))
    assert vit.load(path).architecture.options["stem"] == "7x7"
    assert (vit.export(path, to="timm", out=tmp_path / "export") / "config.json").is_file()
    assert not (tmp_path / "export.new").exists()


def test_a_folder_with_something_in_it_is_not_written_into(save, tmp_path: Path) -> None:
    path = save(*VARIANTS["plain"])
    with pytest.raises(UserError, match="is not empty"):
        vit.export(path, to="timm", out=path.parent)


def test_the_configuration_is_readable(save, tmp_path: Path) -> None:
    folder = vit.export(save(*VARIANTS["plain"]), to="timm", out=tmp_path / "export")
    config = json.loads((folder / "config.json").read_text())
    assert config["model_args"]["embed_dim"] == 96
    assert config["pretrained_cfg"]["label_names"] == list(CLASSES)
