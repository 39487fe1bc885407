"""Patches left out in training, for the time and memory that they take (Liu et al. 2022, arXiv:2208.07220)."""

import torch
from torch import Tensor, nn


class PatchDropout(nn.Module):
    """Keep a random part of every image's patches in training, and all of the `prefix` tokens before them."""

    def __init__(self, rate: float, prefix: int):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"patch_dropout must lie in [0, 1), given {rate}")
        self.rate = rate
        self.prefix = prefix

    def forward(self, x: Tensor) -> Tensor:  # [B, prefix + patches, D] -> [B, prefix + kept, D]
        if not self.training or self.rate == 0:
            return x
        count = x.shape[1] - self.prefix
        kept = max(1, round(count * (1 - self.rate)))
        places = torch.rand(len(x), count, device=x.device).argsort(1)[:, :kept] + self.prefix  # [B, kept]
        patches = x.gather(1, places.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
        return torch.cat([x[:, : self.prefix], patches], dim=1)

    def extra_repr(self) -> str:
        return f"{self.rate:.3g}"
