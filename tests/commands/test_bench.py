"""`vit bench`, as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vit.bench.peers import precision_of
from vit.commands.bench_data import bench_data
from vit.commands.bench_models import bench_models
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


@pytest.mark.parametrize("task", ["train", "infer"])
def test_models_beside_a_peer(task: str, tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    small = ["--models", "vit_tiny/8@16,resnet18+cbam@16", "--batch-size", "2", "--seconds", "0.01", "--rounds", "2"]
    command = [sys.executable, "-m", "vit", "bench", task, *small, "--against", "timm", "--precision", "fp32"]
    done = subprocess.run([*command, "--device", "cpu", "--out", str(out)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert f"{task}: fp32 on cpu" in done.stdout and "best: fused optimizer" in done.stdout
    measured = json.loads(out.read_text())
    rows = [(row["model"], row["system"], row["settings"]) for row in measured["rows"]]
    assert rows == [
        ("vit_tiny/8@16", "vit", "default"),
        ("vit_tiny/8@16", "timm", "default"),
        ("vit_tiny/8@16", "timm", "best"),
        ("resnet18+cbam@16", "vit", "default"),  # timm has no such stem
    ]
    for row in measured["rows"]:
        assert row["task"] == task and 0 < row["mfu"] < 1 and row["peak_memory_bytes"] > 1e8
        assert row["low"] <= row["images_per_second"] <= row["high"]
        assert ("ratio" in row) == (row["system"] != "vit")
        assert row["system"] == "vit" or row["ratio_low"] <= row["ratio"] <= row["ratio_high"]


def test_starts_are_timed(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "vit", "bench", "startup", "--model", "vit_tiny", "--rounds", "1"]
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    rows = {row["settings"]: row for row in json.loads(out.read_text())["rows"]}
    assert list(rows)[:2] == ["python", "import torch"] and "vit --help" in rows
    assert rows["vit predict MODEL IMAGE"]["over_bare"] > 0 and all(row["seconds"] > 0 for row in rows.values())
    assert "over import torch + forward pass of one image" in done.stdout


def test_an_unknown_peer_of_models_is_refused() -> None:
    with pytest.raises(UserError, match=r"train: there is no peer tim; did you mean timm"):
        bench_models("train", against=["tim"])
    with pytest.raises(UserError, match=r"train: there is no peer openvino .*\(timm, torchvision, transformers\)"):
        bench_models("train", against=["openvino"])


def test_onnxruntime_is_timed_beside_in_fp32(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    options = {"seconds": 0.01, "rounds": 1, "batch_size": 2, "precision": "fp32"}
    measured = bench_models("infer", models=["vit_tiny/8@16"], against=["onnxruntime"], **options)
    rows = [(row["system"], row["precision"]) for row in measured.rows]
    assert rows == [("vit", "fp32"), ("onnxruntime", "fp32")]
    assert precision_of("onnxruntime", "bf16") == "fp32" and precision_of("openvino", "bf16") == "bf16"
