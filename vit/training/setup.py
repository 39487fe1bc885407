"""What learns in a run, and from what: a model, the part of it that is trained, and the batches."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from ..data.augment.mixing import as_targets, make_mixing
from ..data.loading.in_memory import as_it_is
from ..data.loading.loaders import EVALUATION_BATCH_SIZE, Loaders, evaluation_loader, make_loaders, preprocessing_of
from ..data.loading.order import Position, training_batches
from ..data.preprocessing import Preprocessing, normalize
from ..data.sources.datasets import Dataset
from ..errors import UserError
from ..hardware.distributed import most_of_all
from ..hardware.precision import AUTOCAST_TYPES
from ..hardware.processes import Share
from ..model import Model, assemble
from ..models.activation_checkpointing import checkpoint_activations
from ..models.autoregression import Autoregression
from ..models.flops import count_parameters
from ..models.interface import takes_targets
from ..models.masked_autoencoder import MaskedAutoencoder
from ..models.vision_transformer import own_transformer
from ..pretrained import sources
from ..pretrained.weights import Weights
from ..recipe import Mixing, Recipe
from . import features, tuning
from .checks import check_labels, check_sizes, warn_of_post_norm
from .distillation import ByTeacher, read_teacher
from .label_words import words_of_labels
from .loss import Loss
from .memory import parts_for
from .objectives import ByLabelsInOrder, ByLogits, Objective, WithoutLabels
from .placement import Placement
from .task import PrepareBatch

logger = logging.getLogger(__name__)


PRETRAINING: dict[str, Callable[..., nn.Module]] = {
    "masked": MaskedAutoencoder,
    "autoregressive": lambda trunk, mask_ratio, **settings: Autoregression(trunk, **settings),
}


@dataclass(frozen=True)
class Learner:
    """The part of a module that is trained, its batches of training and validation, and what prepares the former.

    `adapters` must be merged after training; `seconds` were spent on a frozen trunk's features.
    """

    module: nn.Module
    loaders: Loaders
    prepare_batch: PrepareBatch
    adapters: tuning.Adapters | None
    parameters: int
    seconds: float


def read_weights(recipe: Recipe) -> Weights | None:
    """Return the pretrained weights that a recipe names, or None."""
    return sources.read_start(recipe.model.name, recipe.model.pretrained, recipe.model.options)


def make_model(recipe: Recipe, data: Dataset, weights: Weights | None) -> Model:
    """Build the recipe's model, with the weights in it."""
    check_labels(recipe, data)
    wanted, size = recipe.model, recipe.data.image_size
    classes = () if recipe.pretraining else tuple(data.classes)
    options = words_of_labels(wanted.options, data.classes, data.train.labels) | wanted.options
    module, architecture, start = assemble(
        wanted.name, options, len(classes), size, weights, wanted.new_head or not classes, classes
    )
    check_sizes(module, recipe)
    warn_of_post_norm(module, recipe)
    return Model(
        module=module,
        architecture=architecture,
        classes=classes,
        preprocessing=preprocessing_of(recipe.data, data, weights.preprocessing if weights else None),
        output="sigmoid" if data.train.multilabel else "softmax",
        recipe=recipe,
        start=start,
        source=wanted.name,
    )


def make_learner(recipe: Recipe, model: Model, data: Dataset, device: str) -> Learner:
    """Freeze what the recipe keeps, and return what learns; a head alone learns from features computed here."""
    module, preprocessing = learning_module(recipe, model), model.preprocessing
    parameters = count_parameters(module)
    adapters = tuning.prepare(module, recipe.tuning)
    if recipe.training.gradient_checkpointing:
        checkpoint_activations(model.module)
    learning = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    logger.info(f"{recipe.model.name}: {parameters:,} parameters, {learning:,} of them learn")
    began = time.perf_counter()
    if recipe.tuning.trainable == "head":
        parts = head_alone(recipe, module, data, preprocessing, device)
    else:
        prepare_batch = batch_preparation(recipe, preprocessing, len(data.classes))
        parts = (module, make_loaders(recipe, data, preprocessing), prepare_batch)
    return Learner(*parts, adapters, learning, time.perf_counter() - began)


