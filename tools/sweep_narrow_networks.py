"""Train narrow networks for a step each, in processes that may crash: a kernel of a library may write past its memory.

    uv run tools/sweep_narrow_networks.py            # every network, width, image size, precision and layout; hours
    uv run tools/sweep_narrow_networks.py --quick    # those that once crashed, and a few of each kind; a minute
    uv run tools/sweep_narrow_networks.py --only resnet_basic --only timm/lcnet_035 --every 7

A step is an image batch forward, and the way back of a sum of logits by drawn numbers; loss and gradients are compared
with the same network in float64, and may differ by what rounding does there: by a few times as much as numbers that are
disturbed in their last bits, since a ReLU may lie on its other side then, and a BatchNorm over few pixels magnifies.
A process works at many shapes and says which; when it crashes, hangs or is wrong, the
next one goes on behind it, and the last shapes are tried again alone, since damage to the heap may show late. Prints
what failed, and a row for every kind of network; ends with 1 where anything failed.
"""

import argparse
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

SECONDS_A_SHAPE = 120  # until it is said to hang; timm's first import lies within
LOOKED_BACK = 12  # shapes before a crash, which may be the ones to blame
ALONE = 3  # tries of each of them
BATCH = 4
SIZES = (16, 24, 32, 40, 48, 56, 64, 72, 80, 96, 112, 128, 160, 192, 224, 256)
WIDTHS = (4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64)
ATTENTION = ("se", "eca", "cbam", "spatial")
TIMM = (
    "efficientnet_lite0",
    "fbnetc_100",
    "ghostnet_050",
    "hardcorenas_a",
    "lcnet_035",
    "mixnet_s",
    "mobilenetv2_035",
    "mobilenetv3_small_050",
    "mobileone_s0",
    "regnetx_002",
    "regnety_002",
    "repvgg_a0",
    "resnet10t",
    "resnet14t",
    "resnetv2_18",
    "semnasnet_050",
    "skresnet18",
    "test_byobnet",
    "test_convnext",
    "test_efficientnet",
    "test_mambaout",
    "test_nfnet",
    "test_resnet",
    "tf_efficientnet_lite0",
    "tf_mobilenetv3_small_minimal_100",
    "tinynet_e",
)
TOLERANCE = {"fp32": 2e-3, "bf16": 0.35}  # of the norm of all gradients, where disturbing does less
ROUNDING = {"fp32": 1e-6, "bf16": 4e-3}  # relative, of sums over a few hundred numbers
DISTURBED, TIMES = 4, 4.0  # draws, and how many times the largest of their errors is allowed


@dataclass(frozen=True)
class Shape:
    """One step of a network: which, how narrow, at which image size, precision and layout."""

    network: str
    width: int
    size: int
    attention: str = "none"
    precision: str = "fp32"
    channels_last: bool = True
    threads: int = 2

    def __str__(self) -> str:
        words = [self.network, f"width {self.width}", f"{self.size} pixels", self.precision]
        words += [] if self.attention == "none" else [self.attention]
        words += ["channels last" if self.channels_last else "channels first", f"{self.threads} threads"]
        return ", ".join(words)


