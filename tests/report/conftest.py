from collections.abc import Callable

import numpy as np
import pytest

from vit.report import metrics
from vit.report.runs import Run


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """Return the function that makes a run which is right where `right` [N] says so, of three classes."""

    def make(right: list[bool] | np.ndarray, model: str = "a", seed: int = 0, fraction: float = 1.0, **more) -> Run:
        classes = more.pop("classes", ["cat", "cow", "dog"])
        count = len(right)
        labels = more.pop("labels", np.arange(count) % 3)
        said = np.where(right, labels, (labels + 1) % 3)
        logits = 3.0 * np.eye(3)[said] + np.linspace(0, 0.1, count)[:, None] * np.eye(3)[said]
        ids = more.pop("ids", np.array([f"test/{i}.png" for i in range(count)]))
        scores = metrics.scores(logits, labels, classes)
        return Run(
            model,
            fraction,
            seed,
            {},
            {"training_images": round(100 * fraction)},
            scores,
            ids,
            labels,
            logits,
            {},
            "",
            [],
            **more,
        )

    return make
