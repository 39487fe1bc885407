"""A model is built of no more than the file that asks for it holds."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..errors import UserError

MAKERS = frozenset(
    {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.arange, torch.linspace}
)
NUMBERS_BESIDE, TIMES_THE_NUMBERS = 2**26, 4  # masks, positions and other buffers that no file keeps
TENSORS_BESIDE, TIMES_THE_TENSORS = 4_096, 32


class Bounded(TorchFunctionMode):
    """Within it a module may be built of little more tensors and numbers than a file's; else UserError is raised.

    A file from strangers may name any width and depth, which would fill the memory before its tensors are looked at.
    """

    def __init__(self, tensors: Mapping[str, Tensor], source: str):
        super().__init__()
        self.source = source
        self.tensors = TENSORS_BESIDE + TIMES_THE_TENSORS * len(tensors)
        self.numbers = NUMBERS_BESIDE + TIMES_THE_NUMBERS * sum(tensor.numel() for tensor in tensors.values())

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function in MAKERS:
            plain = {key: value for key, value in kwargs.items() if key not in ("generator", "out", "pin_memory")}
            self.tensors -= 1
            self.numbers -= function(*args, **plain | {"device": "meta"}).numel()
            if self.tensors < 0 or self.numbers < 0:
                raise UserError(
                    f"{self.source} asks for a larger model than its tensors are of: fetch it again, from where you "
                    "trust it"
                )
        return function(*args, **kwargs)
