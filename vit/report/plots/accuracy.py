"""Figures of accuracy: of the models, along training, over training images, and by class."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ..results import Results
from .drawing import looks, percent, with_accuracy_axis

MOST_CLASSES_SHOWN = 20


def accuracy(results: Results) -> Figure:
    """Mean and 95 % interval of every model, and the single seeds."""
    models = results.models
    figure = Figure(figsize=(8, 0.9 + 0.42 * len(models)))
    axes = figure.subplots()
    for y, (model, look) in enumerate(looks(results)):
        top1 = model.top1
        axes.plot([top1.low, top1.high], [y, y], color=look["color"], linewidth=3, alpha=0.35, solid_capstyle="butt")
        axes.plot(top1.seeds, [y + 0.22] * len(top1.seeds), ".", color=look["color"], markersize=5, alpha=0.7)
        axes.plot(top1.mean, y, look["marker"], color=look["color"], markersize=8)
    axes.set_yticks(range(len(models)), [model.name for model in models])
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("top-1 on test: mean, 95 % interval, and each seed")
    percent(axes.xaxis)
    return figure


def learning_curves(results: Results) -> Figure:
    """Validation accuracy by images seen and by seconds: the seeds thin, their mean thick."""
    figure = Figure(figsize=(9, 3.6))
    for axes, (key, label) in zip(
        figure.subplots(1, 2, sharey=True),
        (("images_seen", "training images seen"), ("seconds", "seconds of training")),
        strict=True,
    ):
        for model, look in looks(results):
            curves = [curve.columns for curve in results.curves if curve.model == model.name]
            for curve in curves:
                axes.plot(curve[key], curve["validation_top1"], color=look["color"], linewidth=0.7, alpha=0.35)
            length = min(len(curve[key]) for curve in curves)
            mean = {k: np.mean([curve[k][:length] for curve in curves], axis=0) for k in (key, "validation_top1")}
            axes.plot(mean[key], mean["validation_top1"], color=look["color"], linewidth=2, label=model.name)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=_past_the_start(results))
        axes.set_xlabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    return with_accuracy_axis(figure, "top-1 on validation")


def data_efficiency(results: Results) -> Figure:
    """Test accuracy against the number of training images, with intervals."""
    figure = Figure(figsize=(8, 3.8))
    axes = figure.subplots()
    for model, look in looks(results):
        rows = sorted((r for r in results.data_efficiency if r.model == model.name), key=lambda r: r.images)
        x = [row.images for row in rows]
        low, high = [row.top1.low for row in rows], [row.top1.high for row in rows]
        axes.fill_between(x, low, high, color=look["color"], alpha=0.1, lw=0)
        axes.plot(x, [row.top1.mean for row in rows], look["marker"] + "-", color=look["color"], label=model.name)
    axes.set_xscale("log")
    ticks = sorted({row.images for row in results.data_efficiency})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("training images")
    return with_accuracy_axis(figure, "top-1 on test")


def confusion(results: Results) -> Figure:
    """Errors of every model, summed over its seeds; the diagonal, being right, is left white."""
    classes = results.data.classes
    columns = min(len(results.confusion), 3)
    rows = -(-len(results.confusion) // columns)
    figure = Figure(figsize=(3.1 * columns, 3.2 * rows))
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    tables = {name: np.array(table) for name, table in results.confusion.items()}
    errors = {name: table - np.diag(np.diag(table)) for name, table in tables.items()}
    most = max(1, max(int(table.max()) for table in errors.values()))
    for axes, (name, table) in zip(grid, errors.items(), strict=False):
        axes.imshow(np.ma.masked_equal(table, 0), cmap="OrRd", vmin=0, vmax=most)
        for i, j in zip(*np.nonzero(table), strict=True):
            axes.text(
                j,
                i,
                table[i, j],
                ha="center",
                va="center",
                fontsize=7,
                color="white" if table[i, j] > most / 2 else "#333333",
            )
        axes.set_xticks(range(len(classes)), classes, rotation=90 if max(map(len, classes)) > 2 else 0, fontsize=8)
        axes.set_yticks(range(len(classes)), classes, fontsize=8)
        axes.set_title(f"{name}\n{table.sum():,} errors of {tables[name].sum():,}", fontsize=9)
        axes.set_xlabel("predicted", fontsize=8)
        axes.set_ylabel("true", fontsize=8)
        axes.grid(visible=False)
    for axes in grid[len(errors) :]:
        axes.set_visible(False)
    return figure


def _past_the_start(results: Results) -> float:
    """Return the lowest accuracy a quarter into training: below it, curves say nothing about the end."""
    curves = [curve.columns["validation_top1"] for curve in results.curves]
    return max(0.0, min(min(curve[len(curve) // 4 :]) for curve in curves) - 0.02)
