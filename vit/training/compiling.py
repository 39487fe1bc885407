"""Whether torch.compile works here."""

import torch

from ..errors import UserError


def check_compiler(device: str) -> None:
    """Compile something small; raises UserError, with the reason, where that fails: for want of a C++ compiler, say."""
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.ones(8, device=device))
    except Exception as error:  # torch's own kinds, a compiler's and a system's
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"training.compile: torch.compile fails here: {reason}\nset training.compile=false") from error
