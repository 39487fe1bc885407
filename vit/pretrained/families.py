"""The families of published weights: how each is recognised, and the facts that its own code goes with.

The family is told from the names of the tensors; a configuration beside the file, where there is one, overrides what is
usual. Sources: the reference code of each family, and docs/parity.md, where every one is compared with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ..data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from ..errors import UserError
from . import describe, layouts
from .class_names import names_of
from .layouts import Tensors, below, fuse, rename
from .weights import Weights

HALF = (0.5, 0.5, 0.5)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
HF_MODELS = ("vit", "dinov2", "dinov2_with_registers")
HF_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "quick_gelu": "quick_gelu"}
CLIP_VISION = ("image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio")  # the rest makes another tower
SHAPELESS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
OPENAI_KEYS = ("input_resolution", "context_length", "vocab_size")  # buffers of OpenAI's own programs


@dataclass(frozen=True)
class Found:
    """A file of weights as it was read: tensors by their old names, and the configurations that lay beside it.

    `told` are options that the user gave; they decide what a file leaves open.
    """

    source: str
    tensors: Tensors
    config: Mapping[str, Any] = field(default_factory=dict)  # config.json of transformers
    processor: Mapping[str, Any] = field(default_factory=dict)  # preprocessor_config.json of transformers
    open_clip: Mapping[str, Any] = field(default_factory=dict)  # open_clip_config.json
    told: Mapping[str, Any] = field(default_factory=dict)
    root: str | None = None  # under which the weights lay in a checkpoint

    def has(self, name: str) -> bool:
        return name in self.tensors


@dataclass(frozen=True)
class Family:
    """A family's name, the question whether a file belongs to it, and the way from the file to weights."""

    name: str
    recognises: Callable[[Found], bool]
    convert: Callable[[Found], Weights]


def convert(found: Found) -> Weights:
    """Return the weights of a file; raises UserError where no family knows its names, or they name no whole model."""
    for family in FAMILIES:
        if not family.recognises(found):
            continue
        try:
            return family.convert(found)
        except SHAPELESS as error:  # names of a family on tensors of any shape, or a configuration of another model
            raise UserError(
                f"{found.source} has the names of {family.name}, but its tensors or the configurations beside it are "
                f"not of one ({' '.join(str(error).split())[:120]}); fetch them again"
            ) from error
    names = ", ".join(list(found.tensors)[:4])
    raise UserError(
        f"{found.source} is of no family known here; its tensors are called {names}, ...\n"
        f"known: {', '.join(dict.fromkeys(family.name for family in FAMILIES))}; other models: timm/<name>"
    )


def from_jax(found: Found) -> Weights:
    known = ("opt/target/", "params/img/", "params/", "")
    prefix = next((prefix for prefix in known if f"{prefix}embedding/kernel" in found.tensors), None)
    if prefix is None:
        raise UserError(f"{found.source}: its arrays lie under none of {', '.join(filter(None, known))}")
    inside, aside = below(found.tensors, prefix)
    if any(name.startswith("MAPHead_0/") for name in inside):
        raise UserError(
            f"{found.source} pools by attention (MAP head), which is not among ours; see timm/vit_*_siglip_*"
        )
    original = "Transformer/posembed_input/pos_embedding" in inside
    query = "MultiHeadDotProductAttention_" + ("1" if original else "0") + "/query/kernel"
    heads = next((t.shape[-2] for name, t in inside.items() if name.endswith(query)), None)
    tensors = layouts.from_jax(inside)
    notes = _aside(aside)
    if "pos_embed" not in tensors and "patch_embed.proj.weight" in tensors:
        tensors["pos_embed"] = sine_positions(tensors["patch_embed.proj.weight"])
        notes += ("sine positions, because the file holds none",)
    facts = {"activation": "gelu_tanh", "norm_eps": 1e-6}
    usual = {"interpolation": "bilinear"} | ({"crop_mode": "squash"} if original else {"crop_fraction": 0.875})
    family = "Google JAX" if original else "big_vision"
    zoom = {"mode": "bilinear", "antialias": False, "align_corners": True}  # as scipy's zoom, which its code uses
    return _vision_transformer(
        found, family, tensors, facts, HALF, HALF, usual, heads=heads, resampling=zoom, notes=notes
    )


