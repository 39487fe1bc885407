"""PyTorch's files, which are pickles, read without running or importing anything that they name.

Training scripts keep their arguments, paths and scores beside the weights. torch's restricted reader stops at the first
name that it does not know; here such a name becomes a stand-in that does and keeps nothing, and the weights are read.
"""

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError

MOST_NAMES = 1_000  # of other programs, in one file
UNKNOWN = re.compile(r"Unsupported (?:global|class): GLOBAL ([\w.]+)|Trying to load unsupported GLOBAL ([\w.]+)")
SAVED_ANEW = "let the program that wrote it save the weights alone: torch.save(model.state_dict(), 'weights.pth')"


class StandIn:
    """What stands for an object of another program: made of anything, and holding nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "StandIn":
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def read(path: Path) -> tuple[Any, tuple[str, ...]]:
    """Return what a file of torch holds, and the names of other programs' objects that were left unread.

    Raises UserError for what is not whole, for TorchScript, and for a pickle that is more than weights and values.
    """
    names: dict[str, type[StandIn]] = {}
    while True:
        try:
            return _read(path, names), tuple(names)
        except pickle.UnpicklingError as error:
            name = _unknown_name(error)
            if name is None or name in names or len(names) == MOST_NAMES:
                raise UserError(
                    f"{path} holds more than weights ({name or _what(error)}), and was not opened, "
                    f"because a pickle may run programs; {SAVED_ANEW}"
                ) from error
            names[name] = type(name.rsplit(".", 1)[-1], (StandIn,), {"__module__": name.rpartition(".")[0]})
        except Exception as error:  # a damaged pickle may raise anything
            if "TorchScript" in str(error):
                raise UserError(
                    f"{path} is a TorchScript program; take its weights where you trust it: "
                    "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')"
                ) from error
            raise UserError(
                f"{path} is not a whole file of PyTorch weights ({first_reason(error)}); copy it again"
            ) from error


def _read(path: Path, names: dict[str, type[StandIn]]) -> Any:
    stand_ins: list[Any] = [(stand_in, name) for name, stand_in in names.items()]
    with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of protocols and layouts: an error follows where it matters
        return torch.load(path, map_location="cpu", weights_only=True)


def _unknown_name(error: Exception) -> str | None:
    found = UNKNOWN.search(str(error))
    return (found[1] or found[2]).removesuffix(".") if found else None


def _what(error: Exception) -> str:
    return "a pickle of a newer protocol" if "Unsupported operand" in str(error) else "objects of other programs"


def first_reason(error: Exception) -> str:
    """Return the first sentence of a library's message; never its advice, which is to load without safety."""
    text = " ".join(str(error).split()).split(". ")[0][:200]
    return type(error).__name__ if not text or "weights_only" in text or "Weights only" in text else text
