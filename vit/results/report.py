"""Results become files for people: report.html, report.md, results.json, results.csv and the figures."""

from pathlib import Path
from typing import Any

from ..run_folder import write_csv, write_json, write_text
from . import plots, wording
from .comparison import accuracies_table
from .pages import templates

MOST_SKIPPED_SHOWN = 100
FILTERS = ("percent", "points", "p_value", "amount", "interval", "setting", "budget", "words", "memory")


def write(folder: Path, results: dict[str, Any]) -> None:
    """Write every file of a comparison's report; the same results give the same files."""
    figures = plots.figures(results)
    for name, svg in figures.items():
        write_text(folder / "figures" / f"{name}.svg", svg)
    write_text(folder / "report.html", render("report.html", results, figures))
    write_text(folder / "report.md", render("report.md", results, figures))
    write_csv(folder / "results.csv", accuracies_table(results))
    write_json(folder / "results.json", results)


def render(template: str, results: dict[str, Any], figures: dict[str, str]) -> str:
    environment = templates(autoescape=template.endswith(".html"))
    environment.filters |= {name: getattr(wording, name) for name in FILTERS}
    sentences = wording.verdict(results)
    sentences = [sentence[0].upper() + sentence[1:] for sentence in sentences]
    best = max(model["top1"]["mean"] for model in results["models"])
    return environment.get_template(template).render(
        r=results,
        verdict=sentences,
        families=wording.NAMES,
        figures=figures,
        best=best,
        most_classes=plots.MOST_CLASSES_SHOWN,
        most_skipped=MOST_SKIPPED_SHOWN,
    )
