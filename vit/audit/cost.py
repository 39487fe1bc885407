"""What a recipe will take on this machine, from a few of its steps on random images."""

from ..data.loading import cache
from ..data.sources.datasets import Dataset
from ..hardware.precision import AUTOCAST_TYPES, resolve_device, resolve_precision
from ..hardware.timing import seconds_per_training_image
from ..models.activation_checkpointing import checkpoint_activations
from ..models.flops import count_macs, count_parameters
from ..recipe import Recipe
from ..training import tuning
from ..training.checks import check_batches_of_one, check_optimizer
from ..training.memory import bytes_per_image
from ..training.optim import state_bytes
from ..training.placement import Placement
from ..training.setup import make_model, read_weights
from .findings import MEASURED_STEPS, Cost

PROBE_MACS = {"cpu": 5e10, "cuda": 2e12}  # of one measured step, so that looking stays short


def estimate_cost(recipe: Recipe, dataset: Dataset) -> Cost:
    """Return the time and memory of a recipe's training; raises UserError for what `train` refuses.

    A head alone counts as if its trunk computed in every epoch, which it does in the first one only.
    """
    device = resolve_device(recipe.training.device)
    check_optimizer(recipe, device)
    parts = 1 if recipe.training.accumulate == "auto" else recipe.training.accumulate
    precision, _ = resolve_precision(recipe.training.precision, device)
    model = make_model(recipe, dataset, read_weights(recipe))
    module, size = model.module, recipe.data.image_size
    parameters, macs = count_parameters(module), count_macs(module, size)
    tuning.prepare(module, recipe.tuning)
    check_batches_of_one(recipe, module, dataset, parts, Placement(device, 1, 1, "single"))
    if recipe.training.gradient_checkpointing:
        checkpoint_activations(module)
    batch_size = max(2, min(recipe.training.batch_size, len(dataset.train), int(PROBE_MACS[device] / (3 * macs))))
    dtype = AUTOCAST_TYPES[precision]
    seconds = seconds_per_training_image(module, size, batch_size, device, MEASURED_STEPS, dtype)
    weights = sum(parameter.nbytes for parameter in module.parameters())
    gradients = sum(parameter.nbytes for parameter in module.parameters() if parameter.requires_grad)
    remembered = state_bytes(module, recipe.optimizer, device)
    images = (len(dataset.train), len(dataset.validation))
    together = min(recipe.training.batch_size, len(dataset.train)) // parts
    return Cost(
        parameters=parameters,
        macs=macs,
        seconds_per_epoch=seconds * len(dataset.train),
        epochs=recipe.schedule.epochs,
        device=device,
        state_bytes=weights + gradients + remembered,
        activation_bytes=together * bytes_per_image(module, size, dtype, device),
        disk_bytes=2 * weights + remembered,  # the model's file, and a checkpoint
        cache_bytes=0 if dataset.small else cache.bytes_kept(recipe, model.preprocessing, *images),
    )
