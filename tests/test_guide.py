"""The guide's commands do what it says, one after the other, in a folder like its reader's.

The photographs are drawn, and weights of the guide's model lie where published ones are kept: its class, and smaller.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.models import save_for_hf

from vit.registry import PUBLISHED

ROOT = Path(__file__).parent.parent
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
COMMANDS = [block for block in re.findall(r"^```sh\n(.*?)^```", GUIDE, re.M | re.S)]
PYTHON = re.findall(r"^```python\n(.*?)^```", GUIDE, re.M | re.S)
CLASSES = {"healthy": (60, 160, 60), "miner": (150, 120, 60), "rust": (190, 80, 40)}
SMALLER = {"embed_dim": 64, "depth": 1, "num_heads": 1}
LEFT_BEHIND = (
    "checks/photos/check.html",
    "runs/head/evaluation/test.json",
    "runs/winner/evaluation/test.json",
    "runs/winner/model.safetensors",
    "runs/winner/recipe.yaml",
    "runs/winner/environment.json",
    "exports/timm/config.json",
    "exports/transformers/config.json",
)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader's folder: class folders of photographs, new ones, and a hub's cache, which needs no network."""
    folder = tmp_path_factory.mktemp("reader")
    draw = np.random.default_rng(0)
    for name, colour in CLASSES.items():
        for number in range(10):
            photograph(folder / "photos" / name / f"{number:04}.jpg", colour, draw)
    photograph(folder / "new" / "0001.jpg", CLASSES["rust"], draw)
    published = PUBLISHED["vit_small"]
    repository = folder / "hub" / f"models--timm--{published}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    torch.manual_seed(0)
    module = timm.create_model(published, **SMALLER)
    save_for_hf(module, str(repository / "snapshots" / ("0" * 40)), model_args=SMALLER, safe_serialization=True)
    return folder


def photograph(path: Path, colour: tuple[int, int, int], draw: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.clip(draw.normal(colour, 40, size=(8, 8, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(coarse).resize((72, 64)).save(path)


@pytest.fixture(scope="module")
def answers(here: Path) -> list[subprocess.CompletedProcess[str]]:
    """What every block of commands said, in the page's order."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    offline = {"HF_HUB_CACHE": str(here / "hub"), "HF_HUB_OFFLINE": "1"}
    environment = os.environ | offline | {"PATH": path, "COLUMNS": "120"}
    shell = ["sh", "-e", "-c"]
    return [
        subprocess.run([*shell, block], cwd=here, env=environment, capture_output=True, text=True) for block in COMMANDS
    ]


def test_every_command_is_done(answers: list[subprocess.CompletedProcess[str]]) -> None:
    failed = [(answer.args[-1], answer.stderr) for answer in answers if answer.returncode]
    assert answers and failed == []


def test_they_leave_what_the_page_names(answers: list[subprocess.CompletedProcess[str]], here: Path) -> None:
    assert [path for path in LEFT_BEHIND if not (here / path).is_file()] == []
    header, answer = (here / "answers.csv").read_text().splitlines()
    assert header == "path,class_1,probability_1" and answer.startswith("new/0001.jpg,")


def test_its_python_does_the_same(
    answers: list[subprocess.CompletedProcess[str]],
    here: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(here)
    for block in PYTHON:
        exec(block, {})
    answer = (here / "answers.csv").read_text().splitlines()[1]
    assert capsys.readouterr().out.startswith(f"new/0001.jpg ['{answer.split(',')[1]}'")
