"""What a number must be read with: hardware, versions, date, command."""

import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from . import __version__
from .hardware.machine import available_cores, processor_name

VERSIONS_KEPT = ("torch", "torchvision", "timm", "lightning", "albumentations", "numpy", "pillow")


def environment() -> dict[str, Any]:
    """Return what a number must be read with: hardware, versions, date, command."""
    import torch

    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "processor": processor_name(),
        "cores": available_cores(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {"vit": __version__} | {name: version(name) for name in VERSIONS_KEPT},
    }
