"""How a loaded model is to answer: exactly, or faster with other last bits or fewer tokens."""

from dataclasses import replace

from ..checkpoint import Loaded
from ..models import token_merging
from ..models.inference import HalfPrecision
from ..training.precision import AUTOCAST_TYPES, resolve_precision


def ready(loaded: Loaded, merge_tokens: int, precision: str, device: str) -> tuple[Loaded, str]:
    """Return the model as it is to answer on a device, and what that adds to the name of its results.

    With `merge_tokens` every block of a ViT merges so many pairs of tokens. Raises UserError where they cannot.
    """
    told = []
    if merge_tokens:
        token_merging.merge_tokens(loaded.module, merge_tokens)
        told.append(f"-{merge_tokens}-merged")
    precision, _ = resolve_precision(precision, device)
    dtype = AUTOCAST_TYPES[precision]
    if dtype is not None:
        loaded = replace(loaded, module=HalfPrecision(loaded.module, dtype))
        told.append(f"-{precision}")
    return loaded, "".join(told)