def shapes(quick: bool) -> list[Shape]:
    """Return what is tried; every network of ours is as deep as one block a stage."""
    if quick:
        narrow = [Shape("resnet_basic", w, s, threads=1) for w, s in product((4, 6, 8, 12), (16, 32, 56, 64))]
        others = [Shape("resnet_bottleneck", 4, 32), Shape("resnet_basic", 4, 80), Shape("vit", 4, 32)]
        attention = [Shape("resnet_basic", 4, 32, a, precision) for a in ATTENTION for precision in TOLERANCE]
        return narrow + others + attention + [Shape("timm/test_resnet", 0, 64), Shape("timm/test_byobnet", 0, 64)]
    ways = list(product(TOLERANCE, (True, False)))
    found = [
        Shape(network, width, size, "none", precision, last, threads)
        for network, width, size, (precision, last), threads in product(
            ("resnet_basic", "resnet_bottleneck", "resnet_cifar"), WIDTHS, SIZES, ways, (1, 2)
        )
        if size <= 128 or (threads == 2 and width <= 32)
    ]
    found += [
        Shape("resnet_basic", width, size, attention, precision, last)
        for attention, width, size, (precision, last) in product(ATTENTION, WIDTHS, SIZES, ways)
        if size in (16, 32, 56, 64, 96, 128) and width <= 48
    ]
    found += [
        Shape("vit", width, size, precision=precision)
        for width, size, precision in product((4, 8, 12, 16, 24, 32, 48, 64), SIZES, TOLERANCE)
    ]
    found += [
        Shape(f"timm/{name}", 0, size, "none", precision, last)
        for name, size, (precision, last) in product(TIMM, (32, 48, 56, 64, 80, 96, 128, 160), ways)
    ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="train narrow networks for a step each")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", metavar="NETWORK", help="of the whole sweep, these networks")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each N-th of them alone")
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    wanted = [shape for shape in shapes(given.quick) if not given.only or shape.network in given.only][:: given.every]
    arguments = [f"--only={name}" for name in given.only or ()] + ["--quick"] * given.quick + [f"--every={given.every}"]
    if given.child:
        work(wanted, *given.child)
        return
    failed = sweep(wanted, arguments)
    counts, bad = Counter(s.network for s in wanted), Counter(wanted[i].network for i in failed)
    for i, how in failed.items():
        print(f"{wanted[i]}: {how}")
    print("network | shapes | failed\n--- | --- | ---")
    print("\n".join(f"{name} | {count} | {bad[name]}" for name, count in counts.items()))
    sys.exit(bool(failed))


def sweep(wanted: list[Shape], arguments: list[str]) -> dict[int, str]:
    """Return the numbers of the shapes that failed, and how."""
    failed: dict[int, str] = {}
    start = 0
    while start < len(wanted):
        begun = start
        for number, how in outcomes(arguments, start, len(wanted)):
            start = number + 1
            if how.startswith("wrong"):
                failed[number] = how
            elif how != "right":
                print(f"{wanted[number]}: {how}; looking back", file=sys.stderr, flush=True)
                failed |= to_blame(arguments, max(begun, number - LOOKED_BACK), number, how)
    return failed


def to_blame(arguments: list[str], first: int, last: int, how: str) -> dict[int, str]:
    """Return which of the shapes up to a crash fail alone; the last one where none does."""
    alone: dict[int, str] = {}
    for number in range(first, last + 1):
        for _ in range(ALONE):
            found = dict(outcomes(arguments, number, number + 1))[number]
            if found != "right":
                alone[number] = found
                break
    return alone or {last: f"{how} (behind others alone)"}


