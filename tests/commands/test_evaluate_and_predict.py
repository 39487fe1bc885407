import csv
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vit
from vit.commands import predict as predict_command
from vit.data.decoding.reading import FORMATS
from vit.data.preprocessing import Preprocessing
from vit.data.sources import datasets
from vit.errors import UserError
from vit.files import read_json
from vit.inference.packed_blocks import PackedBlock
from vit.inference.prepare import prepare
from vit.kernels.packed_linear import int8_supported
from vit.model import Architecture, Model
from vit.recipe import load_recipe
from vit.run_folder import RunFolder


def test_evaluation_writes_what_the_contract_says(digits_run: RunFolder) -> None:
    evaluation = vit.evaluate(digits_run.path)
    scores = read_json(digits_run.scores("test"))
    promised = {"num_images", "top1", "top5", "nll", "brier", "ece", "balanced_accuracy", "macro_f1"}
    promised |= {"top1_low", "top1_high", "per_class", "confusion"}
    assert promised <= scores.keys()
    assert scores == evaluation.scores
    with np.load(digits_run.logits("test"), allow_pickle=False) as arrays:
        assert arrays["logits"].shape == (scores["num_images"], 10)
        assert (arrays["logits"].argmax(1) == arrays["labels"]).mean() == pytest.approx(scores["top1"])
    test = datasets.load(load_recipe(digits_run.recipe).data).test
    assert scores["num_images"] == len(test) == len(set(test.ids))


@pytest.mark.parametrize("split", ["train", "validation"])
def test_other_splits_are_evaluated_whole(digits_run: RunFolder, split: str) -> None:
    images = datasets.load(load_recipe(digits_run.recipe).data).split(split)
    assert vit.evaluate(digits_run.path, split=split).scores["num_images"] == len(images)


def test_an_unknown_split_is_refused(digits_run: RunFolder) -> None:
    with pytest.raises(UserError, match="there is no split tset; did you mean test"):
        vit.evaluate(digits_run.path, split="tset")


def test_merged_tokens_are_evaluated_beside_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = vit.train("digits_vit", out="runs/a", overrides={"schedule.epochs": 1, "schedule.warmup_epochs": 0})
    before = vit.evaluate(run.path).scores
    merged = vit.evaluate(run.path, merge_tokens=2)
    assert merged.folder.path.as_posix() == "evaluations/a-2-merged"
    assert merged.scores["nll"] != before["nll"] and merged.scores["num_images"] == before["num_images"]
    assert read_json(run.scores("test")) == before
    with pytest.raises(UserError, match="of 16 patches a block can merge 1 to 8 pairs, given 9"):
        vit.evaluate(run.path, merge_tokens=9)


