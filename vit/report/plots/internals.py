"""Figures of what was seen inside of the models."""

import numpy as np
from matplotlib.figure import Figure

from ..results import Results
from .drawing import legend, looks, percent


def attention_distance(results: Results) -> Figure | None:
    """How far every head of every block looks, in parts of the image's side."""
    rows = {row.model: row.attention_distance for row in results.inside if row.attention_distance}
    if not rows:
        return None
    figure = Figure(figsize=(8, 3.2))
    axes = figure.subplots()
    for model, look in looks(results):
        blocks = rows.get(model.name, [])
        for number, heads in enumerate(blocks, 1):
            label = model.name if number == 1 else None
            axes.plot([number] * len(heads), heads, look["marker"], color=look["color"], alpha=0.6, ms=5, label=label)
        axes.plot(range(1, len(blocks) + 1), [np.mean(heads) for heads in blocks], color=look["color"], linewidth=1.5)
    depth = max(len(blocks) for blocks in rows.values())
    axes.set_xticks(range(1, depth + 1))
    axes.set_ylim(0, 1.1 * max(max(heads) for blocks in rows.values() for heads in blocks))
    axes.set_xlabel("block (dots: its heads; line: their mean)")
    axes.set_ylabel("mean attention distance")
    percent(axes.yaxis)
    legend(figure)
    return figure


def positions(results: Results) -> Figure | None:
    """The cosine of learned positions of some patches with those of all, of the first ViT."""
    found = next((row for row in results.inside if row.position_similarity), None)
    if found is None:
        return None
    maps = np.array(found.position_similarity)  # [r, c, rows, columns]
    rows, columns = maps.shape[:2]
    figure = Figure(figsize=(0.75 * columns + 0.9, 0.75 * rows + 0.2))
    grid = figure.subplots(rows, columns, squeeze=False)
    for i in range(rows):
        for j in range(columns):
            shown = grid[i][j].imshow(maps[i, j], cmap="PuOr", vmin=-1, vmax=1)
            grid[i][j].set_xticks([])
            grid[i][j].set_yticks([])
            grid[i][j].grid(visible=False)
    figure.colorbar(shown, ax=grid, shrink=0.8, ticks=[-1, 0, 1], label=f"cosine, {found.model}")
    return figure


def receptive_fields(results: Results) -> Figure | None:
    """Which pixels the middle of the last map depends on, as a share of the strongest one's."""
    rows = [(row.model, row.receptive_field) for row in results.inside if row.receptive_field]
    if not rows:
        return None
    columns = min(len(rows), 5)
    lines = -(-len(rows) // columns)
    figure = Figure(figsize=(9, 9 / columns * lines * 0.95 + 0.5))
    grid = np.atleast_1d(figure.subplots(lines, columns)).ravel()
    for axes, (name, field) in zip(grid, rows, strict=False):
        shown = axes.imshow(np.array(field.map), cmap="viridis", vmin=0, vmax=1)
        axes.set_title(f"{name}\n90 % in {100 * field.area:.0f} % of the pixels", fontsize=8)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(visible=False)
    for axes in grid[len(rows) :]:
        axes.set_visible(False)
    figure.colorbar(shown, ax=grid, shrink=0.7, ticks=[0, 1], label="strength")
    return figure
