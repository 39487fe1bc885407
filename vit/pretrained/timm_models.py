"""Models of timm: taken over by our own where these compute the same, kept as timm's where they do not."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from .. import models
from ..data.preprocessing import Preprocessing
from ..errors import UserError, nearest
from ..models.blocks import ACTIVATIONS
from ..registry import timm_options
from . import configurations, describe, files, header, hub, unwrapping
from .bounds import Bounded
from .class_names import names_of
from .layouts import Tensors
from .weights import Weights

PRETRAINED_FACTS = frozenset(configurations.OfTimm.model_fields) - {"architecture", "model_args"}
SAME = 1e-4  # of the largest logit; other models of the same shapes differ by far more
POOLS = {"token": "cls", "avg": "mean", "map": "map"}


def is_name(name: str) -> bool:
    """Return whether timm has a model of that name, with or without a tag of its weights behind a point."""
    import timm

    return timm.is_model(name)


def published(name: str) -> Weights:
    """Return timm's published weights, downloaded at first use; raises UserError where that fails."""
    import timm

    architecture, _, tag = name.partition(".")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise UserError(
            f"timm has no weights {tag} of {architecture}{nearest(tag, tags)} ({', '.join(tags) or 'none'})"
        )
    config = timm.get_pretrained_cfg(name)
    if config and config.hf_hub_id and config.hf_hub_id.startswith("timm/"):
        folder = hub.download(config.hf_hub_id)
        beside = configurations.checked(hub.read_configurations(folder), name)
        path = next(folder / file for file in hub.weights_in_order(beside) if (folder / file).is_file())
        tensors, _, _ = unwrapping.find(files.read(path).contents, name)
        return of_file(files.numbers(tensors, name), name, beside["config.json"] | {"architecture": architecture})
    try:
        module = timm.create_model(name, pretrained=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"timm could not fetch the weights of {name}: {hub.short(error)}\nis there a network?"
        ) from error
    return of_module(module, name, f"timm/{name}")


def of_file(tensors: Tensors, source: str, config: Mapping[str, Any]) -> Weights:
    """Return the weights of a folder that timm wrote: its config.json names the architecture, its options and facts.

    Only these are taken from it, and the tensors from its own file: timm fetches nothing, and reads no other.
    """
    import timm

    name = config["architecture"]
    options = dict(config.get("model_args", {}))
    options.pop("num_classes", None)  # said beside it
    if options.get("in_chans") == 3:
        del options["in_chans"]
    if not timm.is_model(name):
        raise UserError(f"config.json beside {source}: timm has no model {name:.80}")
    if wrong := timm_options.mistakes(f"timm/{name}", options, "model_args"):
        raise UserError("\n".join([f"config.json beside {source}:", *wrong]))
    header.check_sizes(options, tensors, source, header.USUAL_SIZE)
    facts = {key: value for key, value in config.items() if key in PRETRAINED_FACTS}
    size = options.get("img_size")
    if size is not None and facts.get("fixed_input_size"):
        facts["input_size"] = (3, size, size) if isinstance(size, int) else (3, *size)
    try:
        with Bounded(tensors, source):
            module = timm.create_model(
                name, pretrained=True, pretrained_cfg=facts | {"state_dict": dict(tensors)}, **options
            )
    except UserError:
        raise
    except Exception as error:  # whatever a model does with options and tensors that its program does not expect
        raise UserError(f"{source} is not the {name} that its config.json says: {hub.short(error)}") from error
    options.pop("img_size", None)  # the preprocessing says it
    return of_module(module, source, f"timm/{name}", options)


def of_module(module: nn.Module, source: str, architecture: str, options: dict[str, Any] | None = None) -> Weights:
    """Return the weights and facts of a timm model: under our own architecture where it computes the same."""
    weights = Weights(
        source=source,
        family="timm",
        architecture=architecture,
        options=options or {},
        tensors=dict(module.state_dict()),
        preprocessing=preprocessing_of(module),
        num_classes=module.num_classes,  # type: ignore[arg-type]
        classes=_labels(module) or names_of(module.num_classes),  # type: ignore[arg-type]
    )
    ours = _as_ours(module, weights)
    return replace(ours, timm_name=architecture) if ours else weights


def preprocessing_of(module: nn.Module) -> Preprocessing:
    from timm.data.config import resolve_model_data_config

    config = resolve_model_data_config(module)
    height, width = config["input_size"][1:]
    return Preprocessing(
        image_size=(height, width),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation="bilinear" if config["interpolation"] == "random" else config["interpolation"],
        crop_fraction=config["crop_pct"],
        crop_mode="squash" if config["crop_mode"] == "squash" else "center",
    )


def _as_ours(module: nn.Module, weights: Weights) -> Weights | None:
    """Return the weights as those of our own model, or None where it would not compute the same."""
    try:
        name, options, grid = _described(module, weights)
        ours = models.build(name, num_classes=weights.num_classes, image_size=_input_size(module, weights), **options)
        ours.load_state_dict(weights.tensors)
    except (UserError, RuntimeError, AttributeError, KeyError, StopIteration, TypeError, ValueError):
        return None
    images = torch.randn(1, 3, *_input_size(module, weights), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = module.eval()(images), ours.eval()(images)
    if (expected - found).abs().max() > SAME * max(1.0, expected.abs().max().item()):
        return None
    return replace(weights, architecture=name, options=options, grid=grid)


def _input_size(module: nn.Module, weights: Weights) -> tuple[int, int]:
    size = getattr(getattr(module, "patch_embed", None), "img_size", None)
    return tuple(size) if size else weights.preprocessing.image_size


def _described(module: Any, weights: Weights) -> tuple[str, dict[str, Any], tuple[int, int] | None]:
    """Return the model of ours, its options and its grid, as the parts of a timm model say them."""
    if "conv1.weight" in weights.tensors:
        return "resnet", describe.residual_network(weights.tensors, weights.source), None
    block = module.blocks[0]
    options, _ = describe.vision_transformer(
        weights.tensors,
        weights.source,
        num_heads=block.attn.num_heads,
        image_size=_input_size(module, weights),
    )
    options["norm_eps"] = block.norm1.eps
    if options["pool"] != "cls_dist":
        options["pool"] = POOLS[module.global_pool]
    if options.get("activation") != "swiglu":
        options["activation"] = _activation(block.mlp.act)
    return "vit", options, module.patch_embed.grid_size


def _activation(act: nn.Module) -> str:
    values = torch.linspace(-6, 6, 1001)
    elementwise = [name for name in ACTIVATIONS if name != "swiglu"]
    return next(name for name in elementwise if torch.allclose(ACTIVATIONS[name](values), act(values), atol=1e-7))


def _labels(module: Any) -> tuple[str, ...] | None:
    labels = module.pretrained_cfg.get("label_names")
    return tuple(labels) if labels else None