def from_torchvision(found: Found) -> Weights:
    tensors = rename(found.tensors, layouts.TORCHVISION)
    family, resampling = "torchvision", {"antialias": False, "align_corners": True}
    weights = _vision_transformer(
        found, family, tensors, {}, IMAGENET_MEAN, IMAGENET_STD, {"interpolation": "bilinear"}, resampling=resampling
    )
    return weights.prepared(**_torchvision_crop(weights))


def _torchvision_crop(weights: Weights) -> dict[str, Any]:
    """Return torchvision's evaluation: its own models from 256 pixels (L/16: 242), the larger SWAG ones whole."""
    if weights.preprocessing.image_size != (224, 224) or weights.options["patch_size"] == 14:
        return {"interpolation": "bicubic", "crop_fraction": 1.0}
    large = weights.options["embed_dim"] == 1024 and weights.options["patch_size"] == 16
    return {"crop_fraction": 224 / (242 if large else 256)}


def from_clip(found: Found) -> Weights:
    prefix = "visual." if found.has("visual.class_embedding") else ""
    inside, aside = below(found.tensors, prefix)
    tensors = rename(inside, layouts.CLIP)
    tensors["cls_token"] = tensors["cls_token"].view(1, 1, -1)
    tensors["pos_embed"] = tensors["pos_embed"].unsqueeze(0)
    if "proj" in tensors:
        tensors["head.weight"] = tensors.pop("proj").T.contiguous()
        tensors["head.bias"] = torch.zeros(len(tensors["head.weight"]))
    facts = {"norm_eps": 1e-5, "activation": _clip_activation(found)}
    clip_config = found.open_clip.get("preprocess_cfg", {})
    mean, std = tuple(clip_config.get("mean", CLIP_MEAN)), tuple(clip_config.get("std", CLIP_STD))
    resize = clip_config.get("resize_mode", "shortest")
    if resize not in ("shortest", "squash"):
        raise UserError(f"{found.source}: resize_mode {resize} of open_clip is not among ours (shortest, squash)")
    usual = {"interpolation": clip_config.get("interpolation", "bicubic")}
    usual["crop_mode"] = "center" if resize == "shortest" else "squash"
    heads = _open_clip_heads(found)
    notes = ("text tower left aside",) if any("token_embedding" in name or "text" in name for name in aside) else ()
    weights = _vision_transformer(found, "CLIP", tensors, facts, mean, std, usual, heads=heads, notes=notes)
    return replace(weights, classes=None)  # its outputs are an embedding


def _open_clip_heads(found: Found) -> int | None:
    """Return the heads that open_clip's configuration tells; raises UserError for a tower that is not CLIP's own."""
    vision = dict(found.open_clip.get("model_cfg", {}).get("vision_cfg", {}))
    other = {key: value for key, value in vision.items() if key not in CLIP_VISION and value}
    if other:
        settings = ", ".join(f"{key}={value}" for key, value in other.items())
        raise UserError(f"{found.source} is a tower with {settings}, which is not among ours; see timm/vit_*_clip_*")
    return vision["width"] // vision["head_width"] if {"width", "head_width"} <= vision.keys() else None


def _clip_activation(found: Found) -> str:
    if "activation" in found.told:
        return found.told["activation"]
    if found.open_clip:
        return "quick_gelu" if found.open_clip.get("model_cfg", {}).get("quick_gelu") else "gelu"
    if any(found.has(name) for name in OPENAI_KEYS):
        return "quick_gelu"
    raise UserError(
        f"{found.source} is a CLIP tower that does not say which GELU it was trained with: keep open_clip_config.json "
        "beside it, or say model.activation=quick_gelu (OpenAI, DFN, MetaCLIP) or gelu (LAION, DataComp) "
        "to vit train or finetune, activation=... to vit.load"
    )


