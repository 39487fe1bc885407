"""A training step, and an inference, repeated: ours as `vit train` and `vit predict` take it, the peers' as they do."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..hardware.machine import keep_freed_memory
from ..hardware.precision import AUTOCAST_TYPES
from ..inference.half_precision import HalfPrecision
from ..kernels.choose import choose_kernels
from .cases import NUM_CLASSES, BenchmarkCase
from .peers import BUILDERS, Settings, Subject, optimizer_of
from .rounds import Work
from .rows import OURS

Step = Callable[[], object]


@dataclass(frozen=True)
class Entry:
    """A system in a case: who, with which settings, in which precision, where."""

    system: str
    settings: Settings
    case: BenchmarkCase
    precision: str
    device: str


def prepare(task: str, entry: Entry, seconds: float, threads: int) -> Work:
    """Return as many whole steps as take about so long."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if entry.system == OURS and entry.device == "cpu":
        keep_freed_memory()
    step = TASKS[task](entry, subject(entry))

    def repeated(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            step()
        if entry.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    repeated(1)  # compiles
    count = max(1, round(seconds / repeated(1)))

    def work() -> int:
        repeated(count)
        return count * entry.case.batch_size

    return work


def subject(entry: Entry) -> Subject:
    built = BUILDERS[entry.system](entry.case, entry.settings)
    module = built.module.to(entry.device)
    if entry.settings.channels_last:
        module = module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if entry.settings.compiled:
        module.compile()
    return built


def training_step(entry: Entry, subject: Subject) -> Step:
    """Forward, loss, backward, AdamW."""
    module = subject.module.train()
    if entry.system == OURS:
        size = (entry.case.image_size, entry.case.image_size)
        choose_kernels(module, size, entry.precision, entry.device)
    optimizer = optimizer_of(entry.system, module, entry.settings)
    images = random_images(entry)
    labels = torch.randint(NUM_CLASSES, (len(images),), device=entry.device)
    dtype = AUTOCAST_TYPES[entry.precision]

    def step() -> None:
        with torch.autocast(entry.device, dtype, enabled=dtype is not None):
            loss = F.cross_entropy(subject.call(images).float(), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()  # no gradients while others take their turns

    return step


def inference_step(entry: Entry, subject: Subject) -> Step:
    subject.module.eval()
    images = random_images(entry)
    dtype = AUTOCAST_TYPES[entry.precision]
    if entry.system == OURS and dtype is not None:
        module = HalfPrecision(subject.module, dtype)
        subject = Subject(module, module)

    def step() -> None:
        with torch.inference_mode(), torch.autocast(entry.device, dtype, enabled=dtype is not None):
            subject.call(images)

    return step


def random_images(entry: Entry) -> torch.Tensor:
    size = entry.case.image_size
    images = torch.randn(entry.case.batch_size, 3, size, size, device=entry.device)
    return images.contiguous(memory_format=torch.channels_last) if entry.settings.channels_last else images


TASKS: dict[str, Callable[[Entry, Subject], Step]] = {"train": training_step, "infer": inference_step}
