"""Images whose class one planted cell decides, and small models that learn them: maps must find the cell."""

import torch
import torch.nn.functional as F
from torch import Tensor

import vit
from vit.data.preprocessing import Preprocessing
from vit.explanations.cells import Grid
from vit.model import Architecture, Model

SIDE, CELL = 32, 4  # pixels
GRID = Grid(SIDE // CELL, SIDE // CELL)
COLOURS = torch.tensor([[3.0, -1.0, -1.0], [-1.0, 3.0, -1.0], [-1.0, -1.0, 3.0], [3.0, 3.0, -1.0]])
MODELS = {
    "vit": {"patch_size": 4, "embed_dim": 48, "depth": 3, "num_heads": 3, "position_std": 0.5},
    "resnet": {"block": "basic", "depths": (1, 1), "width": 16, "attention": "se"},
}


def planted(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return images of noise, each with one cell of its class's colour; the classes, and the cells' numbers."""
    images = torch.randn(count, 3, SIDE, SIDE, generator=generator) * 0.5
    labels = torch.randint(len(COLOURS), (count,), generator=generator)
    cells = torch.randint(GRID.cells, (count,), generator=generator)
    for image, label, cell in zip(images, labels, cells, strict=True):
        row, column = divmod(int(cell), GRID.columns)
        image[:, row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] += COLOURS[label][:, None, None]
    return images, labels, cells


def learned(name: str, seed: int = 0, steps: int = 400) -> Model:
    """Return a small model of MODELS that tells the colours of planted cells, after so many batches of 32."""
    torch.manual_seed(seed)
    options = MODELS[name]
    module = vit.create_model(name, num_classes=len(COLOURS), image_size=SIDE, **options).train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        images, labels, _ = planted(32, generator)
        loss = F.cross_entropy(module(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    preprocessing = Preprocessing((SIDE, SIDE), (0.5,) * 3, (0.5,) * 3)
    return Model(module.eval(), Architecture(name, options, len(COLOURS)), tuple("abcd"), preprocessing)
