"""What is measured once on a machine, and read from a file ever after."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from ..machine import processor_name
from ..run_folder import read_json, write_text

MEMORY = Path.home() / ".cache" / "vit" / "measured.json"


def remembered(what: str, device: str, measure: Callable[[], float]) -> float:
    """Return a measurement of this machine, number of threads and torch version, made now if it was never before."""
    hardware = torch.cuda.get_device_name() if device == "cuda" else processor_name()
    key = f"{what}: {hardware}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    try:
        known = read_json(MEMORY)
    except (OSError, json.JSONDecodeError):
        known = {}
    if key not in known:
        known[key] = measure()
        with suppress(OSError):  # a home that cannot be written costs a measurement a run
            write_text(MEMORY, json.dumps(known, indent=2))
    return known[key]
