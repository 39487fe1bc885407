"""A model as timm loads it: a folder with its weights and a config.json that timm builds it from."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import UserError
from ..model import Model
from ..models.positions import FIXED, fixed_positions
from ..models.vision_transformer import own_transformer
from ..registry import complete_options
from . import USUAL

SAME = 1e-5  # largest difference of logits that an export may have
POOLS = {"cls": "token", "mean": "avg", "cls_dist": "token", "map": "map"}


def write(folder: Path, model: Model) -> float:
    """Write the folder, and return the largest difference of the logits, computed by timm and by us.

    `timm.create_model("local-dir:FOLDER", pretrained=True)` loads it. Raises UserError for a model that timm has not.
    """
    import timm
    from timm.models import save_for_hf

    architecture, preprocessing, classes = model.architecture, model.preprocessing, model.classes
    name, arguments = timm_architecture(architecture.name, architecture.options, preprocessing.image_size)
    theirs: Any = timm.create_model(name, num_classes=len(classes), **arguments)
    try:
        theirs.load_state_dict(tensors_of(model))
    except RuntimeError as error:
        raise UserError(f"timm's {name} has other parts than this {architecture.name}: {str(error)[:200]}") from error
    difference = largest_difference(model.module, theirs, preprocessing.image_size)
    if difference > SAME:
        raise UserError(f"timm's {name} computes something else than this {architecture.name}: {difference:.1e} apart")
    height, width = preprocessing.image_size
    theirs.pretrained_cfg |= {
        "input_size": (3, height, width),
        "fixed_input_size": hasattr(theirs, "pos_embed"),
        "mean": preprocessing.mean,
        "std": preprocessing.std,
        "interpolation": preprocessing.interpolation,
        "crop_pct": preprocessing.crop_fraction,
        "crop_mode": preprocessing.crop_mode,
        "num_classes": len(classes),
        "label_names": list(classes),
    }
    save_for_hf(theirs, str(folder), model_args=arguments, safe_serialization=True)
    return difference


def tensors_of(model: Model) -> dict[str, torch.Tensor]:
    """Return a model's tensors; positions that are computed lie among them as timm's learned ones do."""
    transformer = own_transformer(model.module)
    tensors = model.module.state_dict()
    if transformer is None or transformer.positions not in FIXED:
        return tensors
    return tensors | {"pos_embed": fixed_positions(transformer.positions, transformer.grid, transformer.embed_dim)}


def timm_architecture(name: str, options: dict[str, Any], size: tuple[int, int]) -> tuple[str, dict[str, Any]]:
    """Return timm's name and arguments for a model of ours; raises UserError where timm has no such model."""
    if name.startswith("timm/"):
        return name.removeprefix("timm/"), options | _own_size(name, options, size)
    complete = complete_options(name, options)
    return _vision_transformer(complete, size) if "embed_dim" in complete else _residual_network(complete)


def _own_size(name: str, options: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Return the image size as an argument, for the models of timm that take one."""
    import timm

    try:
        with torch.device("meta"):
            timm.create_model(name.removeprefix("timm/"), img_size=size, **options)
    except TypeError:
        return {}
    return {"img_size": list(size)}


def largest_difference(ours: nn.Module, theirs: nn.Module, size: tuple[int, int]) -> float:
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return (ours.eval()(images) - theirs.eval()(images)).abs().max().item()


def _vision_transformer(options: dict[str, Any], size: tuple[int, int]) -> tuple[str, dict[str, Any]]:
    computed = options["positions"] in FIXED  # written down for the image size, where no prefix has any
    usual = USUAL | ({"positions": options["positions"]} if computed else {})
    unknown = [f"{name} {options[name]}" for name, value in usual.items() if options[name] != value]
    if unknown:
        raise UserError(f"timm has no such Vision Transformer with {' and '.join(unknown)}; export with --to onnx")
    if options["representation_size"] or options["pool"] not in POOLS:
        part = "representation_size" if options["representation_size"] else f"pool {options['pool']}"
        raise UserError(
            f"timm has no Vision Transformer with {part}; export with --to transformers, or fine-tune first"
        )
    gated = options["activation"] == "swiglu"
    name = "vit_base_patch16_clip_224" if options["norm_eps"] == 1e-5 else "vit_base_patch16_224"
    name = "vit_giant_patch14_dinov2" if gated else name
    name = "deit_base_distilled_patch16_224" if options["pool"] == "cls_dist" else name
    arguments = {
        "img_size": list(size),
        "patch_size": options["patch_size"],
        "embed_dim": options["embed_dim"],
        "depth": options["depth"],
        "num_heads": options["num_heads"],
        "mlp_ratio": options["mlp_ratio"] * (2 if gated else 1),
        "init_values": options["layer_scale"],
        "global_pool": POOLS[options["pool"]],
        "fc_norm": options["norm_after_pool"],
        "class_token": options["class_token"],
        "no_embed_class": computed or not options["class_position"],
        "reg_tokens": options["registers"],
        "pre_norm": options["norm_before"],
    }
    if not gated:
        arguments["act_layer"] = options["activation"]
    if gated and options["layer_scale"] is None:
        raise UserError("timm has SwiGLU only together with layer scale; export with --to transformers")
    if options["patch_bias"] == options["norm_before"]:
        raise UserError("timm gives the patch embedding a bias exactly where no norm stands before the blocks")
    return name, {key: value for key, value in arguments.items() if value is not None}


def _residual_network(options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if options["stem"] != "7x7":
        raise UserError("timm has no ResNet with a 3x3 stem, such as images up to 64 pixels are given here")
    width, depths = options["width"], list(options["depths"])
    arguments: dict[str, Any] = {"layers": depths, "channels": [width << i for i in range(len(depths))]}
    if options["attention"] != "none":
        arguments["block_args"] = {"attn_layer": options["attention"]}
    return {"basic": "resnet18", "bottleneck": "resnet50"}[options["block"]], arguments
