"""Weights as people have them: below prefixes, beside averages, in the checkpoints of training scripts."""

import os
import pathlib
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

import vit
from vit.cli import run
from vit.errors import UserError
from vit.pretrained import sources

SMALL = {"embed_dim": 64, "depth": 2, "num_heads": 1, "img_size": 32}
Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def raw() -> Tensors:
    return timm.create_model("vit_tiny_patch16_224", num_classes=5, **SMALL).state_dict()


@pytest.fixture(scope="module")
def average(raw: Tensors) -> Tensors:
    return {name: tensor + 1 for name, tensor in raw.items()}


def under(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def read(path: Path, contents: Any) -> tuple[Tensors, str]:
    torch.save(contents, path)
    weights = sources.read(path)
    return weights.tensors, "; ".join(weights.notes)


def assert_same(found: Tensors, expected: Tensors) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize(
    "prefix",
    [
        *("module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model.", "model._orig_mod.", "net."),
        *("backbone.", "encoder.", "_forward_module.module.model.", "a.b.c.d."),
    ],
)
def test_a_prefix_changes_nothing(raw: Tensors, tmp_path: Path, prefix: str) -> None:
    assert_same(read(tmp_path / "w.pth", under(prefix, raw))[0], raw)
    assert_same(read(tmp_path / "w.pth", {"epoch": 3, "state_dict": under(prefix, raw)})[0], raw)
    save_file(under(prefix, raw), tmp_path / "w.safetensors")
    assert_same(sources.read(tmp_path / "w.safetensors").tensors, raw)


def test_wrappers_may_stand_inside_of_names(raw: Tensors, tmp_path: Path) -> None:
    inside = {name.replace("blocks.0.", "blocks.0._orig_mod._checkpoint_wrapped_module."): t for name, t in raw.items()}
    assert_same(read(tmp_path / "w.pth", under("_fsdp_wrapped_module.", inside))[0], raw)


def test_what_stands_around_the_model_is_named(raw: Tensors, tmp_path: Path) -> None:
    around = {"loss.weight": torch.ones(2), "acc.total": torch.tensor(3)}
    found, said = read(tmp_path / "w.ckpt", {"state_dict": under("model.", raw) | around, "epoch": 3})
    assert_same(found, raw)
    assert "the weights of state_dict/model.*" in said
    assert "2 tensors beside them left aside (loss.weight, acc.total)" in said


@pytest.mark.parametrize("place", ["state_dict_ema", "model_ema", "ema_state_dict", "ema", "teacher", "averaged_model"])
def test_an_average_beside_raw_weights_is_taken_and_said(
    raw: Tensors, average: Tensors, tmp_path: Path, place: str
) -> None:
    for root in ("state_dict", "model", "student"):
        found, said = read(tmp_path / "w.pth", {root: raw, place: average, "optimizer": {"ema": raw}})
        assert_same(found, average)
        assert f"the averaged weights of {place}, not the raw ones of {root}" in said


@pytest.mark.parametrize("prefix", ["ema_model.", "model_ema.module.", "ema.", "teacher.backbone."])
def test_an_average_among_the_names_is_taken(raw: Tensors, average: Tensors, tmp_path: Path, prefix: str) -> None:
    for other in ("", "model.", "student.backbone."):
        found, said = read(tmp_path / "w.pth", {"state_dict": under(other, raw) | under(prefix, average)})
        assert_same(found, average)
        assert "the averaged weights of" in said


def test_averages_of_a_callback_are_taken(raw: Tensors, average: Tensors, tmp_path: Path) -> None:
    callbacks = {"ExponentialMovingAverage": {"updates": 3, "averages": under("model.", average)}}
    found, _ = read(tmp_path / "w.ckpt", {"state_dict": under("model.", raw), "callbacks": callbacks})
    assert_same(found, average)


def test_lightnings_own_averages_are_said(raw: Tensors, average: Tensors, tmp_path: Path) -> None:
    contents = {"state_dict": under("model.", average), "current_model_state": under("model.", raw)}
    found, said = read(tmp_path / "w.ckpt", contents | {"averaging_state": {"n_averaged": torch.tensor(3)}})
    assert_same(found, average)
    assert "averaged weights, as Lightning's callback keeps them" in said


def test_an_average_without_counts_and_statistics_has_the_raw_ones(tmp_path: Path) -> None:
    raw = timm.create_model("resnet18", num_classes=3).state_dict()
    average = {name: tensor + 1 for name, tensor in raw.items() if "running" not in name and "num_" not in name}
    found, said = read(tmp_path / "w.pth", {"model": raw, "ema": average})
    assert_same(found, {**raw, **average})
    assert "tensors that have no average are the raw ones" in said


def test_a_larger_teacher_is_no_average(raw: Tensors, tmp_path: Path) -> None:
    teacher = timm.create_model("vit_tiny_patch16_224", num_classes=5, **SMALL | {"embed_dim": 128}).state_dict()
    assert_same(read(tmp_path / "w.pth", {"student": raw, "teacher": teacher})[0], raw)


def test_several_models_are_refused_by_name(raw: Tensors, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"several models \(encoder_k.\*, encoder_q.\*\).*torch.save\(model.state_dict"):
        read(tmp_path / "w.pth", under("encoder_q.", raw) | under("encoder_k.", raw))


def test_the_stem_of_a_hybrid_is_no_model(tmp_path: Path) -> None:
    trunk = under("patch_embed.backbone.", timm.create_model("resnet18", num_classes=0).state_dict())
    with pytest.raises(UserError, match="of no family known here"):
        read(tmp_path / "w.pth", trunk | {"cls_token": torch.ones(1, 1, 8), "pos_embed": torch.ones(1, 5, 8)})


class Unknown:
    def __init__(self) -> None:
        self.values = [1, 2]


@pytest.mark.parametrize(
    "beside",
    [
        np.float64(0.9),
        np.arange(3),
        Namespace(out=pathlib.Path("x")),
        {"a": [Unknown()]},
        np.array([None], dtype=object),
    ],
    ids=["scalar", "array", "path", "object", "objects"],
)
def test_objects_of_other_programs_are_left_unread(raw: Tensors, tmp_path: Path, beside: Any) -> None:
    found, said = read(tmp_path / "w.pth", {"state_dict": raw, "beside": beside})
    assert_same(found, raw)
    assert "objects of other programs left unread (" in said


def test_a_whole_module_is_refused_with_what_to_do(tmp_path: Path) -> None:
    for contents in (torch.nn.Linear(2, 2), {"model": torch.nn.Linear(2, 2), "epoch": 3}):
        torch.save(contents, tmp_path / "w.pth")
        with pytest.raises(UserError, match=r"Linear[\s\S]*torch.save\(model.state_dict\(\)") as caught:
            vit.load(tmp_path / "w.pth")
        assert "weights_only" not in str(caught.value)


def test_a_newer_pickle_is_refused_without_a_librarys_advice(raw: Tensors, tmp_path: Path) -> None:
    torch.save(raw, tmp_path / "w.pth", pickle_protocol=4)
    with pytest.raises(UserError, match=r"a pickle of a newer protocol") as caught:
        vit.load(tmp_path / "w.pth")
    assert "weights_only" not in str(caught.value) and "trust" not in str(caught.value)


def test_a_tensor_of_more_than_its_bytes_is_refused(raw: Tensors, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"head.bias is \[100000, 100000\] of 2 bytes"):
        read(tmp_path / "w.pth", raw | {"head.bias": torch.ones(1, dtype=torch.half).expand(100_000, 100_000)})
    with pytest.raises(UserError, match="head.bias is sparse"):
        read(tmp_path / "w.pth", raw | {"head.bias": torch.ones(5).to_sparse()})


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vit.pretrained.files.LARGEST_OF_SMALL_FILE", 2**20)
    np.savez_compressed(tmp_path / "w.npz", **{"embedding/kernel": np.zeros(2**20, np.float32)})
    with pytest.raises(UserError, match="would unfold to 4.2 MB"):
        vit.load(tmp_path / "w.npz")


@pytest.mark.parametrize("depth", [10**9, 10**6])
def test_the_number_of_a_block_makes_no_more_of_them(raw: Tensors, tmp_path: Path, depth: int) -> None:
    spoiled = raw | {f"blocks.{depth - 1}.norm1.weight": torch.ones(64)}
    with pytest.raises(UserError, match="asks for a larger model than its tensors are of"):
        read(tmp_path / "w.pth", spoiled)


def test_names_of_a_family_on_any_shapes_are_refused(raw: Tensors, tmp_path: Path) -> None:
    for name in ("pos_embed", "cls_token", "blocks.0.mlp.fc2.weight", "patch_embed.proj.weight", "head.weight"):
        for shape in ((), (1,), (0, 3), (2, 3, 4, 5, 6)):
            torch.save(raw | {name: torch.ones(shape)}, tmp_path / "w.pth")
            with pytest.raises(UserError):
                vit.load(tmp_path / "w.pth")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.pth")
    os.mkfifo(tmp_path / "fifo")
    for path, message in ((tmp_path / "fifo.pth", "no regular file"), (tmp_path / "fifo", "no file of weights known")):
        with pytest.raises(UserError, match=message):
            vit.load(path)
    with pytest.raises(UserError, match="no file of weights known|no regular file"):
        vit.load("/dev/null")
    with pytest.raises(UserError, match="cannot be read: File name too long"):
        vit.load("x" * 5_000)


def test_names_from_a_file_do_nothing_to_the_terminal(raw: Tensors, tmp_path: Path, capsys: Any) -> None:
    torch.save({"\x1b]0;title\x07\u202e": raw["head.bias"]}, tmp_path / "w.pth")
    Image.new("RGB", (9, 7)).save(tmp_path / "x.png")
    assert run(["predict", str(tmp_path / "w.pth"), str(tmp_path / "x.png")]) == 2
    told = capsys.readouterr().err
    assert "\N{REPLACEMENT CHARACTER}]0;title" in told
    assert not any(character in told for character in "\x1b\x07\u202e")
