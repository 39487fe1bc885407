"""A model as transformers loads it: config.json, model.safetensors and preprocessor_config.json, written without it.

A plain Vision Transformer becomes a ViT. One with layer scale, registers, or another pool becomes a DINOv2, whose head
reads the CLS token and the patches' mean: zeros stand for the part that is not read. A plain ResNet becomes a ResNet.
"""

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ..data.preprocessing import Preprocessing
from ..errors import UserError
from ..model import Model
from ..pretrained.families.transformers import HF_ACTIVATIONS, INTERPOLATIONS
from ..pretrained.layouts import Tensors
from ..registry import complete_options
from . import USUAL

INSTEAD = "export with --to timm: transformers loads that folder too, through its timm wrapper"


def write(folder: Path, model: Model) -> None:
    """Write the folder; `AutoModelForImageClassification.from_pretrained(FOLDER)` loads it.

    Raises UserError for a model that transformers has not.
    """
    architecture, classes, preprocessing = model.architecture, model.classes, model.preprocessing
    if architecture.name.startswith("timm/"):
        raise UserError(f"{architecture.name} has no counterpart in transformers; {INSTEAD}")
    complete = complete_options(architecture.name, architecture.options)
    tensors = {name: tensor.detach().cpu() for name, tensor in model.module.state_dict().items()}
    if "embed_dim" not in complete:
        config, named = _resnet(complete, tensors)
    elif _is_plain(complete):
        config, named = _vit(complete, tensors)
    else:
        config, named = _dinov2(complete, tensors)
    labels = {str(i): name for i, name in enumerate(classes)}
    config |= {"id2label": labels, "label2id": {name: i for i, name in enumerate(classes)}, "torch_dtype": "float32"}
    if "embed_dim" in complete:
        height, width = preprocessing.image_size
        config["image_size"] = height if height == width else [height, width]
    processor = _processor(preprocessing)
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", config)
    _write_json(folder / "preprocessor_config.json", processor)
    save_file(
        {name: tensor.contiguous() for name, tensor in named.items()}, folder / "model.safetensors", {"format": "pt"}
    )


def _is_plain(options: dict[str, Any]) -> bool:
    usual = {"pool": "cls", "norm_after_pool": False, "layer_scale": None, "class_position": True, "registers": 0}
    return options["activation"] != "swiglu" and all(options[key] == value for key, value in usual.items())


def _refuse_what_is_missing(options: dict[str, Any]) -> None:
    unknown = [f"{name} {options[name]}" for name, usual in USUAL.items() if options[name] != usual]
    if unknown:
        raise UserError(f"transformers has no Vision Transformer with {' and '.join(unknown)}; {INSTEAD}")
    wanted = {
        "norm_after_pool": False,
        "class_token": True,
        "norm_before": False,
        "patch_bias": True,
        "representation_size": 0,
    }
    other = [f"{key} {options[key]}" for key, value in wanted.items() if options[key] != value]
    other += ["pool cls_dist"] if options["pool"] == "cls_dist" else []
    if other:
        raise UserError(f"transformers has no Vision Transformer with {', '.join(other)}; {INSTEAD}")


def _encoder_config(options: dict[str, Any]) -> dict[str, Any]:
    _refuse_what_is_missing(options)
    activations = {ours: theirs for theirs, ours in reversed(HF_ACTIVATIONS.items())}
    return {
        "hidden_size": options["embed_dim"],
        "num_hidden_layers": options["depth"],
        "num_attention_heads": options["num_heads"],
        "hidden_act": activations.get(options["activation"], "gelu"),
        "layer_norm_eps": options["norm_eps"],
        "patch_size": options["patch_size"],
        "qkv_bias": True,
    }


