"""What an audit of a comparison's images found, as its report tells it; kept, since looking takes a while."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ..audit import fingerprints
from ..audit.findings import (
    SPLITS,
    AuditReport,
    audit_report,
    contradicts,
    crosses_splits,
    joined_splits,
    remarks_on_copies,
)
from ..chains import chains_of
from ..data.sources import datasets
from ..data.sources.broken import digest
from ..files import read_json, read_memory, write_json
from ..recipe import Data
from ..report.results import Audit, Unaudited
from .plan import DATA_KEYS, PlannedRun

MOST_IMAGES = 200_000  # that are looked at unasked
EXAMPLES = 10
MOST_GROUPED = 20_000  # names of test images that belong together, kept with every report


def audits_of(planned: Sequence[PlannedRun], folder: Path) -> list[Audit | Unaudited]:
    """Return what was found in each set of images that some models had: one row, unless finished runs had several.

    Seeds that draw their training images anew have one: whatever is not tested, some seed may have trained on.
    """
    models: dict[tuple, list[str]] = {}
    sections: dict[tuple, Data] = {}
    for p in planned:
        data = p.recipe.data
        of = (*(getattr(data, key) for key in (*DATA_KEYS, "on_error")), data.resample_seed is not None)
        sections.setdefault(of, replace(data, fraction=1.0))
        if p.model not in models.setdefault(of, []):
            models[of].append(p.model)
    return [_row(names, audited(sections[of], folder)) for of, names in models.items()]


def _row(models: list[str], found: dict[str, Any]) -> Audit | Unaudited:
    return Audit(models, **found) if found["looked"] else Unaudited(models, **found)


def audited(data: Data, folder: Path) -> dict[str, Any]:
    dataset = datasets.load(data)
    everything = joined_splits(dataset)
    folds = folds_by_name(data)
    if len(everything) > MOST_IMAGES:
        return not_looked(len(everything))
    sizes = [len(dataset.split(name)) for name in SPLITS]
    drawn = data.resample_seed is not None and "validation" not in datasets.read_source(data.name, data.path).splits
    cut = f"{sizes} drawn by seed" if drawn else f"{sizes}"
    cut += f" {sorted(folds.items())}" if folds else ""
    of = sha256(f"{digest(everything)} {cut}".encode(errors="surrogatepass") + everything.labels.tobytes()).hexdigest()
    kept = folder / "audits" / f"{of[:16]}.json"
    known = read_memory(kept)
    if known is None or "test_groups" not in known:  # kept before they were looked for
        prints = fingerprints.of_images(everything)
        findings = audit_report(dataset, everything, prints, data, folder)
        found = (
            counted_in_folds(findings, folds, len(everything)) if folds else counted(findings, len(everything), drawn)
        )
        write_json(kept, found)
        known = read_json(kept)
    return known


def not_looked(images: int) -> dict[str, Any]:
    return {"looked": False, "images": images, "leaks": 0}


def counted(findings: AuditReport, images: int, drawn: bool) -> dict[str, Any]:
    """Return the findings as numbers, with the names of the first of them.

    `drawn` says that validation's images train in other seeds.
    """
    learnt = {"train", "validation"} if drawn else {"train"}
    trained = [group for group in findings.leaks if any(image.split in learnt for image in group)]
    groups, left_out = groups_of_test(findings)
    leaked = [image.name for group in trained for image in group if image.split == "test"]
    near = [pair for pair in findings.near if crosses_splits(pair)]
    return {
        "looked": True,
        "images": images,
        "leaks": len(leaked),
        "leaked": leaked[:EXAMPLES],
        "leaks_of_validation": len(findings.leaks) - len(trained),
        "near_across_splits": len(near),
        "near_examples": [[image.name for image in pair] for pair in near[:EXAMPLES]],
        "conflicts": len(findings.conflicts),
        "copies": sum(len(group) - 1 for group in findings.copies),
        "remarks": findings.remarks,
        "test_groups": groups,
        "test_groups_left_out": left_out,
    }


def folds_by_name(data: Data) -> dict[str, int]:
    """Return which fold tests each image; nothing where there are no folds."""
    if data.folds is None:
        return {}
    images, fold = datasets.tested_in_folds(data)
    return dict(zip(images.ids, fold.tolist(), strict=True))


def counted_in_folds(findings: AuditReport, folds: Mapping[str, int], images: int) -> dict[str, Any]:
    """Return the findings as numbers where every image is tested, and trains in the folds that others are tested in."""
    place = lambda image: replace(image, split=f"fold {folds[image.name]}")  # noqa: E731
    same = {tuple(place(i) for i in group) for group in (*findings.leaks, *findings.conflicts, *findings.copies)}
    groups = [list(group) for group in sorted(same, key=lambda group: [image.name for image in group])]
    near = [[place(image) for image in pair] for pair in findings.near]
    copies = [group for group in groups if not crosses_splits(group) and not contradicts(group)]
    as_splits = remarks_on_copies(findings.copies, findings.near)
    told = replace(
        findings,
        leaks=[group for group in groups if crosses_splits(group)],
        copies=copies,
        near=near,
        remarks=[*(line for line in findings.remarks if line not in as_splits), *remarks_on_copies(copies, near)],
    )
    tested = lambda found: [[replace(image, split="test") for image in group] for group in found]  # noqa: E731
    together, left_out = groups_of_test(replace(told, leaks=tested(groups), conflicts=[], copies=[], near=tested(near)))
    leaked = [image.name for group in told.leaks for image in group]
    return counted(told, images, drawn=False) | {
        "leaks": len(leaked),
        "leaked": leaked[:EXAMPLES],
        "leaks_of_validation": 0,
        "test_groups": together,
        "test_groups_left_out": left_out,
    }


def groups_of_test(findings: AuditReport) -> tuple[list[list[str]], int]:
    """Return the names of test images that are the same or nearly the same, the largest groups first.

    Also those that are so by a chain of others, of whatever split, as the images of a series are. The second value is
    how many groups were left out, since they hold more than MOST_GROUPED names.
    """
    found = [*findings.leaks, *findings.conflicts, *findings.copies, *findings.near]
    known: dict[tuple[str, str], int] = {}
    number = lambda image: known.setdefault((image.split, image.name), len(known))  # noqa: E731
    links = np.array([(number(group[0]), number(other)) for group in found for other in group[1:]]).reshape(-1, 2)
    if not len(links):
        return [], 0
    chains: dict[int, list[str]] = {}
    for (split, name), chain in zip(known, chains_of(links, len(known)).tolist(), strict=True):
        if split == "test":
            chains.setdefault(chain, []).append(name)
    groups = sorted(
        (sorted(names) for names in chains.values() if len(names) > 1), key=lambda group: (-len(group), group)
    )
    kept, room = [], MOST_GROUPED
    for group in groups:
        if len(group) <= room:
            kept.append(group)
            room -= len(group)
    return kept, len(groups) - len(kept)
