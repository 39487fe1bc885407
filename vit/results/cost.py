"""What a model costs: parameters, multiply-accumulates by formula, and time and memory measured on this machine."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..models.vision_transformer import VisionTransformer, all_tokens

INFERENCE_BATCH_SIZES = (8, 32, 128)
MEASURED_SECONDS = 0.3
REPEATS = 5


@dataclass(frozen=True)
class Timings:
    """Medians on one device in fp32, by all its threads: nothing else was running."""

    latency_ms: float  # of one image
    images_per_second: float  # inference at `batch_size`, the fastest of those tried
    train_images_per_second: float  # forward, backward and optimizer step at the training batch size
    batch_size: int
    train_batch_size: int
    threads: int
    device: str


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
    whole = all_tokens(module) if isinstance(module, VisionTransformer) else nullcontext()
    with torch.no_grad(), whole, _MacCounter() as counter:
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
    F.multi_head_attention_forward: _multi_head_attention_macs,
}


def measure(module: nn.Module, image_size: tuple[int, int], train_batch_size: int, device: str) -> Timings:
    """Time inference and training of a model, alone on the machine, on random images."""
    module = deepcopy(module).to(device)  # BatchNorm would remember the random images
    batch = torch.randn(train_batch_size, 3, *image_size, device=device)
    module.eval()
    with torch.inference_mode():
        latency = _seconds_of_inference(module, image_size, 1, device)
        speeds = {n: n / _seconds_of_inference(module, image_size, n, device) for n in INFERENCE_BATCH_SIZES}
    best = max(speeds, key=lambda n: speeds[n])
    training = _median_seconds(_training_step(module.train(), batch), device)
    return Timings(
        latency_ms=1000 * latency,
        images_per_second=speeds[best],
        train_images_per_second=train_batch_size / training,
        batch_size=best,
        train_batch_size=train_batch_size,
        threads=torch.get_num_threads(),
        device=torch.cuda.get_device_name() if device == "cuda" else "cpu",
    )


def _seconds_of_inference(module: nn.Module, image_size: tuple[int, int], batch_size: int, device: str) -> float:
    images = torch.randn(batch_size, 3, *image_size, device=device)
    return _median_seconds(lambda: module(images), device)


def seconds_per_training_step(
    module: nn.Module,
    image_size: tuple[int, int],
    batch_size: int,
    device: str,
    steps: int,
    autocast_dtype: torch.dtype | None = None,
) -> float:
    """Return the mean seconds of a few training steps on random images, after one that is not counted."""
    module = deepcopy(module).to(device).train()
    call = _training_step(module, torch.randn(batch_size, 3, *image_size, device=device), autocast_dtype)
    call()
    return _seconds(call, device, steps)


def _training_step(module: nn.Module, batch: Tensor, autocast_dtype: torch.dtype | None = None) -> Callable[[], object]:
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.0, weight_decay=0.0)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(batch.device.type, autocast_dtype, enabled=autocast_dtype is not None):
            loss = module(batch).float().logsumexp(-1).mean()
        loss.backward()
        optimizer.step()

    return step


def _seconds(call: Callable[[], object], device: str, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    if device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / calls


def _median_seconds(call: Callable[[], object], device: str) -> float:
    """Return the median over groups of calls; each group long enough to be timed well."""

    _seconds(call, device, 2)  # warm-up
    calls = max(1, int(MEASURED_SECONDS / REPEATS / max(_seconds(call, device, 1), 1e-6)))
    return sorted(_seconds(call, device, calls) for _ in range(REPEATS))[REPEATS // 2]
