"""How much a model is: its parameters, and by formula the multiply-accumulates of an image."""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .vision_transformer import all_tokens


def count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def count_macs(module: nn.Module, image_size: tuple[int, int]) -> int:
    """Return the multiply-accumulates of one image's forward pass: convolutions, linear maps, attention's products.

    Each operation is counted by its formula from the shapes it is called with. PyTorch's FlopCounterMode counts no
    attention on a CPU, and fvcore none that is fused. All tokens of a Vision Transformer's last block count, as in
    published tables, though those that the head does not see are not computed.
    """
    parameter = next(module.parameters())
    training = module.training
    with torch.no_grad(), all_tokens(module), _MacCounter() as counter:
        module.eval()(torch.zeros(1, 3, *image_size, device=parameter.device, dtype=parameter.dtype))
    module.train(training)
    return counter.macs


class _MacCounter(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if function in _FORMULAS:
            self.macs += _FORMULAS[function](args, kwargs or {}, result)
        return result


def _linear_macs(args: tuple, kwargs: dict, result: Tensor) -> int:
    return result.numel() * args[0].shape[-1]


def _convolution_macs(args: tuple, kwargs: dict, result: Tensor) -> int:
    weight = args[1] if len(args) > 1 else kwargs["weight"]
    return result.numel() * prod(weight.shape[1:])  # input channels of the group, times the kernel


def _attention_macs(args: tuple, kwargs: dict, result: Tensor) -> int:
    query, key, value = args[:3]
    scores = query.numel() // query.shape[-1] * key.shape[-2]
    return scores * (query.shape[-1] + value.shape[-1])  # q k', then its softmax times v


def _multi_head_attention_macs(args: tuple, kwargs: dict, result: tuple[Tensor, Tensor | None]) -> int:
    """Count torch's own attention, [tokens, images, width] in and out: q, k, v, the products, and the way back."""
    query, key = args[0], args[1]
    queries, keys, width = query.numel(), key.numel(), query.shape[-1]  # numbers of values, tokens times width
    projections = (2 * queries + 2 * keys) * width
    return projections + 2 * queries * key.shape[0]


def _lstm_macs(args: tuple, kwargs: dict, result: tuple[Tensor, ...]) -> int:
    """Count every matrix of a recurrent layer once a place of a sequence."""
    places = args[0].numel() // args[0].shape[-1]
    return places * sum(weight.numel() for weight in args[2] if weight.ndim == 2)


def _einsum_macs(args: tuple, kwargs: dict, result: Tensor) -> int:
    """Count a product of two tensors: every output value sums over the indices that do not come out."""
    inputs, output = args[0].replace(" ", "").split("->")
    operands = args[1] if isinstance(args[1], list | tuple) else args[1:]
    sizes = {
        letter: size
        for names, operand in zip(inputs.split(","), operands, strict=True)
        for letter, size in zip(reversed(names.replace("...", "")), reversed(operand.shape), strict=False)
    }
    return result.numel() * prod(size for letter, size in sizes.items() if letter not in output)


_FORMULAS: dict[Any, Callable[[tuple, dict, Any], int]] = {
    F.linear: _linear_macs,
    F.conv1d: _convolution_macs,
    F.conv2d: _convolution_macs,
    F.scaled_dot_product_attention: _attention_macs,
    torch.matmul: _linear_macs,
    Tensor.matmul: _linear_macs,
    Tensor.__matmul__: _linear_macs,
    torch.bmm: _linear_macs,
    torch.einsum: _einsum_macs,
    torch.lstm: _lstm_macs,
    F.multi_head_attention_forward: _multi_head_attention_macs,
}