def test_answers_in_bf16_are_kept_beside_the_exact_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = vit.train("digits_vit", out="runs/a", overrides={"schedule.epochs": 1, "schedule.warmup_epochs": 0})
    exact = vit.evaluate(run.path).scores
    half = vit.evaluate(run.path, precision="bf16")
    assert half.folder.path.as_posix() == "evaluations/a-bf16"
    assert 0 < abs(half.scores["nll"] - exact["nll"]) < 0.05 and abs(half.scores["top1"] - exact["top1"]) < 0.03
    assert read_json(run.scores("test")) == exact


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", ["vit", "resnet_cifar"])
def test_all_of_a_model_lies_where_it_is_to_answer(name: str, precision: str) -> None:
    """What is packed for the CPU, in the lack of a GPU seen on the device that holds no numbers."""
    options = {"patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 2} if name == "vit" else {}
    architecture = Architecture(name, options, 3)
    usual = Preprocessing((16, 16), (0.5,) * 3, (0.5,) * 3)
    loaded = Model(architecture.build((16, 16)).eval(), architecture, ("a", "b", "c"), usual)
    module = prepare(loaded, 0, precision, "meta")[0].module
    parts = list(module.modules())
    tensors = [t for part in parts for t in (*vars(part).values(), *part.parameters(), *part.buffers())]
    assert {t.device.type for t in tensors if isinstance(t, torch.Tensor)} == {"meta"}
    assert not any(isinstance(part, PackedBlock) for part in parts)


@pytest.mark.skipif(not int8_supported(), reason="the processor has no instructions for int8")
def test_answers_in_int8_are_those_of_a_vit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    short = {"schedule.epochs": 1, "schedule.warmup_epochs": 0}
    run = vit.train("digits_vit", out="runs/a", overrides=short)
    exact, rounded = vit.evaluate(run.path).scores, vit.evaluate(run.path, precision="int8")
    assert rounded.folder.path.as_posix() == "evaluations/a-int8"
    assert 0 < abs(rounded.scores["nll"] - exact["nll"]) < 0.1 and abs(rounded.scores["top1"] - exact["top1"]) < 0.05
    other = vit.train("digits_resnet", out="runs/b", overrides=short)
    with pytest.raises(UserError, match="precision int8 is for ViTs of `vit models` with GELU"):
        vit.evaluate(other.path, precision="int8")
    with pytest.raises(UserError, match=r"there is no precision fp8 \(fp32, bf16, fp16, int8, auto\)"):
        vit.evaluate(run.path, precision="fp8")


def test_a_prediction_in_bf16_names_the_same_classes(photo_run: RunFolder, photo_root: Path) -> None:
    exact, half = (
        predict_command.predict(photo_run.path, [photo_root], precision=precision).rows
        for precision in ("fp32", "bf16")
    )
    for a, b in zip(exact, half, strict=True):
        assert a["path"] == b["path"]
        assert dict(zip(a["classes"], a["probabilities"], strict=True)) == pytest.approx(
            dict(zip(b["classes"], b["probabilities"], strict=True)), abs=0.05
        )


def test_predict_agrees_with_evaluate_on_every_image(photo_run: RunFolder, photo_root: Path) -> None:
    vit.evaluate(photo_run.path)
    with np.load(photo_run.logits("test"), allow_pickle=False) as arrays:
        ids, logits = arrays["ids"], arrays["logits"]
    loaded = vit.load(photo_run.path)
    rows = loaded.predict([photo_root / name for name in ids])
    expected = torch.from_numpy(logits).softmax(-1)
    assert len(rows) == len(ids)
    for row, probabilities in zip(rows, expected, strict=True):
        assert row["classes"][0] == loaded.classes[int(probabilities.argmax())]
        assert row["probabilities"][0] == pytest.approx(float(probabilities.max()), abs=1e-5)


def test_a_model_file_is_enough(photo_run: RunFolder, photo_root: Path, tmp_path: Path) -> None:
    alone = shutil.copy(photo_run.model, tmp_path / "mine.safetensors")
    image = next(photo_root.rglob("*.jpg"))
    assert vit.load(alone).predict([image]) == vit.load(photo_run.path).predict([image])


def test_another_class_count_is_refused(digits_run: RunFolder, photo_root: Path) -> None:
    with pytest.raises(UserError, match=r"the data has 3 classes .* the model 10"):
        vit.evaluate(digits_run.path, photo_root)


def test_another_folder_is_evaluated_whole_and_by_class_name(
    photo_run: RunFolder, photo_folder: Path, tmp_path: Path
) -> None:
    absent = sorted(photo_folder.iterdir())[0]
    shutil.rmtree(absent)
    evaluation = vit.evaluate(photo_run.path, photo_folder, out=tmp_path / "scores")
    files = sorted(photo_folder.rglob("*.*"))
    assert evaluation.scores["num_images"] == len(files)
    with np.load(evaluation.folder.logits("test"), allow_pickle=False) as arrays:
        names = [vit.load(photo_run.path).classes[label] for label in arrays["labels"]]
        assert names == [name.split("/")[0] for name in arrays["ids"]]
    by_class = {row["class"]: row["images"] for row in evaluation.scores["per_class"]}
    assert by_class[absent.name] == 0


def test_a_split_that_other_data_lacks_is_refused(photo_run: RunFolder, photo_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "split").mkdir()
    shutil.copytree(photo_folder, tmp_path / "split" / "train")
    shutil.copytree(photo_folder, tmp_path / "split" / "test")
    assert vit.evaluate(photo_run.path, tmp_path / "split", out=tmp_path / "out").scores["num_images"] == 24
    with pytest.raises(UserError, match=r"has no split validation \(train, test\)"):
        vit.evaluate(photo_run.path, tmp_path / "split", split="validation")


def test_predict_takes_folders_and_prints_three_ways(photo_run: RunFolder, photo_root: Path) -> None:
    rows = vit.load(photo_run.path).predict(sorted(photo_root.rglob("*.*")), top=2)
    same = predict_command.predict(photo_run.path, [photo_root], top=2).rows
    assert same == rows
    assert json.loads(predict_command.show(rows, "json")) == rows
    lines = list(csv.DictReader(io.StringIO(predict_command.show(rows, "csv"))))
    assert [line["class_1"] for line in lines] == [row["classes"][0] for row in rows]
    assert rows[0]["classes"][0] in predict_command.show(rows, "table")


def test_predict_names_what_it_cannot_read(digits_run: RunFolder, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"broken\.png: not an image of a known format"):
        predict_command.predict(digits_run.path, [broken])
    with pytest.raises(UserError, match="no such file or folder"):
        predict_command.predict(digits_run.path, [tmp_path / "absent.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        predict_command.predict(digits_run.path, [tmp_path / "empty"])


def test_a_grey_and_a_large_image_are_predicted(digits_run: RunFolder, tmp_path: Path) -> None:
    Image.new("L", (500, 300), 200).save(tmp_path / "grey.png")
    (row,) = predict_command.predict(digits_run.path, [tmp_path / "grey.png"], top=20).rows
    assert len(row["classes"]) == 10
    assert sum(row["probabilities"]) == pytest.approx(1, abs=1e-5)


def test_one_unreadable_file_among_many_leaves_the_others_their_answers(
    digits_run: RunFolder, photo_root: Path, tmp_path: Path
) -> None:
    images = shutil.copytree(photo_root, tmp_path / "many")
    whole = predict_command.predict(digits_run.path, [images])
    (images / "broken.png").write_bytes(b"nonsense")
    (images / "photo.nef").touch()
    (images / "notes.txt").touch()
    (images / "nowhere.jpg").symlink_to("not-there.jpg")
    os.mkfifo(images / "pipe.png")
    (images / "back").symlink_to(images)
    (images / ".hidden").mkdir()
    for hidden in ("._0.png", ".hidden/0.png"):
        (images / hidden).write_bytes(b"nonsense")
    some = predict_command.predict(digits_run.path, [images, tmp_path / "absent.png"])
    assert some.rows == whole.rows and not whole.unreadable
    assert sorted(line.split("/")[-1] for line in some.unreadable) == [
        "absent.png: no such file or folder",
        f"broken.png: not an image of a known format ({', '.join(FORMATS)})",
        "nowhere.jpg: a link that leads nowhere",
        "photo.nef: a raw photograph; save it as JPEG or TIFF",
        "pipe.png: neither a file nor a folder",
    ]
    said = predict_command.unreadable_in_words(some).splitlines()
    assert said[:-1] == some.unreadable and said[-1] == "5 cannot be read; the other 24 are answered above"


def test_in_python_an_unreadable_file_is_raised_or_told(
    digits_run: RunFolder, photo_root: Path, tmp_path: Path
) -> None:
    images = [next(photo_root.rglob("*.png")), tmp_path / "broken.png"]
    images[1].touch()
    loaded = vit.load(digits_run.path)
    with pytest.raises(UserError, match=r"broken\.png: an empty file"):
        loaded.predict(images)
    told: list[UserError] = []
    (row,) = loaded.predict(images, unreadable=told.append, batch_size=1)
    assert row["path"] == str(images[0]) and [str(error) for error in told] == [f"{images[1]}: an empty file"]


def test_a_folder_that_may_not_be_read_is_told(
    digits_run: RunFolder, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir, closed = os.scandir, sorted(photo_folder.iterdir())[1]

    def forbidden(path):
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidden)
    predictions = predict_command.predict(digits_run.path, [photo_folder])
    assert len(predictions.rows) == 16 and predictions.unreadable == [f"{closed}: Permission denied"]


def test_a_home_and_a_hidden_file_named_by_hand_are_found(
    digits_run: RunFolder, photo_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copy(next(photo_root.rglob("*.png")), tmp_path / ".hidden.png")
    (row,) = predict_command.predict(digits_run.path, ["~/.hidden.png"]).rows
    assert row["path"] == str(tmp_path / ".hidden.png")


ODD_NAMES = [
    "[x].png",
    "a:dog:b.png",
    "x[/b].png",
    "two\nlines.png",
    "caf\udce9.png",
    "-out.png",
    'q"uo,te.png',
    "犬.png",
]


def test_names_are_printed_as_they_are() -> None:
    rows = [{"path": name, "classes": ["it's [bold]", ":cat:"], "probabilities": [0.75, 0.25]} for name in ODD_NAMES]
    shown = {form: predict_command.show(rows, form) for form in ("table", "csv", "json")}
    assert json.loads(shown["json"]) == rows
    assert [line["path"] for line in csv.DictReader(io.StringIO(shown["csv"]))] == ODD_NAMES
    lines = shown["table"].splitlines()
    written_out = [name.replace("\n", "\\n").replace("\udce9", "\\udce9") for name in ODD_NAMES]
    assert [line.split("  ")[0].strip() for line in lines[1:]] == written_out
    assert all("it's [bold] 75.0%" in line and ":cat: 25.0%" in line for line in lines[1:])


def test_a_table_that_no_terminal_shows_has_a_line_for_every_image() -> None:
    rows = [{"path": "folder/" * 60 + "a.png", "classes": ["very long name " * 9] * 5, "probabilities": [0.2] * 5}] * 3
    assert len(predict_command.show(rows, "table").splitlines()) == 4
