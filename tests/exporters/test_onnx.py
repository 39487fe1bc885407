"""ONNX files: as onnxruntime and OpenVINO answer by them, what goes with them, and that a wrong one is not written."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_models import CLASSES, model_file
from PIL import Image

import vit
from vit.cli import run
from vit.commands.explain import models_and_images
from vit.data.preprocessing import Preprocessing
from vit.errors import FailedCheck, UserError
from vit.exporters import agreement, onnx, real_images
from vit.files import read_json
from vit.model import Architecture, Model, load
from vit.run_folder import RunFolder

runtime, library = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
WIDE = Preprocessing((32, 48), (0.5, 0.4, 0.3), (0.3, 0.2, 0.25), "bicubic", 0.875)
SQUASHED = Preprocessing((32, 48), (0.5,) * 3, (0.5,) * 3, "bilinear", 1.0, "squash")
VARIANTS = {
    "cls": ("vit", {}),
    "mean": ("vit", {"pool": "mean", "class_token": False}),
    "cls and mean": ("vit", {"pool": "cls_mean", "layer_scale": 0.1, "registers": 4}),
    "distilled": ("vit", {"pool": "cls_dist", "activation": "gelu_tanh"}),
    "clip": ("vit", {"norm_before": True, "patch_bias": False, "activation": "quick_gelu", "norm_eps": 1e-5}),
    "swiglu": ("vit", {"activation": "swiglu", "class_position": False, "registers": 2, "norm_after_pool": True}),
    "representation": ("vit", {"representation_size": 16}),
    "residual": ("resnet", {"stem": "7x7"}),
    "small stem": ("resnet", {"stem": "3x3", "block": "bottleneck"}),
    **{gate: ("resnet", {"attention": gate}) for gate in ("se", "eca", "cbam", "spatial")},
}
TIMM = (  # tiny ones of as many kinds; the large are in docs/exporting.md
    "test_vit",
    "test_vit2",
    "test_vit3",
    "test_vit4",
    "test_resnet",
    "test_convnext",
    "test_convnext2",
    "test_efficientnet",
    "test_efficientnet_gn",
    "test_byobnet",
    "test_nfnet",
    "test_mambaout",
)


@pytest.fixture(scope="module")
def crops() -> list[Image.Image]:
    return real_images.photographs()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, randomize: Callable) -> Path:
    """A small model's folder, its file beside; not to be changed."""
    root = tmp_path_factory.mktemp("exported")
    return vit.export(model_file(root / "model.safetensors", randomize), to="onnx", out=root / "folder")


@pytest.fixture
def written(tmp_path: Path, randomize: Callable) -> Callable[..., Path]:
    """Return the function that exports a small model of drawn weights, and gives the folder."""

    def write(name: str = "vit", preprocessing: Preprocessing = WIDE, output="softmax", **options) -> Path:
        file = model_file(tmp_path / "model.safetensors", randomize, name, output, preprocessing, **options)
        return vit.export(file, to="onnx", out=tmp_path / "exported")

    return write


@pytest.mark.parametrize(("name", "options"), VARIANTS.values(), ids=VARIANTS)
def test_every_variant_answers_in_onnxruntime_as_in_torch(name, options, written, told, crops, tmp_path) -> None:
    folder = written(name, **options)
    assert "0 of 72 images get another class, in batches of 1, 3, 32" in told[-1]
    ours, theirs = load(tmp_path / "model.safetensors"), load(folder)
    images = torch.stack([ours.transform(image) for image in crops[:5]])
    with torch.no_grad():
        expected = ours.module(images)
    assert expected.std() > 1e-2, "nothing would be compared"
    assert torch.allclose(theirs.module(images), expected, atol=1e-4, rtol=0)
    assert (theirs.classes, theirs.preprocessing, theirs.architecture) == (CLASSES, WIDE, ours.architecture)


@pytest.mark.parametrize("name", TIMM)
def test_models_of_timm_answer_in_onnxruntime_as_in_torch(name: str, randomize, tmp_path: Path) -> None:
    module = randomize(vit.create_model(f"timm/{name}", num_classes=3, image_size=96))
    preprocessing = Preprocessing((96, 96), (0.5,) * 3, (0.5,) * 3)
    Model(module.eval(), Architecture(f"timm/{name}", {}, 3), CLASSES, preprocessing).save(tmp_path / "m.safetensors")
    folder = vit.export(tmp_path / "m.safetensors", to="onnx", out=tmp_path / "exported")
    assert (folder / "model.onnx").is_file()


