"""From a name to weights, and from weights to a model: what is told, and what is refused."""

import json
import os
import pickle
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from pretrained.parity import to_jax
from safetensors.torch import save_file
from timm.models import save_for_hf
from torch import Tensor

import vit
from vit import UserError
from vit.cli import run
from vit.models.resampling import resample_patches, resample_positions
from vit.pretrained import sources
from vit.pretrained.class_names import imagenet

SMALL = {"embed_dim": 64, "depth": 2, "num_heads": 1}


@pytest.fixture
def module(randomize: Callable) -> torch.nn.Module:
    return randomize(timm.create_model("vit_tiny_patch16_224", num_classes=5, **SMALL)).eval()


@pytest.fixture
def file(module: torch.nn.Module, tmp_path: Path) -> Path:
    path = tmp_path / "weights.pth"
    torch.save(module.state_dict(), path)
    return path


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return the function that makes an empty folder of a repository in the cache of a hub without network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def make(repository: str) -> Path:
        root = tmp_path / "hub" / f"models--{repository.replace('/', '--')}"
        (root / "refs").mkdir(parents=True)
        (root / "refs" / "main").write_text("0" * 40)
        (root / "snapshots" / ("0" * 40)).mkdir(parents=True)
        return root / "snapshots" / ("0" * 40)

    return make


