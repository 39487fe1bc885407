"""Maps that any model has, whatever is in it: gradients along a path, and what is lost where a cell is covered.

B images [B, 3, height, width] as the model takes them; zero is the mean colour that its preprocessing subtracts.
"""

import numpy as np
import torch
from torch import Tensor, nn

from .cells import Grid, covered

PATH_STEPS = 8  # the order of cells is as after 32, when the sum is whole to 0.5 % in the middle of 100 photographs
AT_ONCE = 32  # images


def integrated_gradients(module: nn.Module, images: Tensor, classes: Tensor, steps: int = PATH_STEPS) -> Tensor:
    """Return what each pixel adds to the logits of `classes` [B] on the way from the mean colour: [B, height, width].

    The mean gradient on the straight path, by Gauss and Legendre's rule, times the image (Sundararajan et al. 2017,
    arXiv:1703.01365); it sums to the logit's difference from that of the mean colour.
    """
    places, weights = (
        torch.tensor(values, dtype=images.dtype, device=images.device).view(-1, 1, 1, 1, 1)
        for values in np.polynomial.legendre.leggauss(steps)
    )
    at_once = max(1, AT_ONCE // steps)
    parts = []
    for some, wanted in zip(images.detach().split(at_once), classes.split(at_once), strict=True):
        on_path = ((places + 1) / 2 * some).requires_grad_()  # [steps, B, 3, height, width]
        with torch.enable_grad():
            logits = module(on_path.flatten(0, 1)).unflatten(0, (steps, -1))
            chosen = logits.gather(2, wanted.view(1, -1, 1).expand(steps, -1, 1))
            (gradients,) = torch.autograd.grad(chosen.sum(), on_path)
        parts.append(((weights / 2 * gradients).sum(0) * some).sum(1))
    return torch.cat(parts)


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