def from_transformers(found: Found) -> Weights:
    prefix = _hf_prefixes(found)[0]
    tensors = {name.removeprefix(prefix): tensor for name, tensor in found.tensors.items()}
    tensors = fuse(rename(tensors, layouts.TRANSFORMERS))
    notes = _drop(tensors, "mask_token")
    if "head.weight" in tensors and any(name.startswith("pre_logits.") for name in tensors):
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("pre_logits.")}
        notes += ("pooler left aside, because the classifier reads the CLS token itself",)
    if not found.config:
        notes += ("no config.json beside it: epsilon, activation and preprocessing as is usual",)
    dinov2 = "blocks.0.ls1.gamma" in tensors
    with_registers = "register_tokens" in tensors
    tensors = layouts.fold_prefix_positions(tensors)
    config = found.config
    if config.get("model_type", "vit") not in HF_MODELS:
        raise UserError(f"{found.source} is a {config['model_type']}, which is not among ours ({', '.join(HF_MODELS)})")
    name = str(config.get("hidden_act", "gelu"))
    if name not in HF_ACTIVATIONS:
        raise UserError(f"{found.source}: hidden_act {name} is not among ours ({', '.join(HF_ACTIVATIONS)})")
    facts: dict[str, Any] = {"norm_eps": config.get("layer_norm_eps", 1e-6 if dinov2 else 1e-12)}
    if tensors.get("blocks.0.mlp.fc1.weight", torch.empty(0, 1)).shape[0] == _hidden_dim(tensors):
        facts["activation"] = HF_ACTIVATIONS[name]
    if dinov2 and "head.weight" in tensors:
        facts["pool"] = "cls_mean"
    usual: dict[str, Any] = (
        {"interpolation": "bicubic"} if dinov2 else {"interpolation": "bilinear", "crop_mode": "squash"}
    )
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if dinov2 else (HALF, HALF)
    weights = _vision_transformer(
        found,
        "DINOv2 of transformers" if dinov2 else "ViT of transformers",
        tensors,
        facts,
        mean,
        std,
        usual,
        heads=config.get("num_attention_heads"),
        resampling={"antialias": with_registers},
        image_size=_both(config.get("image_size")),
        classes=_labels(config),
        notes=notes,
    )
    return weights.prepared(**_hf_preprocessing(found))


def _hf_prefixes(found: Found) -> list[str]:
    mark = "embeddings.patch_embeddings.projection.weight"
    return [name.removesuffix(mark) for name in found.tensors if name.endswith(mark)]


