"""Models as plain nn.Modules, ready without recipe or Lightning: images to logits."""

from typing import TYPE_CHECKING, Any

from ..errors import UserError, nearest
from ..registry import MODELS, SUPPLIED, timm_options
from ..registry.table import check_options

if TYPE_CHECKING:
    from torch import nn


def build(
    name: str,
    *,
    num_classes: int,
    image_size: int | tuple[int, int] = 224,
    **options: Any,
) -> "nn.Module":
    """Build the module `name` of MODELS, or `timm/<name>` of timm, with fresh weights.

    The module takes images [B, 3, height, width] and returns logits [B, num_classes]. Raises UserError for an unknown
    name or option, or for sizes that do not fit together.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else (image_size[0], image_size[1])
    if name.startswith("timm/"):
        module = _create_timm(name.removeprefix("timm/"), num_classes, size, options)
    else:
        module = _create_own(name, num_classes, size, options)
    return in_its_layout(module)


def in_its_layout(module: "nn.Module") -> "nn.Module":
    """Lay convolutional networks out with channels last: they are faster so, on CPUs and GPUs."""
    import torch

    from .interface import structure_of
    from .strides import thin_out

    thin_out(module)
    if structure_of(module).family == "cnn":
        module = module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return module


def _create_own(name: str, num_classes: int, size: tuple[int, int], options: dict[str, Any]) -> "nn.Module":
    if name not in MODELS:
        raise UserError(f"there is no model {name}{nearest(name, MODELS)} (see `vit models`, or timm/<name>)")
    options, mistakes = check_options("model", MODELS[name], name, options, SUPPLIED)
    if mistakes:
        raise UserError("\n".join(mistakes))
    try:
        return MODELS[name](num_classes=num_classes, image_size=size, **options)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from error


def _create_timm(name: str, num_classes: int, size: tuple[int, int], options: dict[str, Any]) -> "nn.Module":
    """Build a model of timm with fresh weights: nothing is fetched, and no other file is read."""
    import timm

    if not timm.is_model(name):
        raise UserError(f"timm has no model {name}{nearest(name, timm.list_models())}")
    if mistakes := timm_options.mistakes(f"timm/{name}", options):
        raise UserError("\n".join(mistakes))
    fixed = options.get("img_size") is not None and not options.get("dynamic_img_size")
    if fixed and _both(options["img_size"]) != size:
        raise UserError(
            f"model.img_size {options['img_size']} is not the images' {list(size)}: leave it out, data.image_size tells"
        )
    try:
        try:
            sized: dict[str, Any] = {"img_size": size} | options
            return timm.create_model(name, num_classes=num_classes, **sized)
        except TypeError:  # most CNNs take images of any size and no such argument
            return timm.create_model(name, num_classes=num_classes, **options)
    except UserError:
        raise
    except Exception as error:  # whatever a model does with options that its program does not expect
        told = " ".join(str(error).split())[:300]
        raise UserError(f"timm could not build {name} with {options}: {told or type(error).__name__}") from error


def _both(side: Any) -> tuple[Any, ...]:
    return tuple(side) if isinstance(side, list | tuple) else (side, side)
