"""Which part of a pretrained model learns: all of it, its head alone, its last blocks, or adapters inside it."""

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import UserError
from ..models.interface import matrices_in_blocks, parameters_within, structure_of
from ..models.layers import parameters_by_layer
from ..recipe import Tuning


def prepare(module: nn.Module, tuning: Tuning) -> "Adapters | None":
    """Freeze what the recipe keeps as it is; with LoRA, put adapters into the module and return the way to merge them.

    Raises UserError for more blocks than there are, and for adapters in a model that has no place for them.
    """
    adapters = Adapters(module, tuning) if tuning.trainable == "lora" else None
    if tuning.trainable == "head":
        _learn_only(module, _of_heads(module))
    elif isinstance(tuning.trainable, int):
        _learn_only(module, _last_layers(module, tuning.trainable))
    if tuning.freeze_batch_norm:
        for norm in batch_norms(module):
            norm.requires_grad_(False)
    return adapters


class Adapters:
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) in every matrix of the blocks, by peft."""

    def __init__(self, module: nn.Module, tuning: Tuning):
        try:
            from peft import LoraConfig
            from peft.tuners.lora import LoraModel
        except ImportError as error:
            raise UserError(
                "tuning.trainable=lora needs peft: uv sync --extra lora, or in a clone of the repository: "
                "pip install '.[lora]'"
            ) from error
        matrices = matrices_in_blocks(module)
        if not matrices:
            raise UserError(
                "tuning.trainable=lora needs the blocks of a Vision Transformer; for other models: head, or a number"
            )
        config = LoraConfig(r=tuning.lora_rank, lora_alpha=tuning.lora_alpha, target_modules=matrices)
        self._model: Any = LoraModel(module, {"default": config}, "default")
        heads = _of_heads(module)
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(parameter.requires_grad or name in heads)

    def merge(self) -> None:
        """Add the adapters to the matrices that they stand beside, and take them out of the module."""
        self._model.merge_and_unload()


def batch_norms(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


def keep_frozen_statistics(module: nn.Module) -> None:
    """Let the BatchNorms that do not learn use their statistics, and not collect new ones."""
    for norm in batch_norms(module):
        if not any(parameter.requires_grad for parameter in norm.parameters()):
            norm.eval()


def _of_heads(module: nn.Module) -> set[str]:
    return set(parameters_within(module, structure_of(module).heads))


def _last_layers(module: nn.Module, count: int) -> set[str]:
    layers = parameters_by_layer(module)
    blocks = len(layers) - 2
    if count > blocks:
        raise UserError(f"tuning.trainable={count}: the model has {blocks} blocks; give at most {blocks}, or all")
    return {name for layer in layers[-count - 1 :] for name in layer}


def _learn_only(module: nn.Module, names: set[str]) -> None:
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in names)