def _vit(options: dict[str, Any], tensors: Tensors) -> tuple[dict[str, Any], Tensors]:
    config = {"model_type": "vit", "architectures": ["ViTForImageClassification"]} | _encoder_config(options)
    config["intermediate_size"] = round(options["embed_dim"] * options["mlp_ratio"])
    names = (
        (r"norm1", "layernorm_before"),
        (r"norm2", "layernorm_after"),
        (r"mlp\.fc1", "intermediate.dense"),
        (r"mlp\.fc2", "output.dense"),
    )
    return config, _encoder(tensors, "vit.", names)


def _dinov2(options: dict[str, Any], tensors: Tensors) -> tuple[dict[str, Any], Tensors]:
    kind, prefix = ("Dinov2WithRegisters", "dinov2_with_registers") if options["registers"] else ("Dinov2", "dinov2")
    config = {"model_type": prefix, "architectures": [f"{kind}ForImageClassification"]} | _encoder_config(options)
    config |= {"mlp_ratio": int(options["mlp_ratio"]), "use_swiglu_ffn": options["activation"] == "swiglu"}
    if options["registers"]:
        config["num_register_tokens"] = options["registers"]
    if options["activation"] == "swiglu":
        config["mlp_ratio"] = _swiglu_ratio(options)
    elif options["mlp_ratio"] != config["mlp_ratio"]:
        raise UserError(f"transformers has no DINOv2 with mlp_ratio {options['mlp_ratio']:g}; {INSTEAD}")
    tensors = dict(tensors)
    width = options["embed_dim"]
    for i in range(options["depth"]):
        for scale in ("ls1", "ls2"):
            tensors.setdefault(f"blocks.{i}.{scale}.gamma", torch.ones(width))
    head, zeros = tensors["head.weight"], torch.zeros_like(tensors["head.weight"][:, :width])
    if options["pool"] != "cls_mean":
        tensors["head.weight"] = torch.cat([head, zeros] if options["pool"] == "cls" else [zeros, head], dim=1)
    prefix_tokens = 1 + options["registers"]
    positions = tensors["pos_embed"]
    if options["class_position"]:  # registers have no position of their own there: it becomes a part of them
        if options["registers"]:
            tensors["reg_token"] = tensors["reg_token"] + positions[:, 1:prefix_tokens]
        tensors["pos_embed"] = torch.cat([positions[:, :1], positions[:, prefix_tokens:]], dim=1)
    else:
        tensors["pos_embed"] = torch.cat([torch.zeros(1, 1, width), positions], dim=1)
    tensors["mask_token"] = torch.zeros(1, width)
    names = ((r"mlp\.fc1", "mlp.weights_in"), (r"mlp\.fc2", "mlp.weights_out")) if config["use_swiglu_ffn"] else ()
    return config, _encoder(tensors, f"{prefix}.", names)


def _swiglu_ratio(options: dict[str, Any]) -> int:
    """Return the ratio from which transformers computes the hidden width: two thirds of it, in multiples of eight."""
    width, hidden = options["embed_dim"], round(options["embed_dim"] * options["mlp_ratio"])
    for ratio in range(1, 17):
        if (int(width * ratio * 2 / 3) + 7) // 8 * 8 == hidden:
            return ratio
    raise UserError(f"transformers has no SwiGLU of hidden width {hidden} for a width of {width}; {INSTEAD}")


def _encoder(tensors: Tensors, prefix: str, block_names: tuple[tuple[str, str], ...]) -> Tensors:
    """Return the tensors under the names of version 4, which version 5 reads as well."""
    named: Tensors = {}
    outside = {
        "cls_token": "embeddings.cls_token",
        "reg_token": "embeddings.register_tokens",
        "mask_token": "embeddings.mask_token",
        "pos_embed": "embeddings.position_embeddings",
        "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
        "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
        "norm.weight": "layernorm.weight",
        "norm.bias": "layernorm.bias",
    }
    inside = (*block_names, (r"attn\.proj", "attention.output.dense"), (r"ls([12])\.gamma", r"layer_scale\1.lambda1"))
    for name, tensor in tensors.items():
        if name in outside:
            named[prefix + outside[name]] = tensor
        elif name.startswith("head."):
            named[name.replace("head.", "classifier.")] = tensor
        elif ".attn.qkv." in name:
            block, kind = re.fullmatch(r"blocks\.(\d+)\.attn\.qkv\.(.+)", name).groups()  # type: ignore[union-attr]
            for part, rows in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                named[f"{prefix}encoder.layer.{block}.attention.attention.{part}.{kind}"] = rows
        else:
            for ours, theirs in inside:
                name = re.sub(ours, theirs, name)
            named[prefix + name.replace("blocks.", "encoder.layer.")] = tensor
    return named


