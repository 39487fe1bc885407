"""Results become files for people: report.html, report.md, results.json, results.csv and the figures."""

import csv
import io
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..run_folder import write_json, write_text
from . import plots, wording
from .comparison import accuracies_table

MOST_SKIPPED_SHOWN = 100
FILTERS = ("percent", "points", "p_value", "amount", "interval", "setting", "budget", "words", "memory")


def write(folder: Path, results: dict[str, Any]) -> None:
    """Write every file of a comparison's report; the same results give the same files."""
    figures = plots.figures(results)
    for name, svg in figures.items():
        write_text(folder / "figures" / f"{name}.svg", svg)
    write_text(folder / "report.html", render("report.html", results, figures))
    write_text(folder / "report.md", render("report.md", results, figures))
    write_text(folder / "results.csv", _csv(accuracies_table(results)))
    write_json(folder / "results.json", results)


def render(template: str, results: dict[str, Any], figures: dict[str, str]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        autoescape=template.endswith(".html"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
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


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
