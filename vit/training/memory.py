"""How much memory a step of training takes, how much there is, and into how many parts a batch must be cut to fit."""

import weakref
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, UntypedStorage, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from ..errors import UserError
from ..hardware.machine import free_memory_bytes
from ..models.drop_path import DropPath
from ..recipe import Optimizer as OptimizerSettings
from .optim import state_bytes

# Of the free memory: kernels' scratch space, loaded batches and other processes need some. On CPUs the C library keeps
# pieces of its heap: with glibc 2.36 a process grew by up to 2.3 times what lived in it, and by 1.0 where every tensor
# was mapped on its own (8 blocks of vit_small, recomputed, 24 images of 224 pixels, fp32).
USED_SHARES = {"cpu": 0.4, "cuda": 0.8}
MEASURED_IMAGES = (2, 3)  # in two batches: BatchNorm refuses one image where one position is left
REMEDIES = (
    "training.gradient_checkpointing=true: activations computed twice, which takes longer",
    "training.precision=bf16: numbers of half the size",
    "a smaller data.image_size, or a smaller model",
)
REMEDY_OF_GPUS = "PYTORCH_ALLOC_CONF=expandable_segments:True in the environment: less is lost between pieces"


def parts_for(
    module: nn.Module,
    batch_size: int,
    image_size: tuple[int, int],
    dtype: torch.dtype | None,
    optimizer: OptimizerSettings,
    device: str,
    sharing: int = 1,
) -> int:
    """Measure a model's training on a device, and return the fewest equal parts of a batch of which each fits there.

    The weights count as if they were not there yet: room for averaged ones, and for autocast's copies. `dtype` is
    autocast's, None without; so many processes are `sharing` the memory. Raises UserError where not even one image
    fits.
    """
    image_bytes = bytes_per_image(module, image_size, dtype, device)
    weights = sum(parameter.nbytes for parameter in module.parameters())
    gradients = sum(parameter.nbytes for parameter in module.parameters() if parameter.requires_grad)
    fixed_bytes = weights + gradients + state_bytes(module, optimizer, device)
    available = available_bytes(device) // sharing
    return parts_that_fit(batch_size, image_bytes, fixed_bytes, available, USED_SHARES[device])


def parts_that_fit(batch_size: int, image_bytes: int, fixed_bytes: int, available: int, share: float) -> int:
    """Return the smallest divisor of the batch size into so many parts that one fits beside what does not depend on it.

    `fixed_bytes` are those of weights, gradients and optimizer, `image_bytes` those of an image in training; a share of
    the `available` bytes is used. Raises UserError where not even one image fits.
    """
    room = share * available - fixed_bytes
    for parts in range(1, batch_size + 1):
        if batch_size % parts == 0 and batch_size // parts * image_bytes <= room:
            return parts
    raise UserError(
        f"not even one image fits into memory: it takes {_megabytes(image_bytes)} beside {_megabytes(fixed_bytes)} of "
        f"weights, gradients and optimizer, and of {_megabytes(available)} free {share:.0%} are used\n"
        + _listed(REMEDIES)
    )


def bytes_per_image(module: nn.Module, image_size: tuple[int, int], dtype: torch.dtype | None, device: str) -> int:
    """Return how much the memory of a training step grows with each image, at the moment where it grows most.

    Counted are all tensors of the forward and the backward pass while they live, recomputed ones too, under autocast
    to `dtype` where there is one. What is as large for any batch, gradients of weights say, is not in it, nor is the
    scratch space inside a kernel. No residual branch is dropped, which would take less.
    """
    module = deepcopy(module).to(device).train()
    for part in module.modules():
        if isinstance(part, DropPath):
            part.rate = 0.0  # else other operations for other numbers of images
    fewer, more = (_bytes_by_operation(module, count, image_size, dtype, device) for count in MEASURED_IMAGES)
    if len(fewer) != len(more):
        return max(more) - max(fewer)
    return max(later - sooner for sooner, later in zip(fewer, more, strict=True))


def _bytes_by_operation(
    module: nn.Module, num_images: int, image_size: tuple[int, int], dtype: torch.dtype | None, device: str
) -> list[int]:
    module.zero_grad()
    with torch.random.fork_rng(devices=[]), _LiveBytes() as live:
        images = torch.zeros(num_images, 3, *image_size, device=device)
        with torch.autocast(device, dtype, enabled=dtype is not None):
            loss = module(images).float().logsumexp(-1).sum()
        loss.backward()
    return live.by_operation


class _LiveBytes(TorchDispatchMode):
    """Add up the storages that operations make, for as long as anything holds them; `by_operation` has every sum."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.by_operation: list[int] = []
        self.known: Any = WeakIdKeyDictionary()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.count(tensor.untyped_storage())
        self.by_operation.append(self.bytes)
        return result

    def count(self, storage: UntypedStorage) -> None:
        if storage not in self.known:
            self.known[storage] = True
            self.bytes += storage.nbytes()
            weakref.finalize(storage, self.forget, storage.nbytes())

    def forget(self, size: int) -> None:
        self.bytes -= size


def available_bytes(device: str) -> int:
    """Return the bytes that this process can still take: of the GPU's memory, or of the machine's and its container's.

    Raises UserError where the system does not tell.
    """
    if device == "cuda":
        held = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()  # by torch, for later
        return torch.cuda.mem_get_info()[0] + held
    return free_memory_bytes()


def out_of_memory_message(num_images: int, image_size: tuple[int, int], parts: int, device: str) -> str:
    """Say what was asked of memory, and what helps: a step in `parts` parts of `num_images` images of one size."""
    asked = f"a step in {parts} parts of {num_images}" if parts > 1 else f"a step of {num_images}"
    kind = "GPU memory" if device == "cuda" else "memory"
    factor = next((factor for factor in range(2, num_images + 1) if num_images % factor == 0), None)
    smaller = [f"training.accumulate=auto, or {parts * factor}: the step in smaller parts"] if factor else []
    size = " x ".join(map(str, image_size))
    remedies = [*smaller, *REMEDIES, *[REMEDY_OF_GPUS] * (device == "cuda")]
    return f"out of {kind}: {asked} images of {size} pixels\n" + _listed(remedies)


def _listed(remedies: Sequence[str]) -> str:
    return "\n".join(["what helps, in this order, where it is not set already:", *(f"  {line}" for line in remedies)])


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
