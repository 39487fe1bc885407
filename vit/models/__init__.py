"""Name -> model: plain functions of keywords that return an nn.Module, ready without recipe or Lightning.

Adding a model is adding a line here: `MODELS["mine"] = build_mine` works from outside too.
"""

from typing import TYPE_CHECKING, Any

from ..errors import UserError, nearest
from ..table import Lazy, Table, check_options

if TYPE_CHECKING:
    from torch import nn

_vit = "models.vision_transformer:VisionTransformer"
_resnet = "models.resnet:ResNet"

MODELS: Table = {
    # Widths and depths: tables 1 of arXiv:2010.11929 and of arXiv:2106.10270 (tiny, small).
    "vit": Lazy(_vit, "Vision Transformer of any width, depth and heads"),
    "vit_tiny": Lazy(_vit, "Vision Transformer, width 192, 12 blocks", embed_dim=192, depth=12, num_heads=3),
    "vit_small": Lazy(_vit, "Vision Transformer, width 384, 12 blocks", embed_dim=384, depth=12, num_heads=6),
    "vit_base": Lazy(_vit, "Vision Transformer, width 768, 12 blocks", embed_dim=768, depth=12, num_heads=12),
    "vit_large": Lazy(_vit, "Vision Transformer, width 1024, 24 blocks", embed_dim=1024, depth=24, num_heads=16),
    "vit_huge": Lazy(
        _vit, "Vision Transformer, width 1280, 32 blocks", embed_dim=1280, depth=32, num_heads=16, patch_size=14
    ),
    # Depths: table 1 of arXiv:1512.03385; `resnet_cifar` is its section 4.2.
    "resnet18": Lazy(_resnet, "residual network, 18 layers", block="basic", depths=(2, 2, 2, 2)),
    "resnet34": Lazy(_resnet, "residual network, 34 layers", block="basic", depths=(3, 4, 6, 3)),
    "resnet50": Lazy(_resnet, "residual network, 50 layers with bottlenecks", block="bottleneck", depths=(3, 4, 6, 3)),
    "resnet_cifar": Lazy(
        _resnet, "narrow residual network of three stages, for small images", block="basic", depths=(3, 3, 3), width=16
    ),
}


def create_model(
    name: str,
    *,
    num_classes: int,
    image_size: int | tuple[int, int] = 224,
    pretrained: bool = False,
    **options: Any,
) -> "nn.Module":
    """Build the model `name` of MODELS, or `timm/<name>` of timm.

    The module takes images [B, 3, height, width] and returns logits [B, num_classes]. `pretrained` loads timm's
    published weights into a `timm/<name>` model; weights in files are `vit.checkpoint`'s. Raises UserError for an
    unknown name or option, or for sizes that do not fit together.
    """
    import torch

    size = (image_size, image_size) if isinstance(image_size, int) else (image_size[0], image_size[1])
    if name.startswith("timm/"):
        module = _create_timm(name.removeprefix("timm/"), num_classes, size, pretrained, options)
    else:
        module = _create_own(name, num_classes, size, pretrained, options)
    if family(module) == "cnn":  # convolutions are faster so, on CPUs and GPUs
        module = module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return module


def _create_own(
    name: str, num_classes: int, size: tuple[int, int], pretrained: bool, options: dict[str, Any]
) -> "nn.Module":
    if name not in MODELS:
        raise UserError(f"there is no model {name}{nearest(name, MODELS)} (see `vit models`, or timm/<name>)")
    options, mistakes = check_options("model", MODELS[name], name, options, {"num_classes", "image_size"})
    if mistakes:
        raise UserError("\n".join(mistakes))
    if pretrained:
        raise UserError(f"{name} has no published weights of its own; give a model file, or timm/<name>")
    try:
        return MODELS[name](num_classes=num_classes, image_size=size, **options)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from error


def family(module: "nn.Module") -> str:
    """Return "vit" for a model whose tokens attend to each other, "cnn" for one without attention heads."""
    return "vit" if any(hasattr(part, "num_heads") for part in module.modules()) else "cnn"


def _create_timm(
    name: str, num_classes: int, size: tuple[int, int], pretrained: bool, options: dict[str, Any]
) -> "nn.Module":
    import timm

    if not timm.is_model(name):
        raise UserError(f"timm has no model {name}{nearest(name, timm.list_models())}")
    options = options | {"num_classes": num_classes, "pretrained": pretrained}
    try:
        try:
            return timm.create_model(name, img_size=size, **options)
        except TypeError:  # most CNNs take images of any size and no such argument
            return timm.create_model(name, **options)
    except (TypeError, ValueError, AssertionError, RuntimeError, OSError) as error:
        raise UserError(f"timm could not build {name} with {options}: {error}") from error
