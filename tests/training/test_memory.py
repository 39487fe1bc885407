"""Memory: what a step takes, against what autograd and the process hold; what there is; what fits; what helps."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.distributed import DistBackendError

from vit import UserError, create_model
from vit.hardware.machine import is_out_of_memory
from vit.models.activation_checkpointing import checkpoint_activations
from vit.recipe import Optimizer
from vit.training.memory import bytes_per_image, out_of_memory_message, parts_for, parts_that_fit

SIZE = (32, 32)
MODELS = {
    "vit": {"embed_dim": 48, "depth": 3, "num_heads": 3, "patch_size": 4, "drop_path": 0.1},
    "resnet_cifar": {"attention": "cbam"},
    "timm/test_efficientnet": {},
}
DTYPES = [None, torch.bfloat16]


def build(name: str, recomputed: bool = False) -> nn.Module:
    module = create_model(name, num_classes=5, image_size=SIZE, **MODELS[name])
    if recomputed:
        checkpoint_activations(module)
    return module


def saved_bytes(module: nn.Module, num_images: int, dtype: torch.dtype | None) -> int:
    """Return the bytes of what autograd keeps between forward and backward, parameters excepted."""
    kept: dict[int, torch.UntypedStorage] = {}
    parameters = {parameter.untyped_storage()._cdata for parameter in module.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", dtype, enabled=dtype is not None):
        loss = module.train()(torch.zeros(num_images, 3, *SIZE)).float().logsumexp(-1).sum()
    assert loss.requires_grad
    return sum(storage.nbytes() for key, storage in kept.items() if key not in parameters)


@pytest.mark.parametrize("dtype", DTYPES, ids=["fp32", "bf16"])
@pytest.mark.parametrize("name", MODELS)
def test_an_image_takes_what_autograd_keeps_of_it_and_a_little_more(name: str, dtype: torch.dtype | None) -> None:
    module = build(name)
    saved = saved_bytes(module, 5, dtype) - saved_bytes(module, 4, dtype)
    assert saved <= bytes_per_image(module, SIZE, dtype, "cpu") < 1.25 * saved


@pytest.mark.parametrize("drop_path", [0.1, 0.17, 0.2, 0.25, 0.3, 0.5])
def test_no_branch_is_dropped_where_memory_is_measured(drop_path: float) -> None:
    """Of 2 and of 3 images other numbers are dropped, and so other operations would be compared."""
    sizes = {"num_classes": 5, "image_size": SIZE} | MODELS["vit"]
    whole, dropping = (create_model("vit", **sizes | {"drop_path": rate}) for rate in (0.0, drop_path))
    assert bytes_per_image(dropping, SIZE, None, "cpu") == bytes_per_image(whole, SIZE, None, "cpu")
    assert dropping.blocks[-1].drop_path.rate == drop_path


class ImageByImage(nn.Module):
    """More operations for more images, as our own attention in bf16 takes for many tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.conv(image).relu().mean((2, 3)) for image in images.split(1)])


def test_operations_may_grow_with_the_images() -> None:
    module = ImageByImage()
    saved = saved_bytes(module, 3, None) - saved_bytes(module, 2, None)
    assert bytes_per_image(module, SIZE, None, "cpu") == pytest.approx(saved, rel=0.01)


@pytest.mark.parametrize("name", MODELS)
def test_recomputed_activations_are_counted_while_they_live(name: str) -> None:
    plain, recomputed = build(name), build(name, recomputed=True)
    kept = saved_bytes(recomputed, 5, None) - saved_bytes(recomputed, 4, None)
    assert kept < bytes_per_image(recomputed, SIZE, None, "cpu") < 0.75 * bytes_per_image(plain, SIZE, None, "cpu")


def test_measuring_changes_nothing() -> None:
    module = build("resnet_cifar").eval()
    before, random = {key: value.clone() for key, value in module.state_dict().items()}, torch.get_rng_state()
    measured = {bytes_per_image(module, SIZE, None, "cpu") for _ in range(2)}
    assert len(measured) == 1
    assert all(value.equal(before[key]) for key, value in module.state_dict().items())
    assert not module.training and all(parameter.grad is None for parameter in module.parameters())
    assert torch.get_rng_state().equal(random)


