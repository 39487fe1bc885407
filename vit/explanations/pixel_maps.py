"""Maps that any model has, whatever is in it: gradients along a path, and what is lost where a cell is covered.

B images [B, 3, height, width] as the model takes them; zero is the mean colour that its preprocessing subtracts.
"""

import numpy as np
import torch
from torch import Tensor, nn

from .cells import Grid, covered

PATH_STEPS = 8  # after which the sum is 1 to 2 % from whole, and the order of cells as after 32
AT_ONCE = 32  # images


def integrated_gradients(module: nn.Module, images: Tensor, classes: Tensor, steps: int = PATH_STEPS) -> Tensor:
    """Return what each pixel adds to the logits of `classes` [B] on the way from the mean colour: [B, height, width].

    The mean gradient on the straight path, by Gauss and Legendre's rule, times the image (Sundararajan et al. 2017,
    arXiv:1703.01365); it sums to the logit's difference from that of the mean colour.
    """
    places, weights = np.polynomial.legendre.leggauss(steps)
    share = torch.tensor((places + 1) / 2, dtype=images.dtype, device=images.device).view(-1, 1, 1, 1)
    weight = torch.tensor(weights / 2, dtype=images.dtype, device=images.device).view(-1, 1, 1, 1)
    maps = []
    for image, wanted in zip(images.detach(), classes.tolist(), strict=True):
        on_path = (share * image).requires_grad_()
        with torch.enable_grad():
            (gradients,) = torch.autograd.grad(module(on_path)[:, wanted].sum(), on_path)
        maps.append(((weight * gradients).sum(0) * image).sum(0))
    return torch.stack(maps)


@torch.inference_mode()
def occlusion(module: nn.Module, images: Tensor, classes: Tensor, grid: Grid) -> Tensor:
    """Return what the logits of `classes` [B] lose where a square is covered by the mean colour: [B, rows, columns].

    After Zeiler and Fergus 2014 (arXiv:1311.2901); squares of twice the grid's cells, for a quarter of the answers.
    Signed: where a square speaks against the class, the logit rises.
    """
    squares = Grid(max(1, grid.rows // 2), max(1, grid.columns // 2))
    masks = torch.eye(squares.cells, dtype=torch.bool)
    maps = []
    for image, wanted in zip(images[:, None], classes.tolist(), strict=True):
        parts = [module(covered(image, torch.zeros_like(image), some, squares)) for some in masks.split(AT_ONCE)]
        maps.append(module(image)[0, wanted] - torch.cat(parts)[:, wanted])
    return torch.stack(maps).unflatten(-1, (squares.rows, squares.columns))
