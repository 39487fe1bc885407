"""What cannot be trained as asked, refused before anything is written: labels, sizes, batches, the optimizer."""

import logging
from copy import deepcopy

import torch
from torch import nn

from ..data.loading.order import Position, training_batches
from ..data.sources.datasets import Dataset
from ..errors import UserError
from ..hardware.processes import Share
from ..models.vision_transformer import own_transformer
from ..recipe import TIMM, Recipe
from . import timm_optimizers
from .placement import Placement
from .tuning import keep_frozen_statistics

logger = logging.getLogger(__name__)

DEEP_FOR_POST_NORM, MOST_OF_POST_NORM, SHARE_OF_WARMUP = 10, 12, 0.1  # blocks, blocks, of the epochs
OF_SEVERAL = ("validation_macro_f1", "validation_micro_f1")


def check_optimizer(recipe: Recipe, device: str) -> None:
    """Refuse an optimizer that timm does not have or that cannot train on the device, which only a step can tell."""
    if recipe.optimizer.name.startswith(TIMM):
        timm_optimizers.check(recipe.optimizer, device)


def check_labels(recipe: Recipe, data: Dataset) -> None:
    """Refuse settings that need one label an image where there may be several."""
    if not data.train.multilabel:
        if recipe.training.monitor in OF_SEVERAL:
            raise UserError(f"training.monitor={recipe.training.monitor} is for images of several labels")
        return
    in_order = recipe.model.options.get("head") == "sequence"
    loss = "cross_entropy" if in_order else "bce"  # of each next label; of every label
    needed = {
        f"training.loss={loss}": recipe.training.loss == loss,
        "data.sampling=uniform": recipe.data.sampling == "uniform",
        f"training.monitor={', '.join(OF_SEVERAL)} or validation_loss": recipe.training.monitor
        in ("auto", "validation_loss", *OF_SEVERAL),
    }
    if in_order:  # whole labels are told, one after another, to the whole model
        needed |= {
            "mixing.mixup=0 and mixing.cutmix=0": not (recipe.mixing.mixup or recipe.mixing.cutmix),
            "training.label_smoothing=0": not recipe.training.label_smoothing,
            "training.class_weights=none": recipe.training.class_weights == "none",
            "tuning.trainable other than head": recipe.tuning.trainable != "head",
        }
    missing = [setting for setting, there in needed.items() if not there]
    if missing:
        raise UserError(f"images of several labels need {'; '.join(missing)}{' of a head sequence' * in_order}")


def check_sizes(module: nn.Module, recipe: Recipe) -> None:
    """Refuse a lower resolution that the model does not take."""
    size = recipe.schedule.lower_image_size
    if size is None:
        return
    try:
        with torch.inference_mode():
            module.eval()(torch.zeros(1, 3, *size))
        module.train()
    except (ValueError, RuntimeError, AssertionError) as error:
        raise UserError(f"schedule.lower_image_size {list(size)} does not fit {recipe.model.name}: {error}") from error


def warn_of_post_norm(module: nn.Module, recipe: Recipe) -> None:
    """Say beforehand where a Transformer in the original norm order is likely not to learn: deep, or warmed up briefly.

    Xiong et al. 2020, arXiv:2002.04745; Takase et al. 2022, arXiv:2206.00330.
    """
    transformer = own_transformer(module)
    if transformer is None or recipe.model.options.get("norm_order") != "post":
        return
    depth, warmup, epochs = len(transformer.blocks), recipe.schedule.warmup_epochs, recipe.schedule.epochs
    if depth < DEEP_FOR_POST_NORM or (depth <= MOST_OF_POST_NORM and warmup >= SHARE_OF_WARMUP * epochs):
        return
    helps = f"schedule.warmup_epochs={SHARE_OF_WARMUP * epochs:g} or more, half of the optimizer.lr of norm_order pre"
    helps = helps if depth <= MOST_OF_POST_NORM else f"at most {MOST_OF_POST_NORM} blocks, or norm_order=pre"
    logger.warning(
        f"model.norm_order=post with {depth} blocks, {warmup:g} of {epochs:g} epochs of warm-up: ten blocks and more "
        f"often learn nothing so; what helps: {helps}"
    )


def check_batches_of_one(recipe: Recipe, module: nn.Module, data: Dataset, parts: int, placement: Placement) -> None:
    """Refuse batches of one image where a norm would see a single value a channel, which has no variance.

    Those of larger batches never do; and the BatchNorms of several GPUs see all of their images together.
    """
    processes = placement.world_size
    batches = training_batches(recipe, data.train, parts, Share(0, processes), Position())
    together = placement.device == "cuda" and placement.strategy == "ddp"
    if batches.batch_size > parts * processes or together:
        return
    tried = deepcopy(module).train()
    keep_frozen_statistics(tried)
    sizes = dict.fromkeys([recipe.schedule.lower_image_size or recipe.data.image_size, recipe.data.image_size])
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for height, width in sizes:
                tried(torch.zeros(1, 3, height, width))
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            f"a norm of {recipe.model.name} would see one value a channel, which has no variance: "
            f"batches are of one image, and at {height} x {width} pixels its features are 1 x 1 there "
            f"({len(data.train)} training images, training.batch_size {recipe.training.batch_size}, "
            f"{parts} part{'s' * (parts > 1)} a step, {processes} process{'es' * (processes > 1)})\n"
            f"what helps: {more_at_once(recipe, len(data.train), parts, processes)}; a larger data.image_size; "
            "or for pretrained weights tuning.freeze_batch_norm=true"
        ) from error


def more_at_once(recipe: Recipe, images: int, parts: int, processes: int) -> str:
    least = "more training images" if images < recipe.training.batch_size else "a larger training.batch_size"
    fewer = ", fewer parts by training.accumulate" * (parts > 1) + ", fewer training.devices" * (processes > 1)
    return least + fewer