STEPS = """
from pathlib import Path
import torch
from vit import create_model
from vit.models.activation_checkpointing import checkpoint_activations
from vit.training.memory import bytes_per_image

def peak(num_images):
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    module(torch.zeros(num_images, 3, 64, 64)).logsumexp(-1).sum().backward()
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])

torch.set_num_threads(1)
module = create_model("vit_tiny", num_classes=5, image_size=64, depth=4, patch_size=4).train()
for change in (lambda module: None, checkpoint_activations):
    change(module)
    image_bytes = bytes_per_image(module, (64, 64), None, "cpu")
    peak(2)  # with the gradients
    print((peak(22) - peak(2)) / (20 * image_bytes))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's C library can be told to give back what is freed")
def test_the_process_grows_by_what_was_measured() -> None:
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", STEPS]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert [float(line) for line in shown.stdout.split()] == pytest.approx([1.0, 1.0], abs=0.1)


@pytest.mark.parametrize(
    ("batch_size", "image_bytes", "fixed_bytes", "available", "parts"),
    [
        (64, 10, 0, 800, 1),  # 640 of 640 usable
        (64, 10, 0, 799, 2),
        (64, 10, 320, 800, 2),
        (64, 10, 600, 800, 16),
        (64, 10, 630, 800, 64),
        (7, 10, 0, 80, 7),  # a prime has no other parts
        (12, 10, 0, 80, 2),
        (12, 10, 0, 60, 3),
        (12, 10, 0, 20, 12),
        (1, 10, 0, 13, 1),
    ],
)
def test_the_fewest_parts_that_fit(
    batch_size: int, image_bytes: int, fixed_bytes: int, available: int, parts: int
) -> None:
    assert parts_that_fit(batch_size, image_bytes, fixed_bytes, available, 0.8) == parts


def test_an_image_that_does_not_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(UserError) as caught:
        parts_that_fit(8, 50_000_000, 900_000_000, 1_000_000_000, 0.8)
    for words in ("takes 50 MB beside 900 MB of weights", "of 1,000 MB free 80% are used", "gradient_checkpointing"):
        assert words in str(caught.value)


def test_parts_of_a_real_model(monkeypatch: pytest.MonkeyPatch) -> None:
    module = build("vit")
    image, weights = bytes_per_image(module, SIZE, None, "cpu"), sum(p.nbytes for p in module.parameters())
    for optimizer, copies in (("adamw", 4), ("sgd", 3), ("timm/adan", 6)):
        usable = copies * weights + 17 * image  # 16 images fit, and a few bytes of counted steps
        monkeypatch.setattr("vit.training.memory.available_bytes", lambda _, usable=usable: usable / 0.4)
        assert parts_for(module, 64, SIZE, None, Optimizer(name=optimizer), "cpu") == 4


EXHAUSTED = """
import resource
import torch
from vit.hardware.machine import is_out_of_memory
from vit import create_model

torch.set_num_threads(1)
module = create_model("vit_tiny", num_classes=5, image_size=64, depth=4, patch_size=4)
module(torch.zeros(2, 3, 64, 64)).sum().backward()
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 300_000_000, resource.RLIM_INFINITY))
for call in (
    lambda: module(torch.zeros(500, 3, 64, 64)).sum().backward(),
    lambda: torch.zeros(2_000_000_000),
    lambda: bytearray(2_000_000_000),
):
    try:
        call()
    except Exception as error:
        print(type(error).__name__, is_out_of_memory(error))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux lets a process limit its memory")
def test_memory_that_ran_out_is_recognised() -> None:
    shown = subprocess.run([sys.executable, "-c", EXHAUSTED], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == ["RuntimeError True", "RuntimeError True", "MemoryError True"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] data. DefaultCPUAllocator: not enough memory: you tried"), True),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"), True),
        (torch.AcceleratorError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (DistBackendError("NCCL error: unhandled cuda error, NCCL version 2.30\nCuda failure 2 'out of memory'"), True),
        (DistBackendError("NCCL error: unhandled cuda error (run with NCCL_DEBUG=INFO for details)"), True),
        (DistBackendError("NCCL error: unhandled cuda error\nCuda failure 700 'illegal memory access'"), False),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("DefaultCPUAllocator: can't allocate memory"), False),
    ],
)
def test_other_errors_are_told_apart(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_the_message_names_what_was_asked_and_what_helps_in_order() -> None:
    lines = out_of_memory_message(128, (224, 224), 4, "cuda").splitlines()
    assert lines[0] == "out of GPU memory: a step in 4 parts of 128 images of 224 x 224 pixels"
    words = ["training.accumulate=auto, or 8", "gradient_checkpointing=true", "precision=bf16", "a smaller data.image_"]
    assert all(word in line for word, line in zip(words, lines[2:-1], strict=True))
    assert "PYTORCH_ALLOC_CONF=expandable_segments:True" in lines[-1]
    assert "PYTORCH_ALLOC_CONF" not in out_of_memory_message(128, (224, 224), 4, "cpu")


@pytest.mark.parametrize(("num_images", "parts"), [(9, "3: "), (7, "7: ")])
def test_the_parts_that_help_divide_the_batch(num_images: int, parts: str) -> None:
    assert f"training.accumulate=auto, or {parts}" in out_of_memory_message(num_images, (8, 8), 1, "cpu")


def test_one_image_is_not_cut() -> None:
    message = out_of_memory_message(1, (224, 112), 64, "cpu")
    assert message.startswith("out of memory: a step in 64 parts of 1 images of 224 x 112 pixels")
    assert "accumulate" not in message
