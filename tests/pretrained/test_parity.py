"""Every family of weights against its reference implementation: the table of docs/parity.md."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from pretrained.parity import CASES, RESNETS, Case

from vit.data.decoding.reading import read_image
from vit.data.preprocessing import Preprocessing
from vit.model import assemble
from vit.pretrained import sources
from vit.registry import complete_options

BOUND = 1e-5
HEADER = (
    "| family | variant | reference | native | other size | eps | activation | pool | mean | std | filter | crop |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|",
)


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """Collects the rows; prints them at the end, and writes them where VIT_PARITY_TABLE says."""
    rows: list[str] = []
    yield rows
    text = "\n".join([*HEADER, *rows]) + "\n"
    print(f"\n{text}")
    if path := os.environ.get("VIT_PARITY_TABLE"):
        Path(path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("case", [*CASES, *RESNETS], ids=str)
def test_weights_compute_what_their_own_code_computes(
    case: Case, tmp_path: Path, randomize: Callable, photographs: list[Path], table: list[str]
) -> None:
    path, reference = case.make(tmp_path, randomize)
    weights = sources.read(path)
    assert_facts(case, weights.preprocessing, complete_options(weights.architecture, weights.options))
    size = weights.preprocessing.image_size[0]
    differences = [
        difference(weights, reference(side), weights.prepared(image_size=(side, side)).preprocessing, photographs)
        for side in (size, case.other_size)
    ]
    table.append(row(case, differences, weights.preprocessing))
    assert max(differences) <= BOUND


def difference(weights, reference: Callable, preprocessing: Preprocessing, photographs: list[Path]) -> float:
    """Return the largest difference of the logits of two photographs, which must not be nearly constant."""
    name, size = weights.architecture, preprocessing.image_size
    module, *_ = assemble(name, {}, weights.num_classes, size, weights)
    transform = preprocessing.transform()
    images = torch.stack([transform(read_image(photographs[i])) for i in (5, 60)])
    with torch.no_grad():
        expected, found = reference(images), module.eval()(images)
    assert expected.shape == found.shape
    assert expected.std(dim=0).max() > 1e-3, "both photographs have the same logits: nothing would be compared"
    return (expected - found).abs().max().item()


def assert_facts(case: Case, preprocessing: Preprocessing, options: dict) -> None:
    if "norm_eps" in options:
        assert options["norm_eps"] == case.norm_eps
        assert options["activation"] == case.activation
        assert options["pool"] == case.pool
    for key, value in case.options.items():
        assert options[key] == value, key
    assert (preprocessing.mean, preprocessing.std) == case.mean_std
    assert preprocessing.interpolation == case.interpolation
    assert crop(preprocessing) == case.crop
    assert preprocessing.image_size == (case.size, case.size)


def crop(preprocessing: Preprocessing) -> str:
    return f"{preprocessing.crop_mode} {preprocessing.crop_fraction:.6g}"


def row(case: Case, differences: list[float], preprocessing: Preprocessing) -> str:
    numbers = [" ".join(f"{value:g}" for value in values) for values in (preprocessing.mean, preprocessing.std)]
    facts = ["", "", ""] if case.family == "ResNet" else [f"{case.norm_eps:g}", case.activation, case.pool]
    cells = [
        *(case.family, case.variant, case.reference),
        f"{differences[0]:.1e} ({case.size})",
        f"{differences[1]:.1e} ({case.other_size})",
        *(*facts, *numbers, preprocessing.interpolation, crop(preprocessing)),
    ]
    return f"| {' | '.join(cells)} |"