def test_the_file_is_one_of_the_opset_asked_for_with_all_that_it_means(written, tmp_path: Path) -> None:
    folder = written()
    assert sorted(path.name for path in folder.iterdir()) == ["model.onnx", "predict.py"]
    session = runtime.InferenceSession(str(folder / "model.onnx"))
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape) == ("images", "tensor(uint8)", ["batch", 3, 32, 48])
    assert [(one.name, one.shape) for one in session.get_outputs()] == [
        ("logits", ["batch", 3]),
        ("probabilities", ["batch", 3]),
    ]
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["classes"]) == list(CLASSES) and (said["height"], said["width"]) == ("32", "48")
    assert (said["interpolation"], said["crop_fraction"], said["output"]) == ("bicubic", "0.875", "softmax")
    assert library.load(folder / "model.onnx").opset_import[0].version == 20
    content = (folder / "model.onnx").read_bytes()
    assert str(Path(vit.__file__).parent).encode() not in content, "paths of this machine are inside"
    names = [node.name for node in library.load(folder / "model.onnx").graph.node]
    assert "blocks.0.mlp.fc1/MatMul" in names and len(set(names)) == len(names)
    older = vit.export(tmp_path / "model.safetensors", to="onnx", opset=18, out=tmp_path / "older")
    assert library.load(older / "model.onnx").opset_import[0].version == 18


