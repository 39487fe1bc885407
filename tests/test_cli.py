"""The command line as a user meets it: real processes, their output and exit status."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from vit.cli import run

ROOT = Path(__file__).parent.parent
THREE_MISTAKES = """data: {name: digits, image_sise: 8, image_size: 8}
model: {name: resnet_cifar}
optimizer: {lr: fast}
schedule: {epochs: -3}
"""


def vit(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vit", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=os.environ | {"COLUMNS": "120"})


@pytest.fixture
def here(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    """Return the function that carries out a command line in this process: (status, stdout, stderr)."""

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(ROOT)
        capsys.readouterr()
        status = run(list(arguments))
        return status, *capsys.readouterr()

    return command


def test_help_names_every_verb() -> None:
    shown = vit("--help")
    assert shown.returncode == 0
    for verb in ("train", "evaluate", "predict", "compare", "check", "models", "recipes"):
        assert f"\n  {verb} " in shown.stdout


def test_three_mistakes_are_listed_together_without_torch(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(THREE_MISTAKES)
    code = "import sys; from vit.cli import run; status = run(['train', 'wrong.yaml']); "
    code += "assert 'torch' not in sys.modules; sys.exit(status)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 2
    assert shown.stderr.splitlines() == [
        "vit: wrong.yaml: 3 mistakes",
        "  data.image_sise is not a recipe key; did you mean image_size? (keys of data: name, path, image_size, "
        "crop_fraction, interpolation, crop_mode, mean, std, validation_fraction, test_fraction, fraction, "
        "split_seed, resample_seed, groups, folds, fold, sampling, on_error, cache, cache_folder, workers)",
        "  optimizer.lr: should be a valid number, given 'fast'",
        "  schedule.epochs: should be greater than 0, given -3",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.yaml"]


@pytest.mark.parametrize("arguments", [["--help"], ["train", "absent"], ["models"], ["recipes"], ["compare", "absent"]])
def test_light_verbs_import_no_torch(arguments: list[str]) -> None:
    code = f"import sys; from vit.cli import run; run({arguments!r}); assert 'torch' not in sys.modules"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian", "digits_vit"], "Did you mean 'train'"),
        (["train"], "Missing argument 'RECIPE'"),
        (["train", "digits_vitt"], "did you mean digits_vit?"),
        (["train", "digits_vit", "epochs"], "an override is KEY=VALUE"),
        (["train", "digits_vit", "schedule.epoch=3"], "did you mean epochs?"),
        (["train", "digits_vit", "--resume"], "--resume continues the run in --out DIR"),
        (["train", "digits_vit", "data.name=folder", "data.path=nowhere"], "there is no folder nowhere"),
        (["evaluate", "nowhere"], "nowhere is neither a run folder, a file of weights, a name of timm"),
        (["predict", "./nowhere", "README.md"], "there is no file or folder ./nowhere"),
        (["predict", "README.md", "README.md"], "README.md is no file of weights known here"),
        (["predict", "vit_huge", "README.md"], "vit_huge has no published weights"),
        (["finetune", "vit_smal", "digits"], "did you mean vit_small?"),
        (["finetune", "nowhere.pth", "digits"], "there is no file or folder nowhere.pth"),
        (["finetune", "resnet18.pth", "digits"], "there is no file or folder resnet18.pth"),
        (["finetune", "nowhere.pth", "digits", "schedule.epoch=3"], "did you mean epochs?"),
        (["export", "nowhere", "--to", "timm"], "nowhere is neither a run folder"),
        (
            ["export", "nowhere", "--to", "keras"],
            "is not one of 'onnx', 'torch-export', 'safetensors', 'timm', 'transformers'",
        ),
        (["compare", "digits_vit"], "is a recipe, not a comparison"),
        (["compare", "seeds=3"], "name a comparison first"),
        (["check", "nowhere"], "neither a file nor a shipped recipe"),
    ],
)
def test_a_users_mistake_is_one_message_and_status_two(here, arguments: list[str], message: str) -> None:
    status, output, errors = here(*arguments)
    assert status == 2
    assert message in errors
    assert "Traceback" not in errors
    assert output == ""


def test_a_fault_of_ours_is_told_as_one(here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vit.recipe.shipped_names", lambda: 1 / 0)
    status, _, errors = here("recipes")
    assert status == 1
    assert "ZeroDivisionError" in errors and "please report it" in errors


def test_another_process_tells_its_mistake_with_its_number(here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vit.cli.SECONDS_FOR_THE_FIRST", 0)
    monkeypatch.setenv("RANK", "3")
    status, _, errors = here("train", "absent")
    assert status == 2 and errors.startswith("vit: process 3: absent")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "vit: out of memory: "),
        (RuntimeError("CUDA error: out of memory"), "vit: out of memory: "),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error."), "vit: shared memory is full: "),
    ],
)
def test_what_runs_out_anywhere_is_told(here, error: Exception, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted() -> None:
        raise error

    monkeypatch.setattr("vit.recipe.shipped_names", exhausted)
    status, _, errors = here("recipes")
    assert status == 2 and errors.startswith(message) and "Traceback" not in errors


def test_a_run_from_recipe_to_prediction(tmp_path: Path, photo_folder: Path) -> None:
    settings = ["data.name=folder", f"data.path={photo_folder}", "data.image_size=32", "training.batch_size=8"]
    settings += ["schedule.epochs=1", "schedule.warmup_epochs=0"]
    trained = vit("train", "digits_resnet_eca", *settings, "--out", "run", cwd=tmp_path)
    assert (trained.returncode, trained.stdout) == (0, "run\n"), trained.stderr
    assert "1/1" in trained.stderr and "images/s" in trained.stderr and "left" in trained.stderr
    assert "Warning" not in trained.stderr

    evaluated = vit("evaluate", "run", cwd=tmp_path)
    assert evaluated.returncode == 0
    assert evaluated.stdout.startswith("top-1 ")

    image = str(next(photo_folder.rglob("*.jpg")))
    predicted = vit("predict", "run", image, "--format", "csv", "--top", "1", cwd=tmp_path)
    assert predicted.stdout.splitlines()[0] == "path,class_1,probability_1"
    assert predicted.stdout.splitlines()[1].startswith(image)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root, classes: (root / classes[0] / "zero.jpg").touch(), "zero.jpg: an empty file"),
        (lambda root, classes: (root / classes[1] / "text.png").write_text("no"), "not an image of a known format"),
        (lambda root, classes: (root / "nobody").mkdir(), "no image in class nobody"),
    ],
)
def test_bad_data_is_refused_before_anything_is_written(
    here, tmp_path: Path, photo_folder: Path, spoil, message: str
) -> None:
    spoil(photo_folder, sorted(path.name for path in photo_folder.iterdir()))
    settings = ["data.name=folder", f"data.path={photo_folder}", "data.image_size=32"]
    status, _, errors = here("train", "digits_resnet", *settings, "--out", str(tmp_path / "run"))
    assert status == 2
    assert message in errors
    assert not (tmp_path / "run").exists()


def test_check_ends_with_status_two_where_training_would_be_wrong(here, photo_folder: Path, tmp_path: Path) -> None:
    command = ("check", str(photo_folder), "--out", str(tmp_path / "check"))
    assert here(*command)[0] == 0
    victim = next(photo_folder.rglob("*.jpg"))
    victim.write_bytes(victim.read_bytes()[:100])
    status, _, errors = here(*command)
    assert status == 2
    assert str(victim.relative_to(photo_folder)) in errors


def test_the_other_images_are_answered_before_the_message(here, photo_folder: Path, tmp_path: Path) -> None:
    run_of = ("data.name=folder", f"data.path={photo_folder}", "data.image_size=16", "augment=[]", "data.workers=0")
    short = ("schedule.epochs=1", "schedule.warmup_epochs=0", "training.batch_size=8")
    model = str(tmp_path / "my runs" / "[x]")
    status, _, errors = here("train", "digits_resnet", *run_of, *short, "--out", model)
    assert status == 0 and f"next: vit evaluate {shlex.quote(model)}" in errors
    (photo_folder / "bad.png").touch()
    for form, count in (("csv", lambda text: len(text.splitlines()) - 1), ("json", lambda text: len(json.loads(text)))):
        status, output, errors = here("predict", model, str(photo_folder), "--format", form)
        assert status == 2 and count(output) == 24
        assert errors.endswith(
            f"vit: {photo_folder / 'bad.png'}: an empty file\n1 cannot be read; the other 24 are answered above\n"
        )


def in_shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    line = line.replace("VIT", f"{shlex.quote(sys.executable)} -m vit")
    return subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, env=os.environ | environment)


def test_names_are_printed_in_any_encoding_and_to_any_reader() -> None:
    """One that has left, one that is closed, and one that knows no character but ASCII's."""
    left = in_shell("set -o pipefail; VIT recipes | true")
    assert (left.returncode, left.stderr) == (0, b"")
    closed = in_shell("VIT recipes >&-")
    assert (closed.returncode, closed.stderr) == (0, b"")
    odd = in_shell("VIT train $'caf\\xe9-\\u72ac' 2>&1 | cat", PYTHONIOENCODING="ascii:strict")
    assert b"caf\\udce9-\\u72ac" in odd.stdout and b"Traceback" not in odd.stdout
