"""The guide's commands do what it says, one after the other, in a folder like its reader's.

The photographs are drawn, and in place of the guide's published weights lie those of a smaller model of the same name.
"""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import timm
from PIL import Image
from timm.models import save_for_hf

from vit.cli import run
from vit.registry import PUBLISHED

GUIDE = (Path(__file__).parent.parent / "docs" / "guide.md").read_text(encoding="utf-8")
CLASSES = {"healthy": (60, 160, 60), "miner": (150, 120, 60), "rust": (190, 80, 40)}
SMALLER = {"embed_dim": 64, "depth": 1, "num_heads": 1}
LEFT_BEHIND = (
    "checks/photos/check.html",
    "runs/head/evaluation/test.json",
    "runs/winner/evaluation/test.json",
    "runs/winner/model.safetensors",
    "runs/winner/recipe.yaml",
    "runs/winner/environment.json",
    "explanations/new/explanation.html",
    "exports/timm/config.json",
    "exports/transformers/config.json",
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.M | re.S)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder, entered: class folders of photographs, new ones, and fetched weights, beyond any network."""
    draw = np.random.default_rng(0)
    for name, colour in CLASSES.items():
        for number in range(10):
            photograph(tmp_path / "photos" / name / f"{number:04}.jpg", colour, draw)
    photograph(tmp_path / "new" / "0001.jpg", CLASSES["rust"], draw)
    keep_weights(tmp_path / "hub", PUBLISHED["vit_small"])
    for name, value in {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        monkeypatch.setenv(name, value)  # for other processes
    monkeypatch.chdir(tmp_path)
    return tmp_path


def photograph(path: Path, colour: tuple[int, int, int], draw: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.clip(draw.normal(colour, 40, size=(8, 8, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(coarse).resize((72, 64)).save(path)


def keep_weights(hub: Path, name: str) -> None:
    """Keep weights where those of a published name are, once they were fetched."""
    commit = "0" * 40
    repository = hub / f"models--timm--{name}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    module = timm.create_model(name, **SMALLER)
    save_for_hf(module, str(repository / "snapshots" / commit), model_args=SMALLER, safe_serialization=True)


def carry_out(line: str, capsys: pytest.CaptureFixture) -> None:
    """Do what a shell does with a line: `vit ...`, perhaps into a file."""
    command, _, file = line.partition(" > ")
    program, *arguments = shlex.split(command)
    assert program == "vit"
    capsys.readouterr()
    status = run(arguments)
    output, errors = capsys.readouterr()
    assert status == 0, f"{line}\n{errors}"
    if file:
        Path(file).write_text(output)


def test_its_commands_lead_from_photographs_to_answers(reader: Path, capsys: pytest.CaptureFixture) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) >= 8
    for line in lines:
        carry_out(line, capsys)
    assert [path for path in LEFT_BEHIND if not (reader / path).is_file()] == []
    header, answer = (reader / "answers.csv").read_text().splitlines()
    assert header == "path,class_1,probability_1"
    path, name, _ = answer.split(",")
    assert (path, name in CLASSES) == ("new/0001.jpg", True)
    for block in blocks("python"):
        exec(block, {})
    assert capsys.readouterr().out.startswith(f"new/0001.jpg ['{name}', ")
