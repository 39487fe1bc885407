"""Images of four quarters, each of one colour or of grey noise, listed with the labels of the colours."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (40, 60, 210), "yellow": (210, 200, 30)}
SIDE = 8  # of a quarter
QUARTERS = ((0, 0), (0, 1), (1, 0), (1, 1))


def write_quarters(folder: Path, train: int, test: int) -> tuple[Path, list[dict[str, int]]]:
    """Write images and labels.csv; return its path and, of the test images, the quarter of every colour.

    An image has one to three of the colours, each in one quarter.
    """
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True)
    lines, places = ["path,labels,split"], []
    for number in range(train + test):
        chosen = generator.permutation(list(COLOURS))[: generator.integers(1, 4)]
        where = dict(zip(map(str, chosen), map(int, generator.permutation(4)), strict=False))
        pixels = generator.integers(60, 190, (2 * SIDE, 2 * SIDE, 1)).repeat(3, 2)
        for colour, quarter in where.items():
            row, column = QUARTERS[quarter]
            noise = generator.integers(-20, 21, (SIDE, SIDE, 3))
            pixels[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE] = COLOURS[colour] + noise
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        split = "train" if number < train else "test"
        lines.append(f"{number}.png,{'|'.join(where)},{split}")
        if split == "test":
            places.append(where)
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder / "labels.csv", places
