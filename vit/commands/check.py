"""`vit check`: what a recipe or a folder will meet, before any training: counts, broken files, and cost."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table

from ..audit import fingerprints, page
from ..audit.findings import MEASURED_STEPS, SPLITS, AuditReport, Cost, audit_report, joined_splits
from ..data.sources import datasets
from ..progress import clock
from ..recipe import Data, Recipe, is_data, load_recipe
from ..run_folder import new_folder
from ..terminal import as_text, one_line

MOST_FAULTS_TOLD = 30


def check(
    source: str | Path | Recipe, overrides: Mapping[str, Any] | None = None, *, out: str | Path | None = None
) -> AuditReport:
    """Look at every image of a recipe, a folder or a CSV file once, and time a few steps of the recipe's training.

    Writes check.html and check.json into `out`. Raises UserError for data that has no classes or splits to count.
    """
    recipe = None if is_data(source) else load_recipe(source, overrides)
    section = recipe.data if recipe else data_section(str(source))
    dataset = datasets.load(replace(section, on_error="fail"))  # broken files are what it looks for
    name = source.model.name if isinstance(source, Recipe) else Path(source).stem
    folder = new_folder(out, "checks", name)
    everything = joined_splits(dataset)
    prints = fingerprints.of_images(everything)
    findings = audit_report(dataset, everything, prints, section, folder)
    if recipe and not findings.faults:
        from ..audit.cost import estimate_cost

        findings = replace(findings, cost=estimate_cost(recipe, dataset))
    page.write(findings, everything, cost_in_words(findings.cost) if findings.cost else "")
    return findings


def data_section(source: str) -> Data:
    name, path = datasets.named(source)
    return Data(name=name, path=path, image_size=(224, 224))


def show(findings: AuditReport) -> str:
    """Return the findings as a table and a few lines."""
    lines = [_counts(findings), *(f"note: {remark}" for remark in findings.remarks)]
    if findings.cost:
        lines.append(cost_in_words(findings.cost))
    return "\n".join([*lines, (findings.folder / page.PAGE).as_posix()])


def faults_in_words(findings: AuditReport) -> str:
    """Return what must be mended, the first of it line by line."""
    shown = findings.faults[:MOST_FAULTS_TOLD]
    rest = len(findings.faults) - len(shown)
    more = [f"  and {rest:,} more, all in {findings.folder / page.PAGE}"] * (rest > 0)
    return "\n".join([f"{len(findings.faults):,} to mend before training:", *(f"  {line}" for line in shown), *more])


def _counts(findings: AuditReport) -> str:
    table = Table(box=None, header_style="bold")
    table.add_column("class", overflow="fold")
    for split in SPLITS:
        table.add_column(split, justify="right")
    rows = list(zip(findings.classes, findings.counts.tolist(), strict=True))
    shown = rows if len(rows) <= 30 else rows[:30]
    for name, counts in shown:
        table.add_row(one_line(name), *(f"{count:,}" for count in counts))
    if len(rows) > len(shown):
        table.add_row(f"... {len(rows) - len(shown)} more", "", "", "")
    table.add_row("all", *(f"{count:,}" for count in findings.counts.sum(0)), style="bold")
    return as_text(table)


def cost_in_words(cost: Cost) -> str:
    total = cost.seconds_per_epoch * cost.epochs
    cached = f"; about {cost.cache_bytes / 1e6:,.0f} MB for data.cache" if cost.cache_bytes else ""
    return (
        f"cost on this machine ({cost.device}), from {MEASURED_STEPS} steps without loading: "
        f"{_duration(cost.seconds_per_epoch)} an epoch, {_duration(total)} for {cost.epochs} epochs\n"
        f"{cost.parameters:,} parameters, {cost.macs:,} multiply-accumulates an image; "
        f"memory {cost.state_bytes / 1e6:,.0f} MB for weights, gradients and optimizer, and "
        f"{cost.activation_bytes / 1e6:,.0f} MB for the activations of a step; "
        f"disk {cost.disk_bytes / 1e6:,.0f} MB for the run" + cached
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else clock(seconds)
