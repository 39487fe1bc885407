"""How a loaded model is to answer: exactly, or faster with other last bits or fewer tokens."""

from dataclasses import replace

from ..errors import UserError
from ..hardware.precision import AUTOCAST_TYPES, resolve_precision
from ..kernels.packed_linear import Int8Linear, int8_supported
from ..model import Model
from ..runtimes.exported import ExportedModule
from . import token_merging
from .half_precision import HalfPrecision
from .packed_blocks import pack_blocks

PRECISIONS = (*AUTOCAST_TYPES, "int8", "auto")


def prepare(model: Model, merge_tokens: int, precision: str, device: str) -> tuple[Model, str]:
    """Return the model as it is to answer, on its device, and what that adds to the name of its results.

    With `merge_tokens` every block of a ViT merges so many pairs of tokens; in "int8" the blocks' linear maps are of
    that precision, and the rest is of bf16. Raises UserError where that cannot be.
    """
    if precision not in PRECISIONS:
        raise UserError(f"there is no precision {precision} ({', '.join(PRECISIONS)})")
    if isinstance(model.module, ExportedModule):
        if merge_tokens or precision not in ("fp32", "auto"):
            raise UserError(f"{model.source} answers as it was exported: leave --precision and --merge-tokens out")
        return model, ""
    model.module.to(device)  # first: what is packed for a CPU stays there
    told = []
    if merge_tokens:
        token_merging.merge_tokens(model.module, merge_tokens)
        told.append(f"-{merge_tokens}-merged")
    if precision == "int8":
        round_to_int8(model, device)
        dtype = AUTOCAST_TYPES["bf16"]
    else:
        precision, _ = resolve_precision(precision, device)
        dtype = AUTOCAST_TYPES[precision]
    if dtype is not None:
        model = replace(model, module=HalfPrecision(model.module, dtype))
        told.append(f"-{precision}")
    return model, "".join(told)


def round_to_int8(model: Model, device: str) -> None:
    """Let the linear maps of a model's blocks be of int8; raises UserError where they cannot."""
    if device != "cpu" or not int8_supported():
        raise UserError("precision int8 needs a CPU with instructions for it (VNNI); bf16 or auto work everywhere")
    if not pack_blocks(model.module, Int8Linear):
        raise UserError("precision int8 is for ViTs of `vit models` with GELU; bf16 or auto work for all models")