def _hf_preprocessing(found: Found) -> dict[str, Any]:
    """Return what a preprocessor_config.json says, in our words."""
    given, said = found.processor, {}
    if abs(given.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-9:
        raise UserError(f"{found.source}: rescale_factor {given['rescale_factor']} of its preprocessor is not 1/255")
    if given.get("do_normalize") is False:
        given = {**given, "image_mean": (0.0, 0.0, 0.0), "image_std": (1.0, 1.0, 1.0)}
    if "image_mean" in given and "image_std" in given:
        said |= {"mean": tuple(given["image_mean"]), "std": tuple(given["image_std"])}
    if "resample" in given:
        if given["resample"] not in INTERPOLATIONS:
            raise UserError(f"{found.source}: resample {given['resample']} of its preprocessor is not among ours")
        said["interpolation"] = INTERPOLATIONS[given["resample"]]
    size, crop = given.get("size"), given.get("crop_size")
    if isinstance(size, int):
        size = {"height": size, "width": size}
    if isinstance(size, dict) and "shortest_edge" in size and given.get("do_center_crop", True):
        cropped = (crop["height"] if isinstance(crop, dict) else crop) or size["shortest_edge"]
        said |= {"crop_mode": "center", "crop_fraction": cropped / size["shortest_edge"], "image_size": _both(cropped)}
    elif isinstance(size, dict) and "height" in size:
        cropped = _both(crop["height"] if isinstance(crop, dict) else crop) if given.get("do_center_crop") else None
        image_size = cropped or (size["height"], size["width"])
        said |= {"crop_mode": "squash", "crop_fraction": image_size[0] / size["height"], "image_size": image_size}
    return said


def from_timm_names(found: Found) -> Weights:
    """Convert DeiT, DeiT III, MAE, DINOv2 and timm itself: their names are timm's; what else is there tells them."""
    tensors = layouts.fold_prefix_positions(rename(found.tensors, layouts.CHUNKS, layouts.AUTHORS))
    if "cls_token" not in tensors and "activation" not in found.told:
        raise UserError(
            f"{found.source} has no CLS token, and such models differ in their GELU: keep timm's config.json beside "
            "it, or say model.activation=gelu or gelu_tanh to vit train or finetune, activation=... to vit.load"
        )
    if "pos_embed" not in tensors:
        raise UserError(f"{found.source} is no whole Vision Transformer: missing pos_embed")
    family, facts, mean, std, usual = _timm_like(found, tensors)
    if "activation" in found.told:
        facts = facts | {"activation": found.told["activation"]}
    notes = _drop(tensors, "mask_token", "decoder_pos_embed", *(n for n in tensors if n.startswith("decoder_")))
    if family == "DeiT" and not found.has("dist_token"):
        notes += (f"taken for a DeiT, because it lies under `{found.root}`: ImageNet's mean and std",)
    if family == "timm ViT":
        notes += ("no configuration beside it: timm's usual preprocessing of a ViT, mean and std 0.5",)
    return _vision_transformer(found, family, tensors, facts, mean, std, usual, notes=notes)


def _timm_like(found: Found, tensors: Tensors) -> tuple[str, dict[str, Any], tuple, tuple, dict[str, Any]]:
    imagenet = (IMAGENET_MEAN, IMAGENET_STD)
    scaled = "blocks.0.ls1.gamma" in tensors
    if "norm_pre.weight" in tensors:
        return "CLIP in timm", {"norm_eps": 1e-5, "activation": _clip_activation(found)}, CLIP_MEAN, CLIP_STD, {}
    if found.has("dist_token"):
        return "DeiT", {}, *imagenet, {"crop_fraction": 0.875}
    if scaled and (found.has("mask_token") or found.has("register_tokens") or found.has("reg_token")):
        return "DINOv2", {}, *imagenet, {}
    if scaled:
        return "DeiT III", {}, *imagenet, {}
    if any(name.startswith("decoder_") for name in tensors):
        return "MAE", {"pool": "mean"}, *imagenet, {"crop_fraction": 0.875}
    if "head.weight" not in tensors and not tensors["pos_embed"][:, 0].any():  # sines, with none for the CLS token
        return "MAE", {"pool": "mean"}, *imagenet, {"crop_fraction": 0.875}
    if "fc_norm.weight" in tensors:
        return "MAE", {}, *imagenet, {"crop_fraction": 0.875}
    if found.root in (
        "model",
        "model_ema",
    ):  # as Facebook's training scripts save; timm's own have no root, or `state_dict`
        return "DeiT", {}, *imagenet, {"crop_fraction": 0.875}
    return "timm ViT", {}, HALF, HALF, {"crop_fraction": 0.9}


def from_resnet(found: Found) -> Weights:
    options = describe.residual_network(found.tensors, found.source)
    head = found.tensors.get("fc.weight")
    count = 0 if head is None else len(head)
    preprocessing = Preprocessing((224, 224), IMAGENET_MEAN, IMAGENET_STD, "bilinear", 0.875)
    notes = ("no configuration beside it: torchvision's usual preprocessing, 256 to 224 pixels, bilinear",)
    return Weights(
        found.source, "ResNet", "resnet", options, found.tensors, preprocessing, count, names_of(count), notes=notes
    )


def sine_positions(patch_weight: Tensor, side: int = 14, temperature: float = 10_000.0) -> Tensor:
    """Return fixed positions [1, side * side, D] of sines and cosines (big_vision's `sincos2d`, arXiv:2205.01580)."""
    quarter = len(patch_weight) // 4
    rates = temperature ** -(torch.arange(quarter, dtype=torch.float64) / (quarter - 1))
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    x, y = (axis.flatten()[:, None] * rates for axis in (columns, rows))
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], dim=1).float().unsqueeze(0)


