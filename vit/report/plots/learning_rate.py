"""The figure of a learning-rate range test."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from .drawing import COLORS, STYLE, svg


def learning_rates(
    lrs: np.ndarray, losses: np.ndarray, course: np.ndarray, suggested: float | None, current: float
) -> str:
    """Return the SVG of a range test: the loss of each step, its course, the rate suggested and the recipe's."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 3.6))
        axes = figure.subplots()
        axes.plot(lrs, losses, ".", color="#999999", markersize=4, label="loss of a step")
        axes.plot(lrs, course, color=COLORS[0], linewidth=2, label="its mean around")
        if suggested is not None:
            axes.axvline(suggested, color=COLORS[1], label=f"falls fastest: {suggested:.1e}")
        axes.axvline(current, color="#555555", linestyle=":", label=f"in the recipe: {current:.1e}")
        axes.set_xscale("log")
        fall = course[: course.argmin() + 1]  # what comes behind would press it flat
        axes.set_ylim(fall.min() - 0.1 * np.ptp(fall), fall.max() + 0.4 * np.ptp(fall))
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss")
        axes.legend(fontsize=9)
        return svg(figure)
