"""What all figures share: colours, fonts, axes, and how a figure becomes SVG text."""

import io
from collections.abc import Iterable
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ..results import ModelRow, Results

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
LEGEND_CHARACTERS = 105  # that fit on one line
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "vit",  # fixed ids: the same results give the same file
    "svg.fonttype": "none",  # text stays text
    "font.family": "sans-serif",
    "font.sans-serif": ["system-ui", "Segoe UI", "Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 10,
    "text.parse_math": False,  # names may hold a $
    "figure.facecolor": "none",  # the page's own shows through, light or dark
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
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


def looks(results: Results) -> Iterable[tuple[ModelRow, dict[str, str]]]:
    for i, model in enumerate(results.models):
        yield model, {"color": COLORS[i % len(COLORS)], "marker": MARKERS[model.family]}


def with_accuracy_axis(figure: Figure, label: str) -> Figure:
    """Name the accuracy that all panels share, and the models."""
    figure.axes[0].set_ylabel(label)
    percent(figure.axes[0].yaxis)
    legend(figure)
    return figure


def percent(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %" if value < 1.0001 else ""))


def legend(figure: Figure) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    columns = max(1, int(LEGEND_CHARACTERS / (max(map(len, labels)) + 6)))  # 6: the sign and the space around
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), columns), fontsize=9)


def svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