def _vision_transformer(
    found: Found,
    family: str,
    tensors: Tensors,
    facts: Mapping[str, Any],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    usual: Mapping[str, Any],
    *,
    heads: int | None = None,
    resampling: Mapping[str, Any] | None = None,
    image_size: tuple[int, int] | None = None,
    classes: tuple[str, ...] | None = None,
    notes: tuple[str, ...] = (),
) -> Weights:
    """Put together what the names, the shapes, the family and the user say of a Vision Transformer's weights."""
    told_heads = found.told.get("num_heads")
    options, size = describe.vision_transformer(
        tensors, found.source, num_heads=told_heads or heads, image_size=image_size
    )
    if not (told_heads or heads):
        notes += (f"{options['num_heads']} heads, as is usual for a width of {options['embed_dim']}",)
    head = tensors.get("head.weight")
    count = 0 if head is None else len(head)
    return Weights(
        source=found.source,
        family=family,
        architecture="vit",
        options=options | dict(facts),
        tensors=tensors,
        preprocessing=Preprocessing(size, mean, std, **usual),
        num_classes=count,
        classes=classes if classes and len(classes) == count else names_of(count),
        resampling=resampling or {},
        notes=notes,
        grid=(size[0] // options["patch_size"], size[1] // options["patch_size"]),
    )


def _labels(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the class names of a transformers configuration, unless they are the placeholders LABEL_0, LABEL_1, ..."""
    labels = config.get("id2label")
    if not isinstance(labels, dict) or not labels:
        return None
    names = tuple(str(labels[key]) for key in sorted(labels, key=int))
    return None if names[0] == "LABEL_0" or len(set(names)) < len(names) else names


def _both(size: Any) -> tuple[int, int] | None:
    return (size, size) if isinstance(size, int) else tuple(size) if size else None  # type: ignore[return-value]


def _hidden_dim(tensors: Tensors) -> int:
    return tensors["blocks.0.mlp.fc2.weight"].shape[1] if "blocks.0.mlp.fc2.weight" in tensors else -1


def _drop(tensors: Tensors, *names: str) -> tuple[str, ...]:
    """Remove what only pre-training used, and say so."""
    dropped = [name for name in names if tensors.pop(name, None) is not None]
    return ("parts that only pre-training used left aside",) if dropped else ()


def _aside(others: Tensors) -> tuple[str, ...]:
    return (f"{len(others)} tensors outside the image model left aside",) if others else ()


FAMILIES = (
    Family("Google JAX", lambda found: any(name.endswith("embedding/kernel") for name in found.tensors), from_jax),
    Family("torchvision ViT", lambda found: found.has("conv_proj.weight"), from_torchvision),
    Family("CLIP", lambda found: found.has("visual.class_embedding") or found.has("class_embedding"), from_clip),
    Family("transformers ViT and DINOv2", lambda found: bool(_hf_prefixes(found)), from_transformers),
    Family(
        "timm ViT, DeiT, DeiT III, MAE, DINOv2", lambda found: found.has("patch_embed.proj.weight"), from_timm_names
    ),
    Family("ResNet of timm and torchvision", lambda found: found.has("layer1.0.conv1.weight"), from_resnet),
)