def logits(module: torch.nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return module.eval()(images)


def test_a_timm_name_is_fetched_and_becomes_ours(hub, randomize: Callable) -> None:
    name = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    theirs = randomize(timm.create_model(name)).eval()
    save_for_hf(theirs, str(hub(f"timm/{name}")), safe_serialization=True)
    images = torch.randn(1, 3, 224, 224)
    for spelling in (name, "vit_tiny_patch16_224", f"timm/{name}", "vit_tiny"):
        loaded = vit.load(spelling)
        assert loaded.architecture.name == "vit"
        assert (logits(loaded.module, images) - logits(theirs, images)).abs().max() <= 1e-5
    assert loaded.classes[0] == "tench, Tinca tinca"
    assert loaded.class_numbers["n01440764"] == 0
    assert loaded.preprocessing.mean == (0.5, 0.5, 0.5)
    module = vit.create_model("vit_tiny", num_classes=3, image_size=96, pretrained=True, new_head=True)
    assert torch.equal(module.get_parameter("blocks.3.mlp.fc1.weight"), theirs.get_parameter("blocks.3.mlp.fc1.weight"))


def test_a_model_that_is_not_ours_stays_timms(hub, randomize: Callable) -> None:
    name = "test_byobnet.r160_in1k"
    theirs = randomize(timm.create_model(name)).eval()
    save_for_hf(theirs, str(hub(f"timm/{name}")), safe_serialization=True)
    loaded = vit.load(name)
    assert loaded.architecture.name == "timm/test_byobnet"
    images = torch.randn(1, 3, *loaded.preprocessing.image_size)
    expected = logits(theirs, images)
    assert (logits(loaded.module, images) - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_a_hugging_face_id_is_fetched(hub, file: Path, module: torch.nn.Module) -> None:
    save_file(torch.load(file, weights_only=True), hub("someone/their-vit") / "model.safetensors")
    images = torch.randn(1, 3, 224, 224)
    assert (logits(vit.load("someone/their-vit").module, images) - logits(module, images)).abs().max() <= 1e-5


@pytest.mark.parametrize("name", ["vit_tiny", "google/vit-base-patch16-224", "timm/resnet50.a1_in1k"])
def test_a_name_without_network_says_what_to_do(hub, name: str) -> None:
    with pytest.raises(UserError, match=r"could not be fetched[\s\S]*hf download .* --local-dir FOLDER"):
        vit.load(name)


def test_a_timm_tag_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="no weights augreg_in1 of vit_tiny_patch16_224; did you mean"):
        vit.load("vit_tiny_patch16_224.augreg_in1")


class Exploding:
    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_pickle_that_would_run_code_does_not_run(tmp_path: Path) -> None:
    bomb = Exploding()
    bomb.folder = str(tmp_path / "ran")
    torch.save({"model": bomb}, tmp_path / "bomb.pth")
    (tmp_path / "plain.bin").write_bytes(pickle.dumps(bomb))
    np.savez(tmp_path / "bomb.npz", **{"embedding/kernel": np.array([bomb], dtype=object)})
    for name in ("bomb.pth", "plain.bin", "bomb.npz"):
        with pytest.raises(UserError, match=r"holds more than weights|not a whole"):
            vit.load(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_the_arguments_of_a_training_script_do_no_harm(file: Path, module: torch.nn.Module) -> None:
    torch.save({"model": module.state_dict(), "args": Namespace(lr=0.1, output=None)}, file)
    assert sources.read(file).family == "DeiT"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
def test_a_file_cut_short_is_refused(module: torch.nn.Module, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(module.state_dict(), path)
    elif suffix == ".npz":
        np.savez(path, **{"embedding/kernel": np.ones((16, 16, 3, 64))})
    else:
        save_file(module.state_dict(), path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError, match="not a whole"):
        vit.load(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match="not a whole"):
        vit.load(path)


def test_an_impossible_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(UserError, match="not a whole safetensors file"):
        vit.load(path)
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(UserError, match="not a whole safetensors file"):
        vit.load(path)


def test_weights_of_no_known_family_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "swin.pth"
    torch.save(timm.create_model("test_convnext").state_dict(), path)
    with pytest.raises(UserError, match="of no family known here; its tensors are called stem.0.weight"):
        vit.load(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda tensors: tensors.pop("blocks.1.norm2.bias"), "missing blocks.1.norm2.bias"),
        (
            lambda tensors: tensors.update({"blocks.1.attn.q_norm.weight": torch.ones(8)}),
            "unexpected blocks.1.attn.q_norm",
        ),
        (lambda tensors: tensors.update({"norm.bias": torch.ones(8)}), r"norm.bias is \[8\], not \[64\]"),
        (lambda tensors: tensors.pop("pos_embed"), "missing pos_embed"),
        (lambda tensors: tensors.update({"pos_embed": torch.ones(1, 200, 64)}), "200 positions are no square grid"),
    ],
)
def test_a_wrong_tensor_is_named(file: Path, spoil: Callable, message: str) -> None:
    tensors = torch.load(file, weights_only=True)
    spoil(tensors)
    torch.save(tensors, file)
    with pytest.raises(UserError, match=message):
        vit.load(file)


def test_a_head_of_other_classes_needs_leave(file: Path, told: list[str]) -> None:
    options = {"num_classes": 3, "image_size": 224, "pretrained": file}
    with pytest.raises(UserError, match=r"has a head of 5 classes, the model 3; give leave .*new_head=True"):
        vit.create_model("vit", **SMALL, **options)
    vit.create_model("vit", **SMALL, **options, new_head=True)
    assert "new head in place of 5 classes" in told[0]


def test_another_architecture_is_refused_with_advice(file: Path) -> None:
    with pytest.raises(UserError, match=r"model.embed_dim: 192 in the recipe, 64 in the weights[\s\S]*model.name=vit"):
        vit.create_model("vit_tiny", num_classes=5, pretrained=file)
    with pytest.raises(UserError, match=r"does not fit resnet18: these weights are for model.name=vit"):
        vit.create_model("resnet18", num_classes=5, pretrained=file)
    with pytest.raises(UserError, match="was not trained as timm/vit_tiny_patch16_224"):
        vit.create_model("timm/vit_tiny_patch16_224", num_classes=5, pretrained=file)


def test_the_number_of_heads_may_be_told(tmp_path: Path, randomize: Callable) -> None:
    options = {"embed_dim": 72, "depth": 1, "num_heads": 3}
    theirs = randomize(timm.create_model("vit_tiny_patch16_224", num_classes=5, **options)).eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"how many heads its width of 72 has.*model.num_heads=N"):
        vit.load(tmp_path / "w.pth")
    ours = vit.create_model("vit", num_classes=5, pretrained=tmp_path / "w.pth", **options)
    images = torch.randn(1, 3, 224, 224)
    assert (logits(ours, images) - logits(theirs, images)).abs().max() <= 1e-5


def test_a_clip_tower_must_say_its_gelu(tmp_path: Path) -> None:
    tensors = {"class_embedding": torch.zeros(64), "conv1.weight": torch.zeros(64, 3, 16, 16)}
    tensors |= {"positional_embedding": torch.zeros(197, 64)}
    torch.save(tensors, tmp_path / "clip.pt")
    with pytest.raises(UserError, match=r"which GELU it was trained with: keep open_clip_config.json"):
        vit.load(tmp_path / "clip.pt")


def test_other_grids_and_patches_are_told_in_one_line(file: Path, module: torch.nn.Module, told: list[str]) -> None:
    options = {"num_classes": 5, "image_size": (96, 160), "pretrained": file}
    ours = vit.create_model("vit", **SMALL, **options)
    assert told[0].endswith("positions 14x14 -> 6x10")
    expected = timm.layers.resample_abs_pos_embed(module.get_parameter("pos_embed"), new_size=[6, 10])
    assert torch.equal(ours.get_parameter("pos_embed"), expected)
    ours = vit.create_model("vit", **SMALL | {"patch_size": 32}, **options)
    assert "patches 16 -> 32 pixels; positions 14x14 -> 3x5" in told[1]
    assert ours.get_parameter("patch_embed.proj.weight").shape == (64, 3, 32, 32)