def learning_module(recipe: Recipe, model: Model) -> nn.Module:
    """Return the module that a recipe trains: the model's, or what stands around it while it learns without labels."""
    if recipe.pretraining is None:
        return model.module
    trunk = own_transformer(model.module)
    assert trunk is not None, "refused with the recipe"
    settings = asdict(recipe.pretraining)
    try:
        return PRETRAINING[settings.pop("method")](trunk, **settings)
    except ValueError as error:
        raise UserError(f"pretraining: {error}") from error


def make_objective(module: nn.Module, model: Model, labels: np.ndarray, device: str) -> Objective:
    """Return what a module learns by: a teacher and labels [N] or [N, num_classes], labels alone, or neither."""
    recipe = model.recipe
    assert recipe is not None, "a model that learns has one"
    if recipe.pretraining:
        return WithoutLabels()
    teacher = read_teacher(recipe.distillation, model, device) if recipe.distillation else None
    if takes_targets(module):
        return ByLabelsInOrder(len(model.classes))
    loss = Loss(recipe.training, len(model.classes), labels)
    return ByTeacher(loss, recipe.distillation, teacher) if recipe.distillation and teacher else ByLogits(loss)


def batch_preparation(recipe: Recipe, preprocessing: Preprocessing, num_classes: int) -> PrepareBatch:
    mix = make_mixing(recipe.mixing, num_classes)
    return lambda images, labels: mix(normalize(images, preprocessing), labels)


def head_alone(
    recipe: Recipe, module: nn.Module, data: Dataset, preprocessing: Preprocessing, device: str
) -> tuple[nn.Module, Loaders, PrepareBatch]:
    """Return the head, loaders of features, and what prepares their batches."""
    settings = {
        "augment": bool(recipe.augment),
        "mixing": recipe.mixing != Mixing(),
        "schedule.lower_image_size": recipe.schedule.lower_image_size is not None,
    }
    left_out = [name for name, there in settings.items() if there]
    if left_out:
        logger.info(f"a head alone learns from features that are computed once: {' and '.join(left_out)} left out")
    found = [
        features.compute(module, evaluation_loader(images, preprocessing, recipe.data.workers, data.small), device)
        for images in (data.train, data.validation)
    ]

    def training(parts: int, share: Share, start: Position, device: torch.device) -> DataLoader:
        batches = training_batches(recipe, data.train, parts, share, start)
        held = features.FeaturesByEpoch(*(tensor.to(device) for tensor in found[0].tensors))
        return DataLoader(held, batch_sampler=batches, collate_fn=as_it_is)

    def validation(share: Share, device: torch.device) -> DataLoader:
        mine = range(share.rank, len(found[1]), share.world_size)
        return DataLoader(found[1], batch_size=EVALUATION_BATCH_SIZE, sampler=mine)

    prepare = lambda inputs, labels: (inputs, as_targets(labels, len(data.classes)))  # noqa: E731
    return features.HeadOnly(module), Loaders("none", training, validation), prepare


def find_parts(recipe: Recipe, learner: Learner, data: Dataset, placement: Placement, precision: str) -> int:
    """Return the parts that a process computes its share of a step in: as the recipe says, or as memory needs."""
    parts = recipe.training.accumulate
    if parts != "auto":
        return parts
    images = min(recipe.training.batch_size, len(data.train)) // placement.world_size
    size, dtype, device = recipe.data.image_size, AUTOCAST_TYPES[precision], placement.device
    sharing = placement.devices if device == "cpu" else 1
    count = lambda: parts_for(learner.module, images, size, dtype, recipe.optimizer, device, sharing)  # noqa: E731
    parts = most_of_all("parts", count, device)
    logger.info(f"steps of {images:,} images in {parts} part{'s' * (parts > 1)}, as memory needs")
    return parts
