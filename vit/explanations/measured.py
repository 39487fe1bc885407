"""What one model's explanations of test images are worth, as a comparison keeps it beside each run."""

from collections.abc import Sequence

from torch import Tensor

from ..model import Model
from ..report.run_files import Explained
from .cells import Grid, grid_for
from .explain import Explanation, explained, wanted_classes
from .faithfulness import Protocol
from .hooks import answering
from .methods import DEFAULT, METHODS, own_method
from .weights_check import likeness

MOST = 100  # images
PROTOCOL = Protocol(random_orders=1)


def measure(model: Model, images: Tensor, ids: Sequence[str]) -> list[Explained]:
    """Explain a model's answers to some images [B, 3, height, width], its input: as all models are, and as its kind is.

    The first images are taken; `ids` draw their random orders.
    """
    images = images[:MOST]
    with answering(model.module):
        own = own_method(model.module, images)
        wanted = [numbers[0] for numbers in wanted_classes(model, images, ())]
    methods = [method for method in (DEFAULT, own) if method]
    grid = grid_for(model.preprocessing.image_size)
    found = explained(model, images, [[c] for c in wanted], ids[: len(images)], methods=methods, protocol=PROTOCOL)
    return [_of_method(model, images, [some[k] for some in found], name, grid) for k, name in enumerate(methods)]


def _of_method(model: Model, images: Tensor, found: Sequence[Explanation], method: str, grid: Grid) -> Explained:
    gains = [explanation.curves.gains for explanation in found if explanation.curves]
    return {
        "method": METHODS[method].title,
        "answers": METHODS[method].answers,
        "deletion": [deletion for deletion, _ in gains],
        "insertion": [insertion for _, insertion in gains],
        "likeness": likeness(model, images, method, found, grid),
        "protocol": PROTOCOL.in_words(grid),
    }
