"""Stochastic depth (Huang et al. 2016, arXiv:1603.09382)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Drop a residual branch for whole samples, with probability `rate`, and scale the kept ones to the same mean."""

    def __init__(self, rate: float):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"drop_path must lie in [0, 1), given {rate}")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:  # [B, ...]
        if not self.training or self.rate == 0:
            return x
        kept = x.new_empty([len(x)] + [1] * (x.ndim - 1)).bernoulli_(1 - self.rate)
        return x * kept / (1 - self.rate)

    def residual(self, x: Tensor, branch: Callable[[Tensor], Tensor], base: Tensor | None = None) -> Tensor:
        """Return base + branch(x) [B, ...], the branch computed for the kept samples alone; the base is x, or a part.

        Not for branches in which samples meet, as in a batch's statistics. Of B samples B * rate are dropped, rounded
        and drawn together, which saves their work (Oquab et al. 2023, arXiv:2304.07193, section 5); each is drawn by
        itself where that would be none.
        """
        base = x if base is None else base
        dropped = round(len(x) * self.rate) if self.training else 0
        if dropped == 0:
            return base + self(branch(x))
        kept = torch.randperm(len(x), device=x.device)[dropped:]
        chosen = x.index_select(0, kept)  # one core alone would add up the gradient of x[kept]
        return base.index_add(0, kept, branch(chosen).to(x.dtype), alpha=len(x) / len(kept))

    def extra_repr(self) -> str:
        return f"{self.rate:.3g}"
