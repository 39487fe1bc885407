"""Measure whether explanations find what answers rest on: every method, of trained models, beside random orders.

    uv run tools/measure_explanations.py IMAGES=RUN,RUN [IMAGES=RUN,RUN ...]

IMAGES is a folder of images that the runs did not learn from; 100 of them are taken, evenly. Writes the tables of
docs/explanations.md: those of the runs, and one of small models that learn images whose class one cell decides.
"""

import re
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from planted_cells import GRID, MODELS, learned, planted  # noqa: E402  # pyright: ignore[reportMissingImports]

import vit  # noqa: E402
from vit.data.decoding.reading import read_image  # noqa: E402
from vit.data.sources.given import image_files  # noqa: E402
from vit.environment import environment  # noqa: E402
from vit.explanations.explain import Explanation, explained, wanted_classes  # noqa: E402
from vit.explanations.faithfulness import Fill, Protocol  # noqa: E402
from vit.explanations.methods import METHODS  # noqa: E402
from vit.model import Model  # noqa: E402
from vit.report.explanations import gain  # noqa: E402
from vit.report.results import Estimate  # noqa: E402

PAGE = ROOT / "docs" / "explanations.md"
KINDS = ("deletion", "insertion")
COVERS: tuple[Fill, ...] = ("mean", "blur")
IMAGES = 100
PLANTED = 200  # images


def main() -> None:
    pairs = [argument.split("=", 1) for argument in sys.argv[1:]]
    told = environment()
    made = f"{date.today()}, {told['cores']} cores of {told['processor']}, torch {told['versions']['torch']}"
    rows = [row for images, runs in pairs for run in runs.split(",") for row in rows_of(Path(images), run)]
    write("faithfulness", ["images", "model", "method", *(f"{f}: {k}" for f in COVERS for k in KINDS)], rows, made)
    write("planted cells", ["model", *METHODS], list(planted_rows()), made)


def rows_of(folder: Path, run: str) -> Iterator[list[str]]:
    """Yield a row a method: by how much its order of cells is better than a random one, for every fill."""
    model = vit.load(run)
    files, _ = image_files([folder])
    some = [files[i] for i in np.linspace(0, len(files) - 1, min(IMAGES, len(files))).astype(int)]
    inputs = torch.stack([model.transform(read_image(path)) for path in some])
    wanted = wanted_classes(model, inputs, ())
    for method in METHODS:
        cells = []
        for fill in COVERS:
            found = of_method(model, inputs, wanted, method, Protocol(fill, random_orders=1))
            if found is None:
                break
            gains = np.array([one.curves.gains for one in found if one.curves])
            cells += [in_words(gain([gains[:, k].tolist()])) for k in (0, 1)]
        if cells:
            print(folder.name, Path(run).name, method, *cells, flush=True)
            name = folder.parent.name if folder.name == "test" else folder.name
            yield [name, model.architecture.name, METHODS[method].title, *cells]


def of_method(
    model: Model, inputs: torch.Tensor, wanted: list[list[int]], method: str, protocol: Protocol | None
) -> list[Explanation] | None:
    """Return an explanation of each image, or None for a method that is not made for the model."""
    keys = [str(i) for i in range(len(inputs))]
    try:
        found = explained(model, inputs, [some[:1] for some in wanted], keys, methods=[method], protocol=protocol)
    except vit.UserError:
        return None
    return [one for (one,) in found]


def planted_rows() -> Iterator[list[str]]:
    """Yield of every small model, by method, for how many images the map is largest in the cell that decides."""
    images, labels, cells = planted(PLANTED, torch.Generator().manual_seed(1))
    for name in MODELS:
        model, found = learned(name), []
        for method in METHODS:
            maps = of_method(model, images, [[c] for c in labels.tolist()], method, None)
            side = 2 if method == "occlusion" else 1  # of its squares, in cells
            hits = (
                [same(int(one.cells.argmax()), int(c), side) for one, c in zip(maps, cells, strict=True)]
                if maps
                else []
            )
            found.append(f"{100 * np.mean(hits):.1f} %" if hits else "–")
        yield [name, *found]


def same(a: int, b: int, side: int) -> bool:
    return all(x // side == y // side for x, y in zip(divmod(a, GRID.columns), divmod(b, GRID.columns), strict=True))


def in_words(found: Estimate | None) -> str:
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]" if found else "–"


def write(name: str, head: list[str], rows: list[list[str]], made: str) -> None:
    """Put a table between the page's marks of its name."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(f"| {' | '.join(row)} |" for row in rows)]
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    table = f"{begin}\n" + "\n".join(lines) + f"\n\nMeasured {made}.\n{end}"
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(re.sub(f"{begin}.*?{end}", lambda _: table, text, flags=re.S), encoding="utf-8")


if __name__ == "__main__":
    main()
