"""What is measured once on a machine, and read from a file ever after."""

import json
from collections.abc import Callable
from contextlib import suppress

import torch

from ..files import read_memory, write_text
from ..places import cache_folder
from .machine import processor_name


def measured_once(what: str, device: str, measure: Callable[[], float]) -> float:
    """Return a measurement of this machine, number of threads and torch version, made now if it was never before."""
    hardware = torch.cuda.get_device_name() if device == "cuda" else processor_name()
    memory = cache_folder() / "measured.json"
    key = f"{what}: {hardware}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    known = read_memory(memory) or {}
    if not isinstance(known.get(key), int | float):
        known[key] = measure()
        with suppress(OSError):  # a home that cannot be written costs a measurement a run
            write_text(memory, json.dumps(known, indent=2))
    return known[key]
