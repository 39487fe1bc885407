"""What a run goes on from: a checkpoint of this run, whole and finite, or a message before anything is restored."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import UserError, listed
from ..pretrained.pickles import first_reason
from ..recipe import TIMM, Recipe
from ..registry.table import plain
from ..run_folder import RunFolder
from .optim import make_optimizer

WITHOUT_IT = "without it the run starts anew (delete it)"
SCORED = {"validation_top1", "validation_macro_f1"}  # of every epoch, one of them; without labels, the loss
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, arbitrary_types_allowed=True)


class SavedPosition(Part):
    epoch: NonNegativeInt
    batch: NonNegativeInt


class Averages(Part):
    updates: NonNegativeInt
    averages: dict[str, Tensor]


class Kept(Part):
    best: Finite | None
    best_epoch: NonNegativeInt
    epochs: NonNegativeInt


class Record(Part):
    rows: list[dict[str, Any]]
    images_seen: NonNegativeInt
    train_seconds: NonNegativeFloat


class Callbacks(Part):
    KeptWeights: Kept
    RunRecord: Record
    ExponentialMovingAverage: Averages | None = None


class OptimizerState(Part):
    state: dict[Any, dict[str, Any]]
    param_groups: Annotated[list[dict[str, Any]], Field(min_length=1)]


class Saved(Part):
    """What a checkpoint must hold; what Lightning adds is its own to read."""

    epoch: NonNegativeInt
    global_step: NonNegativeInt
    state_dict: dict[str, Tensor]
    loops: dict[str, dict[str, Any]]
    callbacks: Callbacks
    optimizer_states: Annotated[list[OptimizerState], Field(min_length=1, max_length=1)]
    lr_schedulers: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=1)]
    position: SavedPosition
    parts: Annotated[int, Field(gt=0)]
    sums: list[Finite]
    scores: dict[str, float]


def read(run: RunFolder, module: nn.Module, recipe: Recipe) -> dict[str, Any] | None:
    """Return the checkpoint that a run goes on from, its tensors still on the disk, or None where there is none.

    Raises UserError for one that cannot be read, is of another model or training, or holds weights that are no numbers.
    """
    path = run.last_checkpoint
    if not path.exists():
        return None
    if not path.is_file():
        raise UserError(f"{path} cannot be read: it is no regular file; {WITHOUT_IT}")
    try:
        values = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        raise UserError(f"{path} cannot be read: {first_reason(error)}; {WITHOUT_IT}") from error
    mistakes = list(_mistakes(values, run, module, recipe))
    if mistakes:
        told = listed(mistakes)
        raise UserError("\n".join([f"{path} is no checkpoint that this run can go on from; {WITHOUT_IT}", *told]))
    return values


def _mistakes(values: Any, run: RunFolder, module: nn.Module, recipe: Recipe) -> Iterator[str]:
    if not isinstance(values, dict):
        yield f"it holds a {type(values).__name__}"
        return
    try:
        saved = Saved.model_validate(values)
    except ValidationError as error:
        yield from (f"{'.'.join(map(str, e['loc']))}: {plain(e['msg'])}" for e in error.errors(include_input=False))
        return
    wanted = {f"model.{name}": tensor for name, tensor in module.state_dict().items()}
    yield from _unlike(saved.state_dict, wanted, "")
    averages = saved.callbacks.ExponentialMovingAverage
    if recipe.training.ema_decay and averages is None:
        yield "callbacks.ExponentialMovingAverage: is missing"
    elif averages is not None and averages.updates:
        learned = {f"model.{name}": t for name, t in (*module.named_parameters(), *module.named_buffers())}
        yield from _unlike(averages.averages, learned, "averaged ")
    yield from _other_optimizer(saved.optimizer_states[0], module, recipe)
    yield from _other_place(saved, recipe)
    if recipe.training.keep == "best" and saved.callbacks.KeptWeights.best_epoch:
        yield from _not_kept(run.kept_weights, module.state_dict())


def _unlike(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], what: str) -> Iterator[str]:
    """Yield where tensors are not those of the model of this run, or are no numbers."""
    yield from (f"{what}{name} is missing" for name in wanted if name not in found)
    yield from (f"{what}{name} is of another model" for name in found if name not in wanted)
    for name, tensor in found.items():
        own = wanted.get(name)
        if own is None:
            continue
        if tensor.layout != torch.strided or tensor.shape != own.shape:
            yield f"{what}{name} is {list(tensor.shape)}, not {list(own.shape)}"
        elif tensor.is_floating_point() != own.is_floating_point() or tensor.is_complex():
            yield f"{what}{name} is of {tensor.dtype}, not {own.dtype}"
        elif not tensor.isfinite().all():
            yield f"{what}{name} holds NaN or infinity"


def _other_optimizer(saved: OptimizerState, module: nn.Module, recipe: Recipe) -> Iterator[str]:
    groups = make_optimizer(module, recipe.optimizer, False).param_groups
    counts, found = [len(g["params"]) for g in groups], [len(g.get("params", ())) for g in saved.param_groups]
    if counts != found:
        yield f"its optimizer has groups of {found} parameters, not {counts}"
        return
    lacking = {"lr", "betas", "momentum"} & groups[0].keys() - saved.param_groups[0].keys()
    if lacking:
        yield f"its optimizer has no {', '.join(sorted(lacking))}: it is another one"
    elif "betas" in groups[0] and not saved.state:
        yield "its optimizer's state is empty"
    elif not recipe.optimizer.name.startswith(TIMM):
        parameters = _by_number(saved.param_groups, groups)
        needed = {"exp_avg", "exp_avg_sq", "step"} if "betas" in groups[0] else set()
        for number, state in saved.state.items():
            own = parameters.get(number)
            sizes = [value.shape for value in state.values() if isinstance(value, Tensor) and value.ndim]
            if own is None or not needed <= state.keys() or any(size != own.shape for size in sizes):
                yield f"its optimizer's state of parameter {number} is of another training"


def _by_number(saved: list[dict[str, Any]], groups: list[dict[str, Any]]) -> dict[Any, Tensor]:
    """Return the parameters by the numbers that a checkpoint gives them: FSDP's are those of the model's own order."""
    pairs = [zip(theirs["params"], ours["params"], strict=True) for theirs, ours in zip(saved, groups, strict=True)]
    return {number: own for some in pairs for number, own in some if isinstance(number, int)}


def _other_place(saved: Saved, recipe: Recipe) -> Iterator[str]:
    rows, kept = saved.callbacks.RunRecord.rows, saved.callbacks.KeptWeights
    if saved.position.epoch > recipe.schedule.epochs:
        yield f"position.epoch: {saved.position.epoch} of {recipe.schedule.epochs} epochs"
    progress: Any = saved.loops.get("fit_loop", {}).get("epoch_progress", {})
    if not isinstance(progress, dict) or progress.get("current", {}).get("processed") != saved.position.epoch:
        yield f"loops.fit_loop.epoch_progress: is not at the {saved.position.epoch} epochs of its position"
    scored = {"validation_loss"} if recipe.pretraining else SCORED
    if not all(scored & row.keys() for row in (*rows, *([saved.scores] if rows else []))):
        yield f"callbacks.RunRecord.rows, scores: without {' or '.join(sorted(scored))}"
    if len(rows) != saved.position.epoch or kept.best_epoch > len(rows):
        yield f"callbacks.RunRecord.rows: {len(rows)} after {saved.position.epoch} epochs"
    yield from (f"loops.{place}: should be a number of steps" for place in _odd(saved.loops))


def _odd(values: Any, place: str = "") -> Iterator[str]:
    """Yield the places in Lightning's counts where something else stands."""
    if isinstance(values, dict):
        for name, value in values.items():
            yield from _odd(value, f"{place}.{name}" if place else str(name))
    elif not isinstance(values, int) or not 0 <= values < 2**53:
        yield place


def _not_kept(path: Path, wanted: Mapping[str, Tensor]) -> Iterator[str]:
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        yield f"the weights of its best epoch cannot be read ({path.name}: {error})"
        return
    if shapes != {name: tuple(tensor.shape) for name, tensor in wanted.items()}:
        yield f"the weights of its best epoch are of another model ({path.name})"
