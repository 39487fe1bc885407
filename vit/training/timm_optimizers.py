"""The optimizers of timm, by name: what each takes, and those that cannot be used here."""

import inspect
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from ..errors import UserError, nearest
from ..recipe import TIMM
from ..recipe import Optimizer as OptimizerSettings

LOOKAHEAD = "lookahead_"  # before another name: its weights, drawn back every few steps (arXiv:1907.08610)
NOT_OPTIONS = {
    "params",
    "lr",  # with weight_decay, a key of every optimizer in a recipe
    "weight_decay",
    "maximize",  # of the loss
    "fused",  # would undo fp16's loss scaling by itself, behind the clipping
}
TRIED_SHAPES = ((8, 8), (8, 8, 3, 3), (8,))  # a matrix, a kernel, a bias


def make(groups: list[dict], settings: OptimizerSettings) -> Optimizer:
    """Return timm's optimizer over these groups; raises UserError for options that it refuses."""
    options = {name: _as_number(value) for name, value in settings.options.items()}
    try:
        return _timm().create_optimizer_v2(
            groups, settings.name.removeprefix(TIMM), settings.lr, settings.weight_decay, **options
        )
    except Exception as error:  # each of timm's, apex's and bitsandbytes' optimizers has its own kinds
        raise UserError(f"optimizer: {settings.name} refuses {_shown(settings)}: {error}") from error


def check(settings: OptimizerSettings, device: str) -> None:
    """Raise UserError for a name or an option that timm does not have, and for what cannot train here.

    A step on small parameters finds what an optimizer says of its options only then.
    """
    _check_name(settings)
    _check_options(settings)
    parameters = [nn.Parameter(torch.ones(shape, device=device)) for shape in TRIED_SHAPES]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer = make([{"params": parameters}], settings)
    try:
        trial_step(optimizer)
    except Exception as error:  # as in make
        raise UserError(f"optimizer: {settings.name} fails with {_shown(settings)}: {error}") from error


def trial_step(optimizer: Optimizer) -> None:
    """Take a step that does not have to be fast: kron would compile for its shapes, for most of a minute."""
    with torch.compiler.set_stance("force_eager"):
        optimizer.step()


def _check_name(settings: OptimizerSettings) -> None:
    name, names = _base_name(settings), _timm().list_optimizers()
    if name not in names:
        guess = nearest(name.lower(), names)
        raise UserError(f"optimizer.name: timm has no optimizer {name}{guess} (timm.optim.list_optimizers() has all)")
    if _timm().get_optimizer_info(name).second_order:
        raise UserError(f"optimizer.name: {settings.name} needs second derivatives, which training here does not take")
    try:
        kind = _timm().get_optimizer_class(name, bind_defaults=False)
    except (AssertionError, ImportError) as error:
        raise UserError(f"optimizer.name: {settings.name} cannot be used here: {error}") from error
    if hasattr(kind, "eval"):  # schedule-free ones
        raise UserError(f"optimizer.name: {settings.name} must be told of evaluation, which training here does not do")


def _check_options(settings: OptimizerSettings) -> None:
    known = _options(settings)
    mistakes = [
        f"optimizer.{name} is not an option of {settings.name}{nearest(name, known)} "
        f"(its options: {', '.join(known) or 'none'})"
        for name in settings.options
        if name not in known
    ]
    if mistakes:
        raise UserError("\n".join(mistakes))


def _options(settings: OptimizerSettings) -> list[str]:
    kind = _timm().get_optimizer_class(_base_name(settings), bind_defaults=False)
    return [name for name in inspect.signature(kind).parameters if name not in NOT_OPTIONS]


def _timm() -> Any:  # a module whose names type checkers do not see
    from timm import optim

    return optim


def _base_name(settings: OptimizerSettings) -> str:
    return settings.name.removeprefix(TIMM).removeprefix(LOOKAHEAD)


def _as_number(value: Any) -> Any:
    """Return what YAML 1.1 reads as text, 1e-8 say, as the number that is meant."""
    if isinstance(value, list | tuple):
        return tuple(_as_number(item) for item in value)
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _shown(settings: OptimizerSettings) -> str:
    options = ", ".join(f"{name}={value!r}" for name, value in settings.options.items())
    return options or "its default options"
