"""ViT and DINOv2 as transformers saves them."""

from collections.abc import Mapping
from typing import Any

import torch

from ...data.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from ...errors import UserError
from .. import layouts
from ..layouts import Tensors, fuse, rename
from ..weights import Weights
from .common import HALF, WeightsFile, both, drop, vision_transformer

INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
HF_MODELS = ("vit", "dinov2", "dinov2_with_registers")
HF_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "quick_gelu": "quick_gelu"}


def from_transformers(file: WeightsFile) -> Weights:
    prefix = prefixes(file)[0]
    tensors = {name.removeprefix(prefix): tensor for name, tensor in file.tensors.items()}
    tensors = fuse(rename(tensors, layouts.TRANSFORMERS))
    notes = drop(tensors, "mask_token")
    if "head.weight" in tensors and any(name.startswith("pre_logits.") for name in tensors):
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("pre_logits.")}
        notes += ("pooler left aside, because the classifier reads the CLS token itself",)
    if not file.config:
        notes += ("no config.json beside it: epsilon, activation and preprocessing as is usual",)
    dinov2 = "blocks.0.ls1.gamma" in tensors
    with_registers = "register_tokens" in tensors
    tensors = layouts.fold_prefix_positions(tensors)
    config = file.config
    if config.get("model_type", "vit") not in HF_MODELS:
        raise UserError(f"{file.source} is a {config['model_type']}, which is not among ours ({', '.join(HF_MODELS)})")
    name = str(config.get("hidden_act", "gelu"))
    if name not in HF_ACTIVATIONS:
        raise UserError(f"{file.source}: hidden_act {name} is not among ours ({', '.join(HF_ACTIVATIONS)})")
    facts: dict[str, Any] = {"norm_eps": config.get("layer_norm_eps", 1e-6 if dinov2 else 1e-12)}
    if tensors.get("blocks.0.mlp.fc1.weight", torch.empty(0, 1)).shape[0] == _hidden_dim(tensors):
        facts["activation"] = HF_ACTIVATIONS[name]
    if dinov2 and "head.weight" in tensors:
        facts["pool"] = "cls_mean"
    usual: dict[str, Any] = (
        {"interpolation": "bicubic"} if dinov2 else {"interpolation": "bilinear", "crop_mode": "squash"}
    )
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if dinov2 else (HALF, HALF)
    weights = vision_transformer(
        file,
        "DINOv2 of transformers" if dinov2 else "ViT of transformers",
        tensors,
        facts,
        mean,
        std,
        usual,
        heads=config.get("num_attention_heads"),
        resampling={"antialias": with_registers},
        image_size=both(config.get("image_size")),
        classes=_labels(config),
        notes=notes,
    )
    return weights.prepared(**_hf_preprocessing(file))


def prefixes(file: WeightsFile) -> list[str]:
    mark = "embeddings.patch_embeddings.projection.weight"
    return [name.removesuffix(mark) for name in file.tensors if name.endswith(mark)]


def _hf_preprocessing(file: WeightsFile) -> dict[str, Any]:
    """Return what a preprocessor_config.json says, in our words."""
    given, said = file.processor, {}
    if abs(given.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-9:
        raise UserError(f"{file.source}: rescale_factor {given['rescale_factor']} of its preprocessor is not 1/255")
    if given.get("do_normalize") is False:
        given = {**given, "image_mean": (0.0, 0.0, 0.0), "image_std": (1.0, 1.0, 1.0)}
    if "image_mean" in given and "image_std" in given:
        said |= {"mean": tuple(given["image_mean"]), "std": tuple(given["image_std"])}
    if "resample" in given:
        if given["resample"] not in INTERPOLATIONS:
            raise UserError(f"{file.source}: resample {given['resample']} of its preprocessor is not among ours")
        said["interpolation"] = INTERPOLATIONS[given["resample"]]
    size, crop = given.get("size"), given.get("crop_size")
    if isinstance(size, int):
        size = {"height": size, "width": size}
    if isinstance(size, dict) and "shortest_edge" in size and given.get("do_center_crop", True):
        cropped = (crop["height"] if isinstance(crop, dict) else crop) or size["shortest_edge"]
        said |= {
            "crop_mode": "center",
            "crop_fraction": cropped / size["shortest_edge"],
            "image_size": both(cropped),
        }
    elif isinstance(size, dict) and "height" in size:
        cropped = both(crop["height"] if isinstance(crop, dict) else crop) if given.get("do_center_crop") else None
        image_size = cropped or (size["height"], size["width"])
        said |= {"crop_mode": "squash", "crop_fraction": image_size[0] / size["height"], "image_size": image_size}
    return said


def _labels(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the class names of a transformers configuration, unless they are the placeholders LABEL_0, LABEL_1, ..."""
    labels = config.get("id2label")
    if not isinstance(labels, dict) or not labels:
        return None
    names = tuple(str(labels[key]) for key in sorted(labels, key=int))
    return None if names[0] == "LABEL_0" or len(set(names)) < len(names) else names


def _hidden_dim(tensors: Tensors) -> int:
    return tensors["blocks.0.mlp.fc2.weight"].shape[1] if "blocks.0.mlp.fc2.weight" in tensors else -1
