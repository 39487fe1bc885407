"""`vit bench data`, as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vit.commands.bench import bench_data
from vit.errors import UserError


def test_a_table_and_a_file(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    small = ["--image-size", "32", "--batch-size", "8", "--workers", "1", "--images", "16", "--rounds", "1"]
    command = [sys.executable, "-m", "vit", "bench", "data", "--against", "torchvision", *small, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    assert "2 images x 8, random crops of 32 pixels" in done.stdout and "over torchvision" in done.stdout
    measured = json.loads(out.read_text())
    rows = {row["settings"]: row for row in measured["rows"]}
    names = list(rows)
    assert names[0] == "vit" and names[-1] == "torchvision" and len(names) == 5
    ours, theirs = rows["vit"], rows["torchvision"]
    assert (
        theirs["ratio"]
        == ours["over"]["torchvision"]
        == pytest.approx(ours["images_per_second"] / theirs["images_per_second"], rel=0.01)
    )
    assert all(row["low"] <= row["images_per_second"] <= row["high"] for row in rows.values())
    assert {"task", "model", "system", "device", "precision", "batch_size", "mfu"} <= ours.keys()
    assert {"processor", "versions", "date", "command"} <= measured["environment"].keys()


def test_an_unknown_peer_is_refused() -> None:
    with pytest.raises(UserError, match=r"there is no torchvison .*did you mean torchvision.*\(timm, torchvision\)"):
        bench_data(against=["torchvison"])
