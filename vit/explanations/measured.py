"""What one model's explanations of test images are worth, as a comparison keeps it beside each run."""

from collections.abc import Sequence

from torch import Tensor

from ..model import Model
from ..report.run_files import Explained
from .cells import grid_for
from .explain import explained, wanted_classes
from .faithfulness import Protocol
from .hooks import answering
from .methods import DEFAULT, METHODS, own_method
from .weights_check import likeness

MOST = 100  # images
PROTOCOL = Protocol(steps=10, random_orders=1)


def measure(model: Model, images: Tensor, ids: Sequence[str]) -> list[Explained]:
    """Explain a model's answers to some images [B, 3, height, width], its input: as all models are, and as its kind is.

    The first images are taken; `ids` draw their random orders.
    """
    images = images[:MOST]
    with answering(model.module):
        own = own_method(model.module, images)
        wanted = [numbers[0] for numbers in wanted_classes(model, images, ())]
    return [_of_method(model, images, wanted, ids, method) for method in (DEFAULT, own) if method]


def _of_method(model: Model, images: Tensor, wanted: Sequence[int], ids: Sequence[str], method: str) -> Explained:
    grid = grid_for(model.preprocessing.image_size)
    found = explained(model, images, wanted, ids[: len(images)], method=method, grid=grid, protocol=PROTOCOL)
    gains = [explanation.curves.gains for explanation in found if explanation.curves]
    return {
        "method": METHODS[method].title,
        "answers": METHODS[method].answers,
        "deletion": [deletion for deletion, _ in gains],
        "insertion": [insertion for _, insertion in gains],
        "likeness": likeness(model, images, method, found, grid),
        "protocol": PROTOCOL.in_words(grid),
    }