def outcomes(arguments: list[str], start: int, end: int) -> Iterator[tuple[int, str]]:
    """Yield each shape's number and how it went, from one process, up to the first that ends it."""
    command = [sys.executable, __file__, *arguments, "--child", str(start), str(end)]
    surroundings = os.environ | {"MALLOC_PERTURB_": "165"}  # freed memory is no longer what it was
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=surroundings) as child:
        assert child.stdout is not None
        working_at = start
        deadline, rest = time.monotonic() + SECONDS_A_SHAPE, b""
        while True:
            ready, _, _ = select.select([child.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                child.kill()
                yield working_at, "hangs"
                return
            told = os.read(child.stdout.fileno(), 65536)
            if not told:
                break
            *lines, rest = (rest + told).split(b"\n")
            for line in lines:
                number, how = line.decode().split(" ", 1)
                deadline = time.monotonic() + SECONDS_A_SHAPE
                if how == "begun":
                    working_at = int(number)
                else:
                    yield int(number), how
                    working_at = int(number) + 1
        status = child.wait()
    if status < 0:
        yield min(working_at, end - 1), f"ends by {signal.Signals(-status).name}"
    elif status:
        yield min(working_at, end - 1), f"ends with status {status}"


def work(wanted: list[Shape], start: int, end: int) -> None:
    for number in range(start, end):
        print(number, "begun", flush=True)
        print(number, step(wanted[number]), flush=True)


def step(shape: Shape) -> str:
    """Return "right", or how a step of a network differs from its double in float64."""
    import torch

    torch.set_num_threads(shape.threads)
    torch.manual_seed(0)
    module = without_chance(network(shape))
    double = without_chance(network(shape))
    double.load_state_dict(module.state_dict())
    double = double.double().to(memory_format=torch.contiguous_format)
    layout = torch.channels_last if shape.channels_last else torch.contiguous_format
    module = module.to(memory_format=layout)
    images = torch.randn(BATCH, 3, shape.size, shape.size)
    with torch.autocast("cpu", torch.bfloat16, enabled=shape.precision == "bf16"):
        logits = module(images.to(memory_format=layout))
    draw = torch.randn(logits.shape)
    found = way_back(module, logits, draw)
    expected = way_back(double, double(images.double()), draw)
    errors = distances(found, expected, draw)
    limits = [TOLERANCE[shape.precision]] * 2
    if max(errors) > limits[0]:
        noise = [disturbed(double, images, draw, ROUNDING[shape.precision]) for _ in range(DISTURBED)]
        noisy = [distances(each, expected, draw) for each in noise]
        limits = [max(limit, TIMES * max(each)) for limit, each in zip(limits, zip(*noisy, strict=True), strict=True)]
    right = all(error <= limit for error, limit in zip(errors, limits, strict=True))
    told = ", ".join(f"{error:.1g} (allowed {limit:.1g})" for error, limit in zip(errors, limits, strict=True))
    return "right" if right else f"wrong: gradients and loss by {told}"


def without_chance(module: Any) -> Any:
    """Return a network in training whose step is a function of its weights and images."""
    from torch import nn

    from vit.models.drop_path import DropPath

    module.train()
    for part in module.modules():
        if isinstance(part, nn.Dropout | DropPath) or "drop" in type(part).__name__.lower():
            part.eval()
        if isinstance(part, nn.BatchNorm2d) and part.weight is not None:
            nn.init.uniform_(part.weight, 0.5, 1.5)
    return module


def way_back(module: Any, logits: Any, draw: Any) -> tuple[Any, Any]:
    """Return the gradients of all parameters, one behind the other, and the loss, in float64."""
    import torch

    module.zero_grad()
    loss = (logits.double() * draw.double()).sum()
    loss.backward()
    gradients = [p.grad.double().flatten() for p in module.parameters() if p.grad is not None]
    return torch.cat(gradients), loss.detach()


def disturbed(double: Any, images: Any, draw: Any, rounding: float) -> tuple[Any, Any]:
    """Return what a step in float64 gives where weights and images are off by so much."""
    from copy import deepcopy

    import torch

    other = deepcopy(double)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1 + rounding * torch.randn_like(parameter))
    images = images.double()
    return way_back(other, other(images * (1 + rounding * torch.randn_like(images))), draw)


def distances(found: tuple[Any, Any], expected: tuple[Any, Any], draw: Any) -> tuple[float, float]:
    """Return how far gradients are off, in parts of all of them, and the loss, in parts of what it is a sum by."""
    of_gradients = (found[0] - expected[0]).norm() / expected[0].norm()
    return float(of_gradients), float((found[1] - expected[1]).abs() / draw.norm())


def network(shape: Shape) -> Any:
    """Build it; torch is imported in the child alone."""
    from vit.models import build

    kind, size = shape.network, shape.size
    if kind.startswith("timm/"):
        return build(kind, num_classes=5, image_size=size)
    if kind == "vit":
        options = {"embed_dim": shape.width, "depth": 1, "num_heads": max(1, shape.width // 16), "patch_size": 8}
        return build("vit", num_classes=5, image_size=size, **options)
    depths = (1, 1, 1) if kind == "resnet_cifar" else (1, 1, 1, 1)
    block = "bottleneck" if kind == "resnet_bottleneck" else "basic"
    options = asdict(shape) | {"depths": depths, "block": block}
    chosen = {key: options[key] for key in ("width", "attention", "depths", "block")}
    return build("resnet", num_classes=5, image_size=size, **chosen)


if __name__ == "__main__":
    main()
