"""ONNX files in int8: calibrated, judged on validation images, and refused where they lose more than is accepted."""

import re
from pathlib import Path

import numpy as np
import pytest
from drawn_models import model_file

import vit
from vit.cli import run
from vit.errors import UserError
from vit.exporters import int8, onnx, quantization, real_images
from vit.model import load
from vit.run_folder import RunFolder

library = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def vit_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A small Vision Transformer that has learned some digits."""
    settings = {"schedule.epochs": 6, "schedule.warmup_epochs": 1, "data.fraction": 0.6}
    return vit.train("digits_vit", out=tmp_path_factory.mktemp("runs") / "digits", overrides=settings)


@pytest.mark.parametrize("which", ["vit_run", "digits_run"])
def test_what_it_costs_is_told_and_true(which: str, request, tmp_path: Path, told) -> None:
    trained: RunFolder = request.getfixturevalue(which)
    whole = vit.export(trained.path, to="onnx", out=tmp_path / "whole")
    small = vit.export(trained.path, to="onnx", precision="int8", accept_loss=0.05, out=tmp_path / "small")
    (said,) = [line for line in told if line.startswith("validation accuracy")]
    before, after, count = re.search(r"accuracy ([\d.]+)% -> ([\d.]+)% on (\d+) images", said).groups()  # type: ignore[union-attr]
    for share, file in ((before, whole), (after, small)):
        scored = vit.evaluate(file, split="validation", out=tmp_path / f"of {file.name}")
        assert scored.scores["num_images"] == int(count)
        assert f"{100 * scored.scores['top1']:.2f}" == share
    assert float(before) - float(after) <= 5
    weights = [tensor for tensor in library.load(small / "model.onnx").graph.initializer if len(tensor.dims) > 1]
    assert sum(tensor.data_type == library.TensorProto.INT8 for tensor in weights) >= 8
    assert "95 % interval" in said and "MB" in said and "batch 32" in said


def test_the_head_and_attention_s_products_stay_in_float32(vit_run: RunFolder, tmp_path: Path) -> None:
    onnx.write_graph(tmp_path / "whole.onnx", load(vit_run.path), 20)
    names = quantization.layers(tmp_path / "whole.onnx", additions=False)
    depth = len(load(vit_run.path).module.blocks)  # type: ignore[arg-type]
    assert len(names) >= 1 + 4 * depth - 2  # the last block's queries are computed from the weights themselves
    assert not any(name.startswith("head/") for name in names)
    assert not any("Softmax" in name or "norm" in name for name in names)


def test_what_loses_too_much_is_not_written(digits_run: RunFolder, tmp_path: Path, monkeypatch, capsys, told) -> None:
    rights = iter([np.ones(50), *(np.r_[np.zeros(lost), np.ones(50 - lost)] for lost in (9, 8, 7, 6))])
    monkeypatch.setattr(int8, "right", lambda *_, **__: next(rights))
    out = tmp_path / "small"
    command = ["export", str(digits_run.path), "--to", "onnx", "--precision", "int8", "--accept-loss", "0.1"]
    assert run([*command, "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "18.00 points with 0 layers" in said and "12.00 points with 8 layers" in said and "raise it" in said
    assert not list(tmp_path.glob("small*"))


def test_the_layers_that_lose_most_are_left_out_first(vit_run: RunFolder, tmp_path: Path) -> None:
    model = load(vit_run.path)
    block = model.module.blocks[1]  # type: ignore[index]
    block.norm2.weight.data[0] = 3_000.0  # one channel makes the steps of all the others coarse
    block.mlp.fc1.weight.data[:, 0] /= 3_000.0
    whole = tmp_path / "whole.onnx"
    onnx.write_graph(whole, model, 20)
    images = real_images.stacked(model, real_images.photographs().__getitem__, range(16))
    names = quantization.layers(whole, additions=False)
    assert quantization.rounding_worst(whole, names, images)[0] == "blocks.1.mlp.fc1/MatMul"


def test_without_its_own_images_a_model_is_not_quantized(randomize, tmp_path: Path) -> None:
    file = model_file(tmp_path / "model.safetensors", randomize)
    with pytest.raises(UserError, match="fine-tune it on yours first"):
        vit.export(file, to="onnx", precision="int8", out=tmp_path / "out")


def test_the_file_is_about_a_quarter_as_large(tmp_path: Path, randomize) -> None:
    model = load(
        model_file(tmp_path / "m.safetensors", randomize, pool="mean", embed_dim=384, num_heads=3, patch_size=8)
    )
    whole, path = tmp_path / "whole.onnx", tmp_path / "int8.onnx"
    onnx.write_graph(whole, model, 20)
    images = real_images.stacked(model, real_images.photographs().__getitem__, range(8))
    quantization.quantize(whole, path, quantization.layers(whole, additions=False), images)
    assert path.stat().st_size < 0.3 * whole.stat().st_size
