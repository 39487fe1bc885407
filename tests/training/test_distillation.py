"""Learning from a teacher: the losses beside their formulas, its inputs and classes, and a run that goes on exactly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import vit
from vit.data.preprocessing import Preprocessing
from vit.errors import UserError
from vit.model import Architecture, Model, load
from vit.recipe import Distillation, Training
from vit.registry import complete_options
from vit.training.distillation import ByTeacher, Teacher, between, teacher_loss
from vit.training.loss import Loss

SMALL = {"patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 2}
ENDED: dict[str, Any] = {"schedule.warmup_epochs": 0}
SHORT = ENDED | {"data.fraction": 0.2, "schedule.epochs": 2, "model.depth": 2}


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_the_loss_is_that_of_the_papers(kind: str) -> None:
    ours, theirs = torch.randn(5, 7), torch.randn(5, 7)
    found = teacher_loss(ours, theirs, Distillation(teacher="x", loss=kind, temperature=2.5))  # type: ignore[arg-type]
    a, b = ours.double().numpy(), theirs.double().numpy()
    if kind == "hard":
        p = np.exp(a) / np.exp(a).sum(1, keepdims=True)
        expected = -np.log(p[np.arange(5), b.argmax(1)]).mean()
    else:
        p, q = (np.exp(x / 2.5) / np.exp(x / 2.5).sum(1, keepdims=True) for x in (a, b))
        expected = 2.5**2 * (q * (np.log(q) - np.log(p))).sum(1).mean()
    assert float(found) == pytest.approx(expected, abs=1e-6)


def model_of(randomize, classes: str, size: int, mean: float, **options: Any) -> Model:
    module = randomize(vit.create_model("vit", num_classes=len(classes), image_size=size, **SMALL, **options)).eval()
    architecture = Architecture("vit", complete_options("vit", SMALL | options), len(classes))
    return Model(module, architecture, tuple(classes), Preprocessing((size, size), (mean,) * 3, (0.25, 0.5, 0.2)))


@pytest.mark.parametrize("pool", ["cls", "cls_dist"])
@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_labels_and_teacher_are_weighed_and_a_distillation_token_has_its_own_head(kind, pool: str, randomize) -> None:
    student = model_of(randomize, "abc", 16, 0.5, pool=pool)
    teacher = Teacher(model_of(randomize, "xcbay", 24, 0.1), student, "cpu")
    settings = Distillation(teacher="x", loss=kind, weight=0.3)
    objective = ByTeacher(Loss(Training(), 3, np.zeros(4, dtype=int)), settings, teacher)
    images, targets = torch.randn(4, 3, 16, 16), torch.eye(3)[[0, 1, 2, 0]]
    loss, logits = objective(student.module, images, targets)
    features = student.module.features(images)  # type: ignore[operator]
    if pool == "cls_dist":
        of_labels, of_teacher = student.module.head(features[:, 0]), student.module.head_dist(features[:, 1])  # type: ignore[operator]
    else:
        of_labels = of_teacher = student.module(images)
    taught = teacher_loss(of_teacher, teacher.logits(images), settings)
    expected = 0.7 * nn.functional.cross_entropy(of_labels, targets) + 0.3 * taught
    assert torch.allclose(loss, expected, atol=1e-6)
    assert torch.allclose(logits, student.module(images), atol=1e-6)
    assert not any(parameter.requires_grad for parameter in teacher.module.parameters())
    assert not list(objective.parameters()), "a teacher's weights are not the run's"


def test_a_teacher_sees_the_image_as_it_was_taught_and_answers_in_the_student_s_order(randomize) -> None:
    student, teacher = model_of(randomize, "abc", 16, 0.5), model_of(randomize, "xcbay", 16, 0.1)
    pixels = torch.rand(2, 3, 16, 16)

    def by(model: Model) -> torch.Tensor:
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (model.preprocessing.mean, model.preprocessing.std))
        return (pixels - mean) / std

    factor, offset = between(student.preprocessing, teacher.preprocessing)
    assert torch.allclose(by(student) * factor + offset, by(teacher), atol=1e-5)
    answer = Teacher(teacher, student, "cpu").logits(by(student))
    with torch.no_grad():
        assert torch.allclose(answer, teacher.module(by(teacher))[:, [3, 2, 1]], atol=1e-4)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small ResNet, and a small ViT that it has taught."""
    folder = tmp_path_factory.mktemp("taught")
    teacher = vit.train(
        "digits_resnet", out=folder / "teacher", overrides=ENDED | {"schedule.epochs": 3}, quiet=True
    ).path
    student = vit.train(
        "digits_vit", out=folder / "student", overrides=SHORT | {"distillation.teacher": str(teacher)}, quiet=True
    ).path
    return teacher, student


def test_a_teacher_changes_what_is_learned_and_is_told_with_the_run(taught: tuple[Path, Path], tmp_path: Path) -> None:
    teacher, student = taught
    alone = vit.train("digits_vit", out=tmp_path / "alone", overrides=SHORT, quiet=True).path
    told = load(student).recipe
    assert told and told.distillation and told.distillation.teacher == str(teacher)
    first, second = (load_file(run / "model.safetensors") for run in (student, alone))
    assert first.keys() == second.keys() and any(not torch.equal(first[name], second[name]) for name in first)
    assert vit.evaluate(student).scores["num_images"] > 0


def test_a_taught_run_goes_on_exactly(taught: tuple[Path, Path], tmp_path: Path, monkeypatch) -> None:
    from vit.training.task import Task

    teacher, student = taught
    steps = iter(range(10_000))
    usual = Task.training_step

    def ending(self, batch, batch_idx):
        if next(steps) == 5:
            raise KeyboardInterrupt
        return usual(self, batch, batch_idx)

    settings = SHORT | {"distillation.teacher": str(teacher), "training.checkpoint_seconds": 0}
    monkeypatch.setattr(Task, "training_step", ending)
    with pytest.raises(BaseException):  # noqa: B017
        vit.train("digits_vit", out=tmp_path / "run", overrides=settings, quiet=True)
    monkeypatch.setattr(Task, "training_step", usual)
    vit.train("digits_vit", out=tmp_path / "run", overrides=settings, quiet=True, resume=True)
    whole, again = (load_file(run / "model.safetensors") for run in (student, tmp_path / "run"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"distillation.teacher": "nowhere.safetensors"}, "there is no file or folder nowhere"),
        ({"distillation.loss": "soft"}, "distillation.teacher is missing"),
        ({"distillation.teacher": "x", "training.loss": "bce"}, "distillation needs training.loss=cross_entropy"),
        (
            {"distillation.teacher": "x", "tuning.trainable": "head"},
            "tuning.trainable other than head",
        ),
        (
            {"distillation.teacher": "x", "distillation.weight": 1},
            "distillation.weight: should be less than 1",
        ),
    ],
)
def test_what_cannot_be_is_told(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        vit.train("digits_vit", out=tmp_path / "run", overrides=SHORT | settings)
    assert not (tmp_path / "run").exists()


def test_a_teacher_of_other_classes_is_told(taught: tuple[Path, Path], photo_root: Path, tmp_path: Path) -> None:
    overrides = SHORT | {"data.name": "folder", "data.path": str(photo_root), "data.image_size": 16, "data.fraction": 1}
    with pytest.raises(UserError, match="does not know these classes"):
        vit.train("digits_vit", out=tmp_path / "run", overrides=overrides | {"distillation.teacher": str(taught[0])})