def _resnet(options: dict[str, Any], tensors: Tensors) -> tuple[dict[str, Any], Tensors]:
    if options["attention"] != "none" or options["stem"] != "7x7":
        part = "3x3 stem" if options["stem"] != "7x7" else f"{options['attention']} attention"
        raise UserError(f"transformers has no ResNet with {part}; {INSTEAD}")
    expansion = 4 if options["block"] == "bottleneck" else 1
    config = {
        "model_type": "resnet",
        "architectures": ["ResNetForImageClassification"],
        "embedding_size": options["width"],
        "hidden_sizes": [expansion * options["width"] << i for i in range(len(options["depths"]))],
        "depths": list(options["depths"]),
        "layer_type": options["block"],
        "hidden_act": "relu",
        "downsample_in_first_stage": False,
    }
    renames = (
        (r"conv1\.(.+)", r"resnet.embedder.embedder.convolution.\1"),
        (r"bn1\.(.+)", r"resnet.embedder.embedder.normalization.\1"),
        (r"fc\.(.+)", r"classifier.1.\1"),
        (r"layer(\d+)\.(\d+)\.downsample\.0\.(.+)", r"resnet.encoder.stages.{}.layers.\2.shortcut.convolution.\3"),
        (r"layer(\d+)\.(\d+)\.downsample\.1\.(.+)", r"resnet.encoder.stages.{}.layers.\2.shortcut.normalization.\3"),
        (r"layer(\d+)\.(\d+)\.conv(\d)\.(.+)", r"resnet.encoder.stages.{}.layers.\2.layer.{}.convolution.\4"),
        (r"layer(\d+)\.(\d+)\.bn(\d)\.(.+)", r"resnet.encoder.stages.{}.layers.\2.layer.{}.normalization.\4"),
    )
    named = {}
    for name, tensor in tensors.items():
        match, theirs = next((re.fullmatch(old, name), new) for old, new in renames if re.fullmatch(old, name))
        assert match is not None
        counts = [int(group) - 1 for group in (match[1], match[3] if "layer.{}" in theirs else "1") if group.isdigit()]
        named[match.expand(theirs).format(*counts)] = tensor
    return config, named


def _processor(preprocessing: Preprocessing) -> dict[str, Any]:
    height, width = preprocessing.image_size
    numbers = {name: number for number, name in INTERPOLATIONS.items()}
    said = {
        "do_resize": True,
        "resample": numbers[preprocessing.interpolation],
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preprocessing.mean),
        "image_std": list(preprocessing.std),
    }
    if preprocessing.crop_mode == "squash" and preprocessing.crop_fraction == 1:
        return said | {"image_processor_type": "ViTImageProcessor", "size": {"height": height, "width": width}}
    if height != width or preprocessing.crop_mode == "squash":
        raise UserError(f"transformers has no processor for such crops of {height}x{width} pixels; {INSTEAD}")
    edge = {"shortest_edge": int(height / preprocessing.crop_fraction + 1e-9)}
    crop = {"do_center_crop": True, "crop_size": {"height": height, "width": width}}
    return said | {"image_processor_type": "BitImageProcessor", "do_convert_rgb": True, "size": edge} | crop


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