@pytest.mark.parametrize("size", [(8, 8), (14, 14), (32, 32), (20, 12)])
def test_patches_are_resampled_as_timm_does(size: tuple[int, int]) -> None:
    weight = torch.randn(8, 3, 16, 16)
    expected = timm.layers.resample_patch_embed(weight, list(size))
    assert (resample_patches(weight, size) - expected).abs().max() < 1e-4  # timm inverts in fp32


def test_a_larger_patch_embeds_a_resized_image_alike() -> None:
    weight, image = torch.randn(8, 3, 16, 16).double(), torch.randn(1, 3, 16, 16).double()
    larger = torch.nn.functional.interpolate(image, (24, 24), mode="bicubic", antialias=True)
    before, after = (weight * image).sum((1, 2, 3)), (resample_patches(weight, (24, 24)) * larger).sum((1, 2, 3))
    assert torch.allclose(before, after, atol=1e-9)


def test_positions_of_the_prefix_stay() -> None:
    positions = torch.randn(1, 3 + 4 * 6, 8)
    moved = resample_positions(positions, (4, 6), (9, 2))
    assert moved.shape == (1, 3 + 18, 8)
    assert torch.equal(moved[:, :3], positions[:, :3])


def test_a_trunk_takes_an_attention_of_its_own(tmp_path: Path, randomize: Callable, told: list[str]) -> None:
    theirs = randomize(timm.create_model("resnet18", num_classes=5))
    torch.save(theirs.state_dict(), tmp_path / "r.pth")
    options = {"num_classes": 5, "pretrained": tmp_path / "r.pth"}
    ours = vit.create_model("resnet18", attention="cbam", **options)
    assert "of the attention modules start fresh" in told[0]
    assert torch.equal(ours.get_parameter("layer3.1.conv2.weight"), theirs.get_parameter("layer3.1.conv2.weight"))
    with pytest.raises(UserError, match=r"model.stem: '3x3' in the recipe, '7x7' in the weights"):
        vit.create_model("resnet18", stem="3x3", **options)


def test_imagenet_classes_have_names_of_their_own() -> None:
    names, numbers = imagenet(1000)  # type: ignore[misc]
    assert len(set(names)) == len(set(numbers)) == 1000
    assert imagenet(999) is None


def test_a_model_without_classes_says_so(tmp_path: Path, randomize: Callable) -> None:
    theirs = randomize(timm.create_model("vit_small_patch14_dinov2", num_classes=0, img_size=56, depth=1)).eval()
    torch.save(theirs.state_dict() | {"mask_token": torch.zeros(1, 384)}, tmp_path / "dinov2.pth")
    loaded = vit.load(tmp_path / "dinov2.pth")
    images = torch.randn(2, 3, 56, 56)
    assert (logits(loaded.module, images) - logits(theirs, images)).abs().max() <= 1e-5
    with pytest.raises(UserError, match="names no classes: fine-tune it first"):
        loaded.predict(["cat.jpg"])


