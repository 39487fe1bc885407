"""Autoregression: patches in the order of reading, each predicted from those before it and from a prefix.

El-Nouby et al. 2024 (AIM), arXiv:2401.08541; GPT's objective. B images, N patches, P patch_size, D' decoder_dim.
"""

from functools import partial

import torch
from torch import Tensor, nn

from .activation_checkpointing import through_blocks
from .attention import causal_mask
from .blocks import MLP
from .mixers import is_attention
from .patch_prediction import PatchPrediction, decoder_shape
from .positions import fixed_positions
from .vision_transformer import VisionTransformer


class Autoregression(PatchPrediction):
    """A trunk whose tokens see the patches before them and a prefix, and a head that tells the next patch of each.

    The prefix, of one patch to all but one, is drawn for every image, so that the trunk learns to look both ways; in
    evaluation it is half of the patches. What the trunk makes of patch i is asked for patch i + 1, never for i, which
    it has read. The head is `decoder_depth` residual MLPs of width `decoder_dim`, for every patch alone. Raises
    ValueError for a trunk that does not mix by attention.
    """

    def __init__(
        self,
        trunk: VisionTransformer,
        *,
        decoder_dim: int | None = None,
        decoder_depth: int = 1,
        normalize_targets: bool = False,
    ):
        super().__init__(trunk, normalize_targets)
        if not all(map(is_attention, trunk.blocks)) or trunk.patch_dropout.rate:
            raise ValueError("autoregressive pretraining hides what comes later: mixer attention, no patch_dropout")
        width, _ = decoder_shape(trunk, decoder_dim)
        norm = partial(nn.LayerNorm, eps=trunk.norm_eps)
        self.embed = nn.Linear(trunk.embed_dim, width)
        self.layers = nn.ModuleList(nn.Sequential(norm(width), MLP(width, 4 * width)) for _ in range(decoder_depth))
        self.norm = norm(width)
        self.out = nn.Linear(width, 3 * trunk.patch_size**2)

    def predicted(self, images: Tensor) -> tuple[Tensor, Tensor]:
        rows, columns = self.trunk.grid_of(images)
        count = rows * columns
        known = self.known(len(images), count, images.device)  # [B]
        following = self.following(images, known)  # [B, N, 3 P P] of patches 1 to N
        predicted = torch.cat([torch.zeros_like(following[:, :1]), following[:, :-1]], dim=1)
        return predicted, (torch.arange(count, device=images.device) >= known.unsqueeze(1)).float()

    def known(self, images: int, count: int, device: torch.device) -> Tensor:
        """Return how many patches every image's prefix has: [B]."""
        if not self.training:
            return torch.full((images,), max(1, count // 2), device=device)
        return torch.randint(1, count, (images,), device=device)

    def following(self, images: Tensor, known: Tensor) -> Tensor:
        """Return what follows each patch, told of those before it and of so many first ones [B]: [B, N, 3 P P]."""
        trunk = self.trunk
        x = trunk.norm_pre(trunk.embed(images))
        mask = causal_mask(x.shape[1], device=x.device).repeat(len(x), 1, 1)
        places = torch.arange(x.shape[1], device=x.device)
        mask |= (places < trunk.num_prefix + known.unsqueeze(1)).unsqueeze(1)  # [B, N, N]
        x = trunk.norm(through_blocks(trunk.blocks, x, mask.unsqueeze(1)))[:, trunk.num_prefix :]
        x = self.embed(x) + self.places_of_next(images)
        for layer in self.layers:
            x = x + layer(x)
        return self.out(self.norm(x)).float()

    def places_of_next(self, images: Tensor) -> Tensor:
        """Return the positions of the patches that are asked for: [1, N, D']."""
        positions = fixed_positions("sincos_2d", self.trunk.grid_of(images), self.embed.out_features)
        return positions.roll(-1, dims=1).to(images)

    @torch.inference_mode()
    def pictures(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return images without their second half, and with that half drawn patch by patch, each seen by the next."""
        grid, pixels = self.trunk.grid_of(images), self.pixels(images)
        known = self.known(len(images), pixels.shape[1], images.device)
        first = int(known[0])
        drawn = pixels.clone()
        drawn[:, first:] = 0
        masked = self.joined(drawn, grid)
        for place in range(first, pixels.shape[1]):
            following = self.following(self.joined(drawn, grid), known)[:, place - 1]
            drawn[:, place] = self.in_truth(following, pixels[:, place])
        return masked, self.joined(drawn, grid)
