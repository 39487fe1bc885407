"""The page of an audit: counts, sizes, and every fault with the images beside one another; and all of it as JSON."""

from dataclasses import asdict
from typing import Any

import numpy as np

from ..data.sources.datasets import Images
from ..files import write_json, write_text
from ..report.pages import templates
from .findings import SPLITS, AuditReport, ImageRef
from .thumbnails import picture

PAGE, NUMBERS = "check.html", "check.json"
GROUPS = {  # of findings, and what they are called on the page
    "conflicts": "The same image under several labels",
    "leaks": "The same image in several splits",
    "near": "Nearly the same: encoded again, scaled, or taken a moment later",
    "copies": "Copies in one class and split",
}
MOST_SHOWN = 40  # groups of a kind
MOST_IN_A_GROUP = 6


def write(findings: AuditReport, images: Images, cost: str) -> None:
    """Write both files; `cost` is what training will take, in words."""
    write_json(findings.folder / NUMBERS, numbers(findings))
    write_text(findings.folder / PAGE, page(findings, images, cost))


def numbers(findings: AuditReport) -> dict[str, Any]:
    """Return everything that was found, as plain values."""
    return {
        "classes": list(findings.classes),
        "counts": dict(zip(SPLITS, findings.counts.T.tolist(), strict=True)),
        "sizes": sizes(findings.sizes),
        "broken": findings.broken,
        "passed_over": findings.passed_over,
        **{kind: [[asdict(image) for image in group] for group in getattr(findings, kind)] for kind in GROUPS},
        "remarks": findings.remarks,
        "faults": len(findings.faults),
        "cost": asdict(findings.cost) if findings.cost else None,
    }


def sizes(found: np.ndarray) -> dict[str, Any] | None:
    """Return the smallest, median and largest width and height, and how many different sizes there are."""
    if not len(found):
        return None
    return {
        "different": len(np.unique(found, axis=0)),
        "smallest": found.min(0).tolist(),
        "median": np.median(found, axis=0).astype(int).tolist(),
        "largest": found.max(0).tolist(),
    }


def page(findings: AuditReport, images: Images, cost: str) -> str:
    place = {name: i for i, name in enumerate(images.ids)}
    groups = [(title, getattr(findings, kind)) for kind, title in GROUPS.items()]
    shown = [
        (title, found, [thumbnails(group, images, place) for group in found[:MOST_SHOWN]]) for title, found in groups
    ]
    return (
        templates(autoescape=True)
        .get_template(PAGE)
        .render(
            f=findings,
            sizes=sizes(findings.sizes),
            cost=cost.splitlines(),
            groups=shown,
            most_shown=MOST_SHOWN,
            total=int(findings.counts.sum()),
        )
    )


def thumbnails(group: list[ImageRef], images: Images, place: dict[str, int]) -> list[dict[str, Any]]:
    some = group[:MOST_IN_A_GROUP]
    return [asdict(image) | {"picture": picture(images, place[image.name])} for image in some]
