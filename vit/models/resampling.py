"""A Vision Transformer's weights at another resolution: positions on another grid, patches of another size."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .positions import Grid


def resample_positions(
    positions: Tensor,
    old: Grid,
    new: Grid,
    *,
    mode: str = "bicubic",
    antialias: bool = True,
    align_corners: bool = False,
) -> Tensor:
    """Resample position embeddings [1, P + rows * columns, D] to another grid; the first P stay as they are.

    The filter, whether it grows where the grid shrinks, and whether the grids' corners or their edges meet, differ
    between the libraries that weights come from; the defaults are timm's.
    """
    if old == new:
        return positions
    prefix, grid = positions.split([positions.shape[1] - old[0] * old[1], old[0] * old[1]], dim=1)
    image = grid.unflatten(1, old).permute(0, 3, 1, 2).float()  # [1, D, rows, columns]
    image = F.interpolate(image, new, mode=mode, antialias=antialias, align_corners=align_corners)
    return torch.cat([prefix, image.permute(0, 2, 3, 1).flatten(1, 2).to(positions.dtype)], dim=1)


def resample_patches(weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample a patch embedding's kernel [D, 3, height, width] to another patch size.

    By the pseudo-inverse of the resizing R of an old patch to the new size, so that R's image of a patch is embedded as
    the patch was, exactly where the patch grows (Beyer et al. 2023, FlexiViT, arXiv:2212.08013, section 3.4).
    """
    height, width = weight.shape[2:]
    if (height, width) == size:
        return weight
    basis = torch.eye(height * width, dtype=torch.float64).view(-1, 1, height, width)
    resize = F.interpolate(basis, size, mode="bicubic", antialias=True).flatten(1)  # [old pixels, new pixels]
    return (weight.double().flatten(2) @ torch.linalg.pinv(resize).T).unflatten(-1, size).to(weight.dtype)
