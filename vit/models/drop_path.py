"""Stochastic depth (Huang et al. 2016, arXiv:1603.09382)."""

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

    def extra_repr(self) -> str:
        return f"{self.rate:.3g}"
