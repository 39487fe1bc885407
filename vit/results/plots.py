"""The report's figures, as SVG text: pure functions of results, the same for the same results."""

import io
from collections.abc import Iterable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

COLORS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)  # Okabe and Ito: safe for all eyes
MARKERS = {"vit": "o", "cnn": "s"}
MOST_CLASSES_SHOWN = 20
LEGEND_CHARACTERS = 105  # that fit on one line
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "vit",  # fixed ids: the same results give the same file
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.sans-serif": ["system-ui", "Segoe UI", "Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#333333",
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def figures(results: dict[str, Any]) -> dict[str, str]:
    """Return every figure of a report by name, as SVG; one that the results cannot fill is left out."""
    with matplotlib.rc_context(STYLE):
        drawn = {
            "accuracy": accuracy(results),
            "cost": cost(results),
            "learning_curves": learning_curves(results),
        }
        if len(results["training"]["fractions"]) > 1:
            drawn["data_efficiency"] = data_efficiency(results)
        if len(results["data"]["classes"]) <= MOST_CLASSES_SHOWN:
            drawn["confusion"] = confusion(results)
        return {name: _svg(figure) for name, figure in drawn.items() if figure is not None}


def accuracy(results: dict[str, Any]) -> Figure:
    """Mean and 95 % interval of every model, and the single seeds."""
    models = results["models"]
    figure = Figure(figsize=(8, 0.9 + 0.42 * len(models)))
    axes = figure.subplots()
    for y, (model, look) in enumerate(_looks(results)):
        top1 = model["top1"]
        axes.plot(
            [top1["low"], top1["high"]], [y, y], color=look["color"], linewidth=3, alpha=0.35, solid_capstyle="butt"
        )
        axes.plot(top1["seeds"], [y + 0.22] * len(top1["seeds"]), ".", color=look["color"], markersize=5, alpha=0.7)
        axes.plot(top1["mean"], y, look["marker"], color=look["color"], markersize=8)
    axes.set_yticks(range(len(models)), [model["name"] for model in models])
    axes.set_ylim(len(models) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("top-1 on test: mean, 95 % interval, and each seed")
    _percent(axes.xaxis)
    return figure


def cost(results: dict[str, Any]) -> Figure:
    """Accuracy against parameters, training time and latency."""
    measures = (
        ("parameters", "parameters (millions)", 1e-6),
        ("train_seconds", "seconds to train", 1.0),
        ("latency_ms", "latency of one image (ms)", 1.0),
    )
    figure = Figure(figsize=(9, 3.4))
    for axes, (key, label, unit) in zip(figure.subplots(1, 3, sharey=True), measures, strict=True):
        for model, look in _looks(results):
            x, top1 = model[key] * unit, model["top1"]
            error = [[top1["mean"] - top1["low"]], [top1["high"] - top1["mean"]]]
            axes.errorbar(x, top1["mean"], error, fmt=look["marker"], color=look["color"], label=model["name"])
        axes.set_xlim(0, 1.1 * max(model[key] * unit for model in results["models"]))
        axes.set_xlabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    return _with_accuracy_axis(figure, "top-1 on test")


def learning_curves(results: dict[str, Any]) -> Figure:
    """Validation accuracy by images seen and by seconds: the seeds thin, their mean thick."""
    figure = Figure(figsize=(9, 3.6))
    for axes, (key, label) in zip(
        figure.subplots(1, 2, sharey=True),
        (("images_seen", "training images seen"), ("seconds", "seconds of training")),
        strict=True,
    ):
        for model, look in _looks(results):
            curves = [curve for curve in results["curves"] if curve["model"] == model["name"]]
            for curve in curves:
                axes.plot(curve[key], curve["validation_top1"], color=look["color"], linewidth=0.7, alpha=0.35)
            length = min(len(curve[key]) for curve in curves)
            mean = {k: np.mean([curve[k][:length] for curve in curves], axis=0) for k in (key, "validation_top1")}
            axes.plot(mean[key], mean["validation_top1"], color=look["color"], linewidth=2, label=model["name"])
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=_past_the_start(results))
        axes.set_xlabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    return _with_accuracy_axis(figure, "top-1 on validation")


def data_efficiency(results: dict[str, Any]) -> Figure:
    """Test accuracy against the number of training images, with intervals."""
    figure = Figure(figsize=(8, 3.8))
    axes = figure.subplots()
    for model, look in _looks(results):
        rows = sorted((r for r in results["data_efficiency"] if r["model"] == model["name"]), key=lambda r: r["images"])
        x = [row["images"] for row in rows]
        axes.fill_between(
            x, [r["top1"]["low"] for r in rows], [r["top1"]["high"] for r in rows], color=look["color"], alpha=0.1, lw=0
        )
        axes.plot(x, [r["top1"]["mean"] for r in rows], look["marker"] + "-", color=look["color"], label=model["name"])
    axes.set_xscale("log")
    ticks = sorted({row["images"] for row in results["data_efficiency"]})
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("training images")
    return _with_accuracy_axis(figure, "top-1 on test")


def confusion(results: dict[str, Any]) -> Figure:
    """Errors of every model, summed over its seeds; the diagonal, being right, is left white."""
    classes = results["data"]["classes"]
    columns = min(len(results["confusion"]), 3)
    rows = -(-len(results["confusion"]) // columns)
    figure = Figure(figsize=(3.1 * columns, 3.2 * rows))
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    tables = {name: np.array(table) for name, table in results["confusion"].items()}
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
        return _svg(figure)


def _past_the_start(results: dict[str, Any]) -> float:
    """Return the lowest accuracy a quarter into training: below it, curves say nothing about the end."""
    curves = [curve["validation_top1"] for curve in results["curves"]]
    return max(0.0, min(min(curve[len(curve) // 4 :]) for curve in curves) - 0.02)


def _looks(results: dict[str, Any]) -> Iterable[tuple[dict[str, Any], dict[str, str]]]:
    for i, model in enumerate(results["models"]):
        yield model, {"color": COLORS[i % len(COLORS)], "marker": MARKERS[model["family"]]}


def _with_accuracy_axis(figure: Figure, label: str) -> Figure:
    """Name the accuracy that all panels share, and the models."""
    figure.axes[0].set_ylabel(label)
    _percent(figure.axes[0].yaxis)
    _legend(figure)
    return figure


def _percent(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %" if value < 1.0001 else ""))


def _legend(figure: Figure) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    columns = max(1, int(LEGEND_CHARACTERS / (max(map(len, labels)) + 6)))  # 6: the sign and the space around
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), columns), fontsize=9)


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
