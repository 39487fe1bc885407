"""Maps that any model has, whatever is in it: gradients along a path, and what is lost where a cell is covered.

B images [B, 3, height, width] as the model takes them; zero is the mean colour that its preprocessing subtracts.
"""

from collections.abc import Callable, Iterator

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
def occlusion(
    module: nn.Module,
    images: Tensor,
    classes: Tensor,
    grid: Grid,
    fill: Callable[[Tensor], Tensor] = torch.zeros_like,
    done: Callable[[int], object] = lambda forwards: None,
) -> Tensor:
    """Return what the logits of `classes` [B] lose where a cell is covered, signed: [B, rows, columns].

    After Zeiler and Fergus 2014 (arXiv:1311.2901), cell by cell of one grid. `done` is told how many covered images
    were answered.
    """
    maps = torch.empty(len(images), grid.cells)
    for number, (image, chosen) in enumerate(zip(images, classes.tolist(), strict=True)):
        whole, filled = image[None], fill(image[None])
        logit = module(whole)[0, chosen]
        for cells in _some(grid.cells):
            masks = torch.eye(grid.cells, dtype=torch.bool)[cells]
            logits = module(covered(whole, filled, masks, grid))
            maps[number, cells] = (logit - logits[:, chosen]).float().cpu()
            done(len(cells))
    return maps.unflatten(-1, (grid.rows, grid.columns))


def _some(count: int) -> Iterator[Tensor]:
    return iter(torch.arange(count).split(AT_ONCE))
