"""Every verb on a disk that fails, once at each kind of file operation: told in one message, and nothing is lost."""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from failing_disk import kinds
from forked import Vit
from PIL import Image
from safetensors import safe_open

RECIPE = """data: {name: folder, path: %s, image_size: 16, workers: 0}
model: {name: vit, patch_size: 4, embed_dim: 12, depth: 1, num_heads: 2}
schedule: {epochs: 1, warmup_epochs: 0}
training: {batch_size: 4, precision: fp32, device: cpu}
"""
COMPARISON = "recipes: [%s, %s]\nseeds: 1\nfractions: [1.0]\n"


@dataclass
class Place:
    """A folder with images, recipes, a run and a report, in which a verb is carried out."""

    root: Path

    def vit(self, arguments: list[str], failing: str | None = None) -> tuple[int | None, str]:
        notes = self.root.with_suffix(".notes")
        notes.unlink(missing_ok=True)
        code = f"import os, failing_disk\nos.chdir({str(self.root)!r})\n"
        code += f"failing_disk.install({str(self.root) + os.sep!r}, {str(notes)!r}, {failing!r})"
        return Vit(*arguments, code=code, XDG_CACHE_HOME=str(self.root / "cache")).end()

    def kinds(self) -> list[str]:
        return kinds(self.root.with_suffix(".notes"))


def fill(root: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(36):
        file = root / ("photos" if number < 30 else "others") / f"class-{number % 3}" / f"{number // 3}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (20, 20, 3), np.uint8)).save(file)
    for name in ("recipe-1", "recipe-2"):
        (root / f"{name}.yaml").write_text(RECIPE % "photos")
    (root / "two.yaml").write_text(COMPARISON % ("recipe-1.yaml", "recipe-2.yaml"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("disk") / "place")
    fill(place.root)
    for arguments in (
        ["train", "recipe-1.yaml", "--out", "run"],
        ["evaluate", "run"],
        ["compare", "run", "--quick", "--out", "report"],
        ["compare", "two.yaml", "--quick", "--out", "compared"],
    ):
        status, said = place.vit(arguments)
        assert status == 0, said
    return place


@pytest.fixture
def place(filled: Place, tmp_path: Path) -> Callable[[], Place]:
    """Return what copies the folder anew."""
    made = (tmp_path / f"{number}" / "place" for number in range(1_000))

    def copied() -> Place:
        root = next(made)
        shutil.copytree(filled.root, root)
        return Place(root)

    return copied


ONCE = "--batch-size 2 --rounds 1 --seconds 0.01"
VERBS = {
    "train": ["train", "recipe-1.yaml", "--out", "new"],
    "finetune": ["finetune", "run", "photos", "schedule.epochs=1", "training.batch_size=4", "--out", "new"],
    "evaluate": ["evaluate", "run"],
    "evaluate others": ["evaluate", "run", "others"],
    "predict": ["predict", "run", "photos/class-0", "photos/class-1/1.png"],
    "explain": ["explain", "run", "photos/class-0/0.png", "--method", "attention", "--out", "new"],
    "compare": ["compare", "two.yaml", "--quick", "--out", "compared"],
    "compare runs": ["compare", "run", "--quick", "--out", "report"],
    "export": ["export", "run", "--to", "timm", "--out", "new.safetensors"],
    "check": ["check", "recipe-1.yaml", "--out", "new"],
    "find-lr": ["find-lr", "recipe-1.yaml", "--steps", "10", "--out", "new"],
    "bench": f"bench train --models vit_tiny/16@32 --against= {ONCE} --out new.json".split(),
}
# Kinds that are left out, since they are tried in another verb, or stand for one that is tried.
SAME = {
    "finetune": " new/",
    "compare": "report.(html|md)|results|figures|tables",
    "compare runs": r"results\.csv|report\.md|tables",
    "bench": " cache",
}


def whole(file: Path) -> bool:
    """Return whether a file can be read as what it is called."""
    if file.suffix == ".json":
        json.loads(file.read_text())
    elif file.suffix == ".npz":
        with np.load(file) as arrays:
            _ = {name: arrays[name] for name in arrays}
    elif file.suffix == ".safetensors":
        with safe_open(file, "np") as tensors:
            _ = tensors.keys()
    return file.stat().st_size > 0 or file.name.endswith(".lock")


@pytest.mark.parametrize("verb", VERBS)
def test_an_operation_that_fails_is_told_and_nothing_is_lost(place: Callable[[], Place], verb: str) -> None:
    arguments = VERBS[verb]
    first = place()
    status, said = first.vit(arguments)
    assert status == 0, said
    complete = {file.relative_to(first.root) for file in first.root.rglob("*") if file.is_file()}
    for kind in first.kinds():
        if verb in SAME and re.search(SAME[verb], kind):
            continue
        here = place()
        before = {file: file.read_bytes() for file in here.root.rglob("*") if file.is_file()}
        status, said = here.vit(arguments, kind)
        told = f"{kind}: status {status}\n{said}"
        after = {file for file in here.root.rglob("*") if file.is_file()}
        assert before.keys() <= after, told
        assert not [file for file in after if file.name.startswith("new-")], told
        assert all(whole(file) for file in after), told
        if status == 0:  # it was not needed: a cache, a lock
            missing = complete - {file.relative_to(here.root) for file in after}
            assert all(file.parts[0] == "cache" for file in missing), told
        else:
            assert status == 2, told
            messages = [line for line in said.splitlines() if line.startswith("vit: ") and "parameters" not in line]
            assert len(messages) == 1 and "Traceback" not in said, told
            if not kind.startswith(("read", "scandir")):
                status, said = here.vit(again(arguments, here.root))
                assert status == 0, f"{kind}, then again: status {status}\n{said}"


def again(arguments: list[str], root: Path) -> list[str]:
    begun = arguments[0] in ("train", "finetune") and (root / "new" / "recipe.yaml").exists()
    return [*arguments, "--resume"] if begun else arguments