def test_openvino_reads_the_file(written, tmp_path: Path, crops) -> None:
    openvino = pytest.importorskip("openvino")
    folder = written("resnet", attention="cbam")
    model = load(tmp_path / "model.safetensors")
    pixels = real_images.stacked(model, crops.__getitem__, range(8))
    compiled = openvino.compile_model(str(folder / "model.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert np.abs(compiled(pixels)["logits"] - agreement.model_logits(model, pixels)).max() < 1e-4


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_a_graph_with_one_changed_bias_is_caught(name, written, tmp_path: Path, crops) -> None:
    folder = written(name)
    model = load(tmp_path / "model.safetensors")
    graph = library.load(folder / "model.onnx")
    biases = [tensor for tensor in graph.graph.initializer if len(tensor.dims) == 1 and tensor.dims[0] > 3]
    values = library.numpy_helper.to_array(biases[0]).copy()
    values[0] += 1e-2
    biases[0].CopyFrom(library.numpy_helper.from_array(values, biases[0].name))
    library.save(graph, tmp_path / "changed.onnx")
    session = runtime.InferenceSession(str(tmp_path / "changed.onnx"))
    images = real_images.to_check_on(model, None, None)
    with pytest.raises(FailedCheck, match=r"was not written: logits differ by at most .* of 72 images"):
        agreement.check(lambda pixels: onnx.logits(session, pixels), model, images, "changed.onnx")


def test_what_answers_otherwise_in_batches_of_another_size_is_caught(randomize, tmp_path: Path) -> None:
    model = load(model_file(tmp_path / "model.safetensors", randomize))
    images = real_images.to_check_on(model, None, None)

    def frozen(pixels: np.ndarray) -> np.ndarray:
        logits = agreement.model_logits(model, pixels)
        return logits if len(pixels) != 3 else np.roll(logits, 1, axis=0)

    assert agreement.agreement(lambda pixels: agreement.model_logits(model, pixels), model, images).holds
    assert not agreement.agreement(frozen, model, images).holds
    assert not agreement.agreement(lambda pixels: np.full((len(pixels), 3), np.nan), model, images).holds


def test_a_wrong_file_is_not_written_and_the_fault_is_ours(randomize, tmp_path, monkeypatch, capsys) -> None:
    file = model_file(tmp_path / "model.safetensors", randomize)
    monkeypatch.setattr(onnx, "logits", lambda session, pixels: np.ones((len(pixels), 3)))
    assert run(["export", file, "--to", "onnx", "--out", str(tmp_path / "exported")]) == 1
    said = capsys.readouterr().err
    assert "model.onnx does not answer as" in said and "Traceback" not in said
    assert not list(tmp_path.glob("exported*"))


def test_a_killed_export_leaves_no_file_of_that_name(randomize, tmp_path: Path) -> None:
    file = model_file(tmp_path / "model.safetensors", randomize)
    command = [sys.executable, "-m", "vit", "export", file, "--to", "onnx", "--out", str(tmp_path / "exported")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not list((tmp_path / "exported.new").glob("model.onnx")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "exported").exists()
    assert subprocess.run(command, check=False).returncode == 0
    assert sorted(path.name for path in (tmp_path / "exported").iterdir()) == ["model.onnx", "predict.py"]


def test_an_exported_run_is_scored_as_the_run_was(digits_run: RunFolder, tmp_path: Path, told) -> None:
    folder = vit.export(digits_run.path, to="onnx", out=tmp_path / "exported")
    assert any("checked: logits differ" in line and "of its test images" in line for line in told)
    scored = vit.evaluate(folder / "model.onnx")
    trained = vit.evaluate(digits_run.path, out=tmp_path / "again")
    assert scored.scores["top1"] == trained.scores["top1"] and scored.scores["confusion"] == trained.scores["confusion"]
    assert scored.folder.path == folder, "the evaluation stands beside its file"


def odd_images(folder: Path, photographs: list[Path]) -> list[Path]:
    """Write pictures of every kind that is read: turned, grey, deep, transparent, thin, of indexed colours, in CMYK."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number, photograph in enumerate(photographs):
        with Image.open(photograph) as image:
            image = image.convert("RGB").resize((160 + number % 90, 240 - number % 70))
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        image.save(folder / f"{number:03}-turned.jpg", exif=exif)
        image.convert("L").save(folder / f"{number:03}-grey.png")
        noise = draw.integers(0, 255, (image.height, image.width), dtype=np.uint8)
        deep = (np.asarray(image.convert("L")).astype(np.uint16) << 8) | noise
        Image.fromarray(deep).save(folder / f"{number:03}-deep.png")
        clear = image.copy()
        clear.putalpha(Image.fromarray(noise))
        clear.save(folder / f"{number:03}-clear.png")
        image.resize((1, 40 + number)).save(folder / f"{number:03}-thin.png")
        image.resize((300 + number, 1)).save(folder / f"{number:03}-flat.bmp")
        image.convert("P").save(folder / f"{number:03}-indexed.gif")
        image.convert("CMYK").save(folder / f"{number:03}-cmyk.jpg")
        image.convert("1").save(folder / f"{number:03}-bits.png")
        image.save(folder / f"{number:03}-plain.webp", quality=80)
    return sorted(folder.iterdir())


@pytest.mark.parametrize("preprocessing", [WIDE, SQUASHED], ids=["cropped", "squashed"])
def test_the_script_beside_answers_as_predict_does_without_torch(
    preprocessing, written, photographs, tmp_path: Path
) -> None:
    paths = odd_images(tmp_path / "odd", photographs)
    assert len(paths) == 1000
    folder = written("resnet", preprocessing)
    code = (
        "import sys; sys.modules['torch'] = sys.modules['vit'] = sys.modules['torchvision'] = None; "
        "import runpy, json; from pathlib import Path; "
        f"found = runpy.run_path({str(folder / 'predict.py')!r}); "
        f"print(json.dumps(found['answers'](sorted(Path({str(tmp_path / 'odd')!r}).iterdir()), 3)))"
    )
    alone = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    ours = load(tmp_path / "model.safetensors").predict(paths, 3)
    for row, other in zip(ours, json.loads(alone), strict=True):
        assert row["path"] == other["path"]
        assert np.abs(np.array(row["probabilities"]) - other["probabilities"]).max() < 1e-4, row["path"]
        assert row["classes"] == other["classes"], row["path"]


def test_the_script_is_a_program_with_plain_errors(exported: Path, tmp_path: Path, crops) -> None:
    crops[0].save(tmp_path / "a photo.jpg")
    program = [sys.executable, str(exported / "predict.py")]
    said = subprocess.run([*program, str(tmp_path / "a photo.jpg"), "--top", "2"], capture_output=True, text=True)
    assert said.returncode == 0 and said.stdout.count("%") == 2
    (tmp_path / "no.jpg").write_bytes(b"no image")
    wrong = subprocess.run([*program, str(tmp_path / "no.jpg")], capture_output=True, text=True)
    assert wrong.returncode == 1 and "no.jpg" in wrong.stderr and "Traceback" not in wrong.stderr


def test_labels_of_their_own_stay_so(written, tmp_path: Path, crops) -> None:
    folder = written(output="sigmoid")
    model, exported = load(tmp_path / "model.safetensors"), load(folder)
    pixels = real_images.stacked(model, crops.__getitem__, range(4))
    session = runtime.InferenceSession(str(folder / "model.onnx"))
    logits, probabilities = session.run(None, {"images": pixels})
    assert np.allclose(probabilities, 1 / (1 + np.exp(-logits)), atol=1e-6) and exported.output == "sigmoid"


def test_features_are_exported_too(randomize, tmp_path: Path) -> None:
    module = randomize(vit.create_model("timm/test_vit", num_classes=0, image_size=96)).eval()
    model = Model(module, Architecture("timm/test_vit", {}, 0), (), Preprocessing((96, 96), (0.5,) * 3, (0.5,) * 3))
    onnx.write(tmp_path / "features", model, real_images.to_check_on(model, None, None))
    session = runtime.InferenceSession(str(tmp_path / "features" / "model.onnx"))
    assert [one.name for one in session.get_outputs()] == ["features"]
    assert not (tmp_path / "features" / "predict.py").exists(), "there are no classes to name"
    assert load(tmp_path / "features").classes == ()


def test_an_exported_file_is_a_model_wherever_one_answers(exported: Path, tmp_path: Path, crops, capsys) -> None:
    crops[0].save(tmp_path / "photo.png")
    for model in (exported, exported / "model.onnx"):
        assert run(["predict", str(model), str(tmp_path / "photo.png"), "--format", "json"]) == 0
        row = json.loads(capsys.readouterr().out)[0]
        expected = load(exported.parent / "model.safetensors").predict([tmp_path / "photo.png"])[0]
        assert row["classes"] == expected["classes"]
        assert np.allclose(row["probabilities"], expected["probabilities"], atol=1e-5)
    model = exported.parent / "model.safetensors"
    assert models_and_images([str(model), str(exported), "photo.png"]) == ([str(model), str(exported)], ["photo.png"])
    out = tmp_path / "why"
    assert run(["explain", str(exported), str(tmp_path / "photo.png"), "--out", str(out)]) == 0
    assert {one["method"] for one in read_json(out / "explanation.json")["images"][0]["explanations"]} == {"occlusion"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["predict", "{file}", "{photo}", "--precision", "bf16"], "answers as it was exported"),
        (["predict", "{file}", "{photo}", "--merge-tokens", "2"], "answers as it was exported"),
        (["explain", "{file}", "{photo}", "--method", "attention"], "occlusion explains it"),
        (["explain", "{file}", "{photo}", "--method", "integrated_gradients"], "an exported file has none"),
        (["export", "{file}", "--to", "onnx"], "give the model that it was made of"),
        (["finetune", "{file}", "digits"], "give the model that it was made of"),
        (["evaluate", "{file}"], "was not trained here"),
        (["predict", "{no}", "{photo}"], "there is no file"),
        (["predict", "{damaged}", "{photo}"], "cannot be read by onnxruntime"),
        (["predict", "{foreign}", "{photo}"], "was not written by `vit export`"),
        (["export", "{model}", "--to", "timm", "--precision", "int8"], "--precision is for --to onnx"),
        (["export", "{model}", "--to", "onnx", "--opset", "17"], "allowed: 18, 19, 20"),
        (["export", "{model}", "--to", "onnx", "--accept-loss", "0.1"], "--accept-loss is for --precision int8"),
        (["export", "{model}", "--to", "onnx", "--out", "a.onnx"], "leave its ending out"),
        (["export", "{model}", "--to", "onnx", "--precision", "int8"], "not at hand"),
    ],
)
def test_mistakes_end_in_words(arguments, reason, exported: Path, tmp_path, crops, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    crops[0].save(tmp_path / "photo.png")
    (tmp_path / "damaged.onnx").write_bytes((exported / "model.onnx").read_bytes()[:999])
    graph = library.load(exported / "model.onnx")
    del graph.metadata_props[:]
    library.save(graph, tmp_path / "foreign.onnx")
    names = {"file": exported / "model.onnx", "photo": "photo.png", "no": "no.onnx", "damaged": "damaged.onnx"}
    names |= {"foreign": "foreign.onnx", "model": exported.parent / "model.safetensors"}
    before = sorted(tmp_path.rglob("*"))
    assert run([part.format(**names) for part in arguments]) == 2
    said = capsys.readouterr().err
    assert reason in said and "Traceback" not in said
    assert sorted(tmp_path.rglob("*")) == before, "something was written"


def test_without_the_packages_the_message_says_what_to_install(randomize, tmp_path, monkeypatch, capsys) -> None:
    file = model_file(tmp_path / "model.safetensors", randomize)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert run(["export", file, "--to", "onnx", "--out", str(tmp_path / "out")]) == 2
    assert "pip install 'vit-toolkit[export]'" in capsys.readouterr().err


def test_an_untrained_head_of_zeros_is_no_reason_to_refuse(tmp_path: Path) -> None:
    module = vit.create_model(
        "vit", num_classes=3, image_size=(32, 48), patch_size=4, embed_dim=24, depth=2, num_heads=3
    )
    from drawn_models import SHAPE

    from vit.registry import complete_options

    Model(module, Architecture("vit", complete_options("vit", SHAPE), 3), CLASSES, WIDE).save(
        tmp_path / "m.safetensors"
    )
    assert vit.export(tmp_path / "m.safetensors", to="onnx", out=tmp_path / "out").is_dir()


def test_images_to_check_on_can_be_given(randomize, tmp_path: Path, crops, told) -> None:
    file = model_file(tmp_path / "model.safetensors", randomize)
    (tmp_path / "mine").mkdir()
    for i in range(3):
        crops[i].save(tmp_path / "mine" / f"{i}.png")
    vit.export(file, to="onnx", images=tmp_path / "mine", out=tmp_path / "out")
    assert told[-1].endswith(f"checked on 3 images of {tmp_path / 'mine'}")
    with pytest.raises(UserError, match="no such file or folder"):
        vit.export(file, to="onnx", images=tmp_path / "none", out=tmp_path / "other")
