"""DeiT, DeiT III, MAE, DINOv2 and timm itself, whose names are timm's."""

from typing import Any

from ...data.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from ...errors import UserError
from .. import layouts
from ..layouts import Tensors, rename
from ..weights import Weights
from .clip import CLIP_MEAN, CLIP_STD, clip_activation
from .common import HALF, WeightsFile, drop, vision_transformer


def from_timm_names(file: WeightsFile) -> Weights:
    """Convert DeiT, DeiT III, MAE, DINOv2 and timm itself: their names are timm's; what else is there tells them."""
    tensors = layouts.fold_prefix_positions(rename(file.tensors, layouts.CHUNKS, layouts.AUTHORS))
    if "cls_token" not in tensors and "activation" not in file.user_options:
        raise UserError(
            f"{file.source} has no CLS token, and such models differ in their GELU: keep timm's config.json beside "
            "it, or say model.activation=gelu or gelu_tanh to vit train or finetune, activation=... to vit.load"
        )
    if "pos_embed" not in tensors:
        raise UserError(f"{file.source} is no whole Vision Transformer: missing pos_embed")
    family, facts, mean, std, usual = _timm_like(file, tensors)
    if "activation" in file.user_options:
        facts = facts | {"activation": file.user_options["activation"]}
    notes = drop(tensors, "mask_token", "decoder_pos_embed", *(n for n in tensors if n.startswith("decoder_")))
    if family == "DeiT" and not file.has("dist_token"):
        notes += (f"taken for a DeiT, because it lies under `{file.root}`: ImageNet's mean and std",)
    if family == "timm ViT":
        notes += ("no configuration beside it: timm's usual preprocessing of a ViT, mean and std 0.5",)
    return vision_transformer(file, family, tensors, facts, mean, std, usual, notes=notes)


def _timm_like(file: WeightsFile, tensors: Tensors) -> tuple[str, dict[str, Any], tuple, tuple, dict[str, Any]]:
    imagenet = (IMAGENET_MEAN, IMAGENET_STD)
    scaled = "blocks.0.ls1.gamma" in tensors
    if "norm_pre.weight" in tensors:
        return "CLIP in timm", {"norm_eps": 1e-5, "activation": clip_activation(file)}, CLIP_MEAN, CLIP_STD, {}
    if file.has("dist_token"):
        return "DeiT", {}, *imagenet, {"crop_fraction": 0.875}
    if scaled and (file.has("mask_token") or file.has("register_tokens") or file.has("reg_token")):
        return "DINOv2", {}, *imagenet, {}
    if scaled:
        return "DeiT III", {}, *imagenet, {}
    if any(name.startswith("decoder_") for name in tensors):
        return "MAE", {"pool": "mean"}, *imagenet, {"crop_fraction": 0.875}
    if "head.weight" not in tensors and not tensors["pos_embed"][:, 0].any():  # sines, with none for the CLS token
        return "MAE", {"pool": "mean"}, *imagenet, {"crop_fraction": 0.875}
    if "fc_norm.weight" in tensors:
        return "MAE", {}, *imagenet, {"crop_fraction": 0.875}
    if file.root in (
        "model",
        "model_ema",
    ):  # as Facebook's training scripts save; timm's own have no root, or `state_dict`
        return "DeiT", {}, *imagenet, {"crop_fraction": 0.875}
    return "timm ViT", {}, HALF, HALF, {"crop_fraction": 0.9}
