"""Figures of explanations: what becomes of the answer step by step, and what every head of a transformer looks at."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from ..models.interface import device_of
from ..report.plots.drawing import COLORS, STYLE, legend, percent, svg
from .attention_maps import attention_by_block
from .explain import Explanation
from .hooks import answering
from .methods import own_method
from .token_trunks import token_trunk

PANELS = {"deletion": "cells taken away: lower is better", "insertion": "cells put back: higher is better"}
CELL = 4  # pixels a patch has at least in a mosaic
GAP = 3  # pixels between heads


def curves_figure(explanations: Mapping[str, Sequence[Explanation]]) -> str | None:
    """Return the class's probability over the share of cells, each model's mean beside its random orders', as SVG."""
    curves = {name: [one.curves for one in some if one.curves] for name, some in explanations.items()}
    measured = {name: some for name, some in curves.items() if some}
    if not measured:
        return None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 2.8))
        for axes, (kind, title) in zip(figure.subplots(1, 2, sharey=True), PANELS.items(), strict=True):
            for (name, some), color in zip(measured.items(), COLORS, strict=False):
                followed = np.mean([getattr(one, kind) for one in some], axis=0)
                by_chance = np.mean([getattr(one, f"random_{kind}").mean(0) for one in some], axis=0)
                share = np.linspace(0, 1, len(followed))
                axes.plot(share, followed, color=color, label=name)
                axes.plot(share, by_chance, color=color, linestyle=":", label=f"{name}, random order")
            axes.set_title(title, fontsize=10)
            axes.set_ylim(0, 1.02)
            percent(axes.xaxis)
        figure.axes[0].set_ylabel("probability of the class")
        percent(figure.axes[0].yaxis)
        legend(figure)
        return svg(figure)


def attention_mosaic(module: nn.Module, image: Tensor) -> Image.Image | None:
    """Return what every head of every block attends to from where the classifier reads, a row a block.

    Of one image [1, 3, height, width], every map in the colours between its own least and most; None of a module whose
    attention cannot be written down.
    """
    image = image.to(device_of(module))
    with answering(module):
        trunk = token_trunk(module)
        if trunk is None or own_method(module, image) is None:
            return None
        blocks = torch.stack([maps[0] for maps in attention_by_block(module, trunk, image)])
    maps = blocks.float().cpu().numpy()  # [depth, H, rows, columns]
    low, high = maps.min((2, 3), keepdims=True), maps.max((2, 3), keepdims=True)
    maps = (maps - low) / np.maximum(high - low, 1e-30)
    maps = maps.repeat(CELL, axis=2).repeat(CELL, axis=3)
    maps = np.pad(maps, ((0, 0), (0, 0), (0, GAP), (0, GAP)), constant_values=np.nan)
    flat = np.concatenate([np.concatenate(list(row), axis=1) for row in maps], axis=0)[:-GAP, :-GAP]
    return Image.fromarray((colormaps["viridis"](flat) * 255).astype(np.uint8), "RGBA")
