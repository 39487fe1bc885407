"""Results become files for people: a page, its Markdown twin, LaTeX tables, numbers as JSON and CSV, and figures."""

import base64
import re
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from ..files import csv_text, json_text, write_texts
from . import caveats, design, explanations, formats, literature, numbers, plots, recommendation_wording, wording
from .pages import templates
from .pictures import Pictures
from .recommendation import few_label_accuracies
from .results import Outcome, Results, to_plain

MOST_SKIPPED_SHOWN = 100
MOST_CONFUSIONS_SHOWN = 20  # where there are too many classes for a figure
MOST_CLASSES_LISTED = 1_000  # a row each; of more the page would be mostly rows
FILTERS = (
    "percent",
    "points",
    "p_value",
    "amount",
    "interval",
    "setting",
    "budget",
    "words",
    "memory",
    "latex",
    "file_size",
    "milliseconds",
)
OUTCOMES: dict[Outcome, str] = {
    "better_by_more": "by more than the margin",
    "better": "by more or less than the margin",
    "better_by_less": "by less than the margin",
    "as_good": "as good within the margin",
    "not_known": "not known",
    "not_tested": "not tested: one seed",
}
HTML = re.compile(r"<(?=[A-Za-z/!?])")
SECTIONS = {
    "verdict": "Verdict",
    "fairness": "Was it fair?",
    "data": "Data",
    "accuracy": "Accuracy",
    "cost": "Cost on this machine",
    "curves": "Learning curves",
    "efficiency": "How much data is enough?",
    "calibration": "Can the probabilities be trusted?",
    "robustness": "On changed images",
    "inside": "Inside the models",
    "literature": "Beside published figures",
    "limits": "Limits, and how to repeat this",
}


def write(folder: Path, results: Results, pictures: Pictures) -> None:
    """Write every file of a comparison's report; the same results and pictures give the same files."""
    figures = plots.figures(results)
    told = told_of(results, figures, pictures)
    texts = {"results.json": json_text(to_plain(results)), "results.csv": csv_text(numbers.accuracies_table(results))}
    texts |= {template: render(template, told) for template in ("report.html", "report.md", "tables.tex")}
    texts |= {f"figures/{name}.svg": svg for name, svg in figures.items()}
    write_texts({folder / name: text for name, text in texts.items()})


def told_of(results: Results, figures: dict[str, str], pictures: Pictures) -> dict[str, Any]:
    """Return what every template may name."""
    return {
        "r": results,
        "asked": asked(results),
        "dataset": dataset_of(results),
        "sections": list(SECTIONS.items()),
        "titles": SECTIONS,
        "verdict": wording.verdict(results),
        "folds": design.folds_in_words(results),
        "findings": wording.findings(results),
        "advice": recommendation_wording.advice(results),
        "few_labels": few_label_accuracies(results.few_labels, results.data_efficiency),
        "damaged": {row.model: row for row in results.robustness},
        "caveats": caveats.caveats(results),
        "families": formats.NAMES,
        "points": formats.points,
        "margin": formats.margin(results.margin),
        "outcomes": OUTCOMES,
        "figures": figures,
        "downloads": {name: _address(numbers.BEHIND[name](results)) for name in figures},
        "pictures": pictures.images,
        "maps": pictures.maps,
        "explained": [explanations.in_words(row) for row in results.explanations],
        "literature": literature.marks(results),
        "best": max(model.top1.mean for model in results.models),
        "most_classes": plots.MOST_CLASSES_SHOWN,
        "most_confused": [] if "confusion" in figures else numbers.most_confused(results, MOST_CONFUSIONS_SHOWN),
        "most_listed": MOST_CLASSES_LISTED,
        "most_skipped": MOST_SKIPPED_SHOWN,
    }


def asked(results: Results) -> str:
    """Return the question that a report answers: between the families, or within one."""
    families = {model.family for model in results.models}
    return "ViT or CNN" if len(families) > 1 else f"Which {formats.NAMES[families.pop()]}"


def dataset_of(results: Results) -> str:
    """Return what the images are called: their folder's or file's name, or that of a data set."""
    path = results.ledger.matched.get("data.path")
    return Path(path).name or results.data.name if isinstance(path, str) else results.data.name


def render(template: str, told: dict[str, Any]) -> str:
    environment = templates(autoescape=template.endswith(".html"))
    environment.finalize = {".md": in_a_cell, ".html": unbroken}.get(Path(template).suffix)
    environment.filters |= {name: getattr(formats, name) for name in FILTERS} | {"labelled": labelled}
    return environment.get_template(template).render(told)


def in_a_cell(value: Any) -> Any:
    """Return a text that neither ends its cell of a Markdown table, nor begins HTML, a link or code."""
    if not isinstance(value, str):
        return value
    line = " ".join(value.splitlines()).replace("|", r"\|").replace("](", r"]\(").replace("`", "'")
    return HTML.sub("&lt;", line)


def unbroken(value: Any) -> Any:
    """Let no line end between a number and its percent sign."""
    return value.replace(" %", "\N{NO-BREAK SPACE}%") if isinstance(value, str) else value


def labelled(svg: str, text: str) -> Markup:
    """Return a figure as a page holds it, with a text for those who do not see it."""
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{escape(text)}" ', 1))


def _address(rows: numbers.Rows) -> str:
    """Return rows as a CSV file inside of the page."""
    return f"data:text/csv;base64,{base64.b64encode(csv_text(rows).encode()).decode()}"
