"""Figures of confidence and of changed images."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..results import Bin, Results, RobustnessRow
from .drawing import legend, looks, percent

KINDS = ("noise", "blur", "weather", "digital")


def reliability(results: Results) -> Figure:
    """Accuracy against confidence, as it is and after the temperature; a dot is as large as its images are many."""
    rows = {row.model: row for row in results.calibration}
    columns = min(len(rows), 5)
    lines = -(-len(rows) // columns)
    figure = Figure(figsize=(9, 2.5 * lines + 0.3))
    grid = np.atleast_1d(figure.subplots(lines, columns, sharex=True, sharey=True)).ravel()
    for axes, (model, look) in zip(grid, looks(results), strict=False):
        row = rows[model.name]
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
        _bins(axes, row.reliability, look["color"], "as it is", filled=True)
        if row.scaled:
            _bins(axes, row.scaled.reliability, look["color"], "after its temperature", filled=False)
        axes.set_title(model.name, fontsize=9)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("confidence", fontsize=9)
        percent(axes.xaxis)
        axes.set_xticks([0, 0.5, 1])
    for axes in grid[len(rows) :]:
        axes.set_visible(False)
    figure.axes[0].set_ylabel("accuracy")
    percent(figure.axes[0].yaxis)
    legend(figure)
    return figure


def _bins(axes: Any, bins: list[Bin], color: str, label: str, filled: bool) -> None:
    most = max(each.images for each in bins)
    sizes = [8 + 60 * each.images / most for each in bins]
    x, y = [each.confidence for each in bins], [each.accuracy for each in bins]
    axes.plot(x, y, color=color, linewidth=0.8, alpha=0.7, linestyle="-" if filled else ":")
    axes.scatter(x, y, sizes, facecolors=color if filled else "none", edgecolors=color, linewidths=1, label=label)


def risk_coverage(results: Results) -> Figure:
    """The share of errors among answers, where the least confident images are left out."""
    rows = {row.model: row.risk_coverage for row in results.calibration}
    figure = Figure(figsize=(8, 3.4))
    axes = figure.subplots()
    for model, look in looks(results):
        row = rows[model.name]
        axes.plot(row.coverage, row.risk, look["marker"] + "-", color=look["color"], label=model.name, ms=3)
    risky = [c for row in rows.values() for c, risk in zip(row.coverage, row.risk, strict=True) if risk > 0]
    axes.set_xlim(max(0, min(risky, default=0) - 0.1), 1.01)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("images that are answered, most confident first")
    axes.set_ylabel("errors among them")
    percent(axes.xaxis)
    percent(axes.yaxis)
    legend(figure)
    return figure


def corruptions(results: Results) -> Figure:
    """Accuracy under corruptions of growing severity, the mean of each kind's; severity 0 is the clean image."""
    rows = {row.model: row for row in results.robustness}
    figure = Figure(figsize=(9, 3.2))
    for axes, kind in zip(figure.subplots(1, len(KINDS), sharey=True), KINDS, strict=True):
        for model, look in looks(results):
            row = rows.get(model.name)
            if row:
                top1 = np.mean([each.top1 for each in row.corruptions if each.kind == kind], axis=0)
                line = [row.clean.mean, *top1]
                axes.plot(range(len(line)), line, look["marker"] + "-", color=look["color"], label=model.name, ms=4)
        axes.set_title(kind, fontsize=10)
        axes.set_xticks(range(6))
        axes.set_xlabel("severity")
        axes.set_ylim(0, 1.02)
    figure.axes[0].set_ylabel("top-1 on the same test images")
    percent(figure.axes[0].yaxis)
    legend(figure)
    return figure


def changes(results: Results) -> Figure:
    """Accuracy under occlusion and at lower resolution, and predictions that a shift leaves the same."""
    panels: tuple[tuple[Callable[[RobustnessRow], list[tuple[float, float]]], str], ...] = (
        (lambda row: [(each.occluded, each.top1) for each in row.occlusion], "patches occluded"),
        (lambda row: [(each.resolution, each.top1) for each in row.resolution], "side of the image kept"),
        (lambda row: [(each.shift, each.same) for each in row.shift], "part of the side shifted (same prediction)"),
    )
    figure = Figure(figsize=(9, 3.2))
    for axes, (points_of, label) in zip(figure.subplots(1, 3, sharey=True), panels, strict=True):
        for model, look in looks(results):
            for row in (row for row in results.robustness if row.model == model.name):
                x, y = zip(*points_of(row), strict=True)
                axes.plot(x, y, look["marker"] + "-", color=look["color"], label=model.name, ms=4)
        axes.set_xlabel(label)
        axes.set_ylim(0, 1.02)
        percent(axes.xaxis)
    figure.axes[0].set_ylabel("top-1, or same prediction")
    percent(figure.axes[0].yaxis)
    legend(figure)
    return figure
