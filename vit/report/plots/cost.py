"""Accuracy against what it costs, and who is beaten by nobody."""

from collections.abc import Callable

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..results import ModelRow, Results
from .drawing import looks, with_accuracy_axis


def cost(results: Results) -> Figure:
    """Accuracy against parameters, training time and latency."""
    measures: tuple[tuple[Callable[[ModelRow], float], str], ...] = (
        (lambda model: model.parameters * 1e-6, "parameters (millions)"),
        (lambda model: model.train_seconds, "seconds to train"),
        (lambda model: model.latency_ms, "latency of one image (ms)"),
    )
    figure = Figure(figsize=(9, 3.4))
    for axes, (cost_of, label) in zip(figure.subplots(1, 3, sharey=True), measures, strict=True):
        for model, look in looks(results):
            x, top1 = cost_of(model), model.top1
            error = [[top1.mean - top1.low], [top1.high - top1.mean]]
            axes.errorbar(x, top1.mean, error, fmt=look["marker"], color=look["color"], label=model.name)
        front = pareto([(cost_of(model), model.top1.mean) for model in results.models])
        axes.plot(*zip(*front, strict=True), color="#999999", linewidth=1, linestyle="--", zorder=0)
        axes.set_xlim(0, 1.1 * max(cost_of(model) for model in results.models))
        axes.set_xlabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    return with_accuracy_axis(figure, "top-1 on test")


def pareto(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points (cost, accuracy) that none is both cheaper and more accurate than, cheapest first."""
    front: list[tuple[float, float]] = []
    for cost, top1 in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or top1 > front[-1][1]:
            front.append((cost, top1))
    return front
