"""The image towers of OpenAI's CLIP and of open_clip."""

from dataclasses import replace

import torch

from ...errors import UserError
from .. import layouts
from ..layouts import below, rename
from ..weights import Weights
from .common import WeightsFile, vision_transformer

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
CLIP_VISION = ("image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio")  # the rest makes another tower
OPENAI_KEYS = ("input_resolution", "context_length", "vocab_size")  # buffers of OpenAI's own programs


def from_clip(file: WeightsFile) -> Weights:
    prefix = "visual." if file.has("visual.class_embedding") else ""
    inside, aside = below(file.tensors, prefix)
    tensors = rename(inside, layouts.CLIP)
    tensors["cls_token"] = tensors["cls_token"].view(1, 1, -1)
    tensors["pos_embed"] = tensors["pos_embed"].unsqueeze(0)
    if "proj" in tensors:
        tensors["head.weight"] = tensors.pop("proj").T.contiguous()
        tensors["head.bias"] = torch.zeros(len(tensors["head.weight"]))
    facts = {"norm_eps": 1e-5, "activation": clip_activation(file)}
    clip_config = file.open_clip.get("preprocess_cfg", {})
    mean, std = tuple(clip_config.get("mean", CLIP_MEAN)), tuple(clip_config.get("std", CLIP_STD))
    resize = clip_config.get("resize_mode", "shortest")
    if resize not in ("shortest", "squash"):
        raise UserError(f"{file.source}: resize_mode {resize} of open_clip is not among ours (shortest, squash)")
    usual = {"interpolation": clip_config.get("interpolation", "bicubic")}
    usual["crop_mode"] = "center" if resize == "shortest" else "squash"
    heads = _open_clip_heads(file)
    notes = ("text tower left aside",) if any("token_embedding" in name or "text" in name for name in aside) else ()
    weights = vision_transformer(file, "CLIP", tensors, facts, mean, std, usual, heads=heads, notes=notes)
    return replace(weights, classes=None)  # its outputs are an embedding


def _open_clip_heads(file: WeightsFile) -> int | None:
    """Return the heads that open_clip's configuration tells; raises UserError for a tower that is not CLIP's own."""
    vision = dict(file.open_clip.get("model_cfg", {}).get("vision_cfg", {}))
    other = {key: value for key, value in vision.items() if key not in CLIP_VISION and value}
    if other:
        settings = ", ".join(f"{key}={value}" for key, value in other.items())
        raise UserError(f"{file.source} is a tower with {settings}, which is not among ours; see timm/vit_*_clip_*")
    return vision["width"] // vision["head_width"] if {"width", "head_width"} <= vision.keys() else None


def clip_activation(file: WeightsFile) -> str:
    if "activation" in file.user_options:
        return file.user_options["activation"]
    if file.open_clip:
        return "quick_gelu" if file.open_clip.get("model_cfg", {}).get("quick_gelu") else "gelu"
    if any(file.has(name) for name in OPENAI_KEYS):
        return "quick_gelu"
    raise UserError(
        f"{file.source} is a CLIP tower that does not say which GELU it was trained with: keep open_clip_config.json "
        "beside it, or say model.activation=quick_gelu (OpenAI, DFN, MetaCLIP) or gelu (LAION, DataComp) "
        "to vit train or finetune, activation=... to vit.load"
    )