@pytest.mark.parametrize("verb", [["evaluate"], ["predict"], ["finetune"], ["export", "--to", "timm"]])
def test_bad_weights_are_one_message_and_status_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, verb: list[str]
) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(b"\xff" * 100)
    data = {"predict": [str(path)], "export": []}.get(verb[0], ["digits"])
    monkeypatch.chdir(tmp_path)
    assert run([verb[0], str(path), *data, *verb[1:]]) == 2
    told = capsys.readouterr().err
    assert "not a whole safetensors file" in told and "Traceback" not in told
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ({"size": 224}, ((224, 224), 1.0, "squash")),
        ({"size": {"height": 384, "width": 384}}, ((384, 384), 1.0, "squash")),
        ({"size": 256, "do_center_crop": True, "crop_size": 224}, ((224, 224), 0.875, "squash")),
        ({"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}, ((224, 224), 0.875, "center")),
    ],
)
def test_a_processor_of_transformers_is_understood(tmp_path: Path, processor: dict, expected: tuple) -> None:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, num_labels=3)
    ViTForImageClassification(config).save_pretrained(tmp_path)
    said = processor | {"resample": 3, "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 3]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    found = sources.read(tmp_path)
    preprocessing = found.preprocessing
    assert (preprocessing.image_size, preprocessing.crop_fraction, preprocessing.crop_mode) == expected
    assert (preprocessing.mean, preprocessing.std) == ((0.1, 0.2, 0.3), (1, 2, 3))
    assert (preprocessing.interpolation, found.options["num_heads"]) == ("bicubic", 2)


def test_other_models_of_transformers_are_refused_by_name(tmp_path: Path) -> None:
    from transformers import BeitConfig, BeitForImageClassification

    config = BeitConfig(hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    BeitForImageClassification(config).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"is a beit, which is not among ours \(vit, dinov2, dinov2_with_registers\)"):
        vit.load(tmp_path)


def test_sine_positions_are_computed_where_a_big_vision_file_holds_none(tmp_path: Path, randomize: Callable) -> None:
    options = {"class_token": False, "global_pool": "avg", "fc_norm": False, "act_layer": "gelu_tanh"} | SMALL
    theirs = randomize(timm.create_model("vit_tiny_patch16_224", num_classes=5, **options)).eval()
    arrays = {f"params/{key}": value for key, value in to_jax(theirs, big_vision=True, stacked=False).items()}
    del arrays["params/pos_embedding"]
    np.savez(tmp_path / "weights.npz", **arrays)
    y, x = np.mgrid[:14, :14]
    omega = 1 / 10_000 ** (np.arange(16) / 15)
    x, y = (np.einsum("m,d->md", axis.flatten(), omega) for axis in (x, y))
    expected = np.concatenate([np.sin(x), np.cos(x), np.sin(y), np.cos(y)], axis=1)
    theirs.pos_embed.data[0] = torch.from_numpy(expected)
    images = torch.randn(1, 3, 224, 224)
    assert (logits(vit.load(tmp_path / "weights.npz").module, images) - logits(theirs, images)).abs().max() <= 1e-5


def test_an_encoder_of_mae_is_told_by_its_positions(module: torch.nn.Module, tmp_path: Path) -> None:
    tensors = {key: value for key, value in module.state_dict().items() if not key.startswith("head.")}
    tensors["pos_embed"][:, 0] = 0  # sines and cosines, and none for the CLS token
    torch.save({"model": tensors}, tmp_path / "mae_pretrain.pth")
    weights = sources.read(tmp_path / "mae_pretrain.pth")
    assert (weights.family, weights.options["pool"], weights.preprocessing.mean[0]) == ("MAE", "mean", 0.485)


def test_a_clip_tower_under_timms_names_keeps_its_facts(tmp_path: Path, randomize: Callable) -> None:
    theirs = randomize(timm.create_model("vit_base_patch16_clip_quickgelu_224", num_classes=5, **SMALL)).eval()
    torch.save(theirs.state_dict(), tmp_path / "clip.pth")
    with pytest.raises(UserError, match="which GELU it was trained with"):
        vit.load(tmp_path / "clip.pth")
    loaded = vit.load(tmp_path / "clip.pth", activation="quick_gelu")
    images = torch.randn(1, 3, 224, 224)
    assert (logits(loaded.module, images) - logits(theirs, images)).abs().max() <= 1e-5
    assert loaded.preprocessing.mean == (0.48145466, 0.4578275, 0.40821073)


def test_a_file_is_read_with_the_configuration_beside_it(tmp_path: Path, randomize: Callable) -> None:
    theirs = randomize(timm.create_model("vit_tiny_patch16_224", num_classes=5, **SMALL)).eval()
    theirs.pretrained_cfg = theirs.pretrained_cfg | {"mean": (0.1, 0.2, 0.3)}
    save_for_hf(theirs, str(tmp_path), model_args=SMALL, safe_serialization=True)
    assert vit.load(tmp_path / "model.safetensors").preprocessing.mean == (0.1, 0.2, 0.3)


def test_an_older_file_without_counts_of_batches_is_whole(tmp_path: Path, randomize: Callable) -> None:
    theirs = randomize(timm.create_model("resnet18", num_classes=5)).eval()
    tensors = {key: value for key, value in theirs.state_dict().items() if "num_batches_tracked" not in key}
    torch.save(tensors, tmp_path / "resnet18.pth")
    images = torch.randn(1, 3, 64, 64)
    assert (logits(vit.load(tmp_path / "resnet18.pth").module, images) - logits(theirs, images)).abs().max() <= 1e-4


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"version https://git-lfs.github.com/spec/v1", "pointer of Git LFS"), (b"<!DOCTYPE html>", "a web page")],
)
def test_what_stands_in_for_a_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(UserError, match=message):
        vit.load(tmp_path / "weights.pth")
