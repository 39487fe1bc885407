"""The loss of a batch: by hand, and put together from parts."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_class_weight

from vit.recipe import Training
from vit.training.loss import Loss, balanced_weights
from vit.training.scores import TrainingSums, ValidationSums, main_score, make_sums

LABELS = np.repeat([0, 1, 2], [7, 2, 1])
LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3], [1.0, 0.0, -2.0], [0.0, 3.0, 1.0]])
CLASSES = torch.tensor([0, 2, 1, 1])
TARGETS = F.one_hot(CLASSES, 3).float()


def make(**training) -> Loss:
    return Loss(Training(**training), 3, LABELS)


def test_class_weights_are_those_of_scikit_learn_and_one_on_average() -> None:
    weights = balanced_weights(LABELS, 3)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS)
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    assert weights[torch.from_numpy(LABELS)].mean() == pytest.approx(1.0)


def test_cross_entropy_by_hand() -> None:
    by_hand = [-np.log(np.exp(row[c]) / np.exp(row).sum()) for row, c in zip(LOGITS.numpy(), CLASSES, strict=True)]
    assert make()(LOGITS, TARGETS).item() == pytest.approx(np.mean(by_hand))
    weights = 10 / (3 * np.array([7, 2, 1]))[CLASSES.numpy()]
    assert make(class_weights="balanced")(LOGITS, TARGETS).item() == pytest.approx(np.mean(weights * by_hand))


def test_bce_by_hand() -> None:
    probabilities = 1 / (1 + np.exp(-LOGITS.numpy()))
    smooth = TARGETS.numpy() * 0.9 + 0.1 / 3
    by_hand = -(smooth * np.log(probabilities) + (1 - smooth) * np.log(1 - probabilities))
    assert make(loss="bce", label_smoothing=0.1)(LOGITS, TARGETS).item() == pytest.approx(by_hand.mean())


@pytest.mark.parametrize("training", [{}, {"class_weights": "balanced"}, {"loss": "bce", "class_weights": "balanced"}])
def test_parts_of_a_batch_add_up_to_the_whole(training: dict) -> None:
    loss = make(**training)
    parts = (loss(LOGITS[:2], TARGETS[:2]) + loss(LOGITS[2:], TARGETS[2:])) / 2
    assert parts.item() == pytest.approx(loss(LOGITS, TARGETS).item())


def test_scores_are_those_of_all_images_whatever_the_batches() -> None:
    same = lambda values: values  # noqa: E731
    training, validation = TrainingSums(), ValidationSums(3)
    for rows in (slice(0, 1), slice(1, 4)):
        training.add(F.cross_entropy(LOGITS[rows], CLASSES[rows]), LOGITS[rows], TARGETS[rows])
        validation.add(LOGITS[rows], CLASSES[rows])
    loss = F.cross_entropy(LOGITS, CLASSES).item()
    scores = training.close(same) | validation.close(same)
    assert scores["train_loss"] == pytest.approx(loss) == scores["validation_loss"]
    assert scores["train_top1"] == scores["validation_top1"] == 0.5
    assert scores["validation_balanced_accuracy"] == pytest.approx((1 + 0.5 + 0) / 3)
    validation.add(LOGITS[:1], CLASSES[:1])
    assert validation.close(same)["validation_balanced_accuracy"] == 1.0  # begun anew; absent classes do not count


SEVERAL = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=bool)


def test_several_labels_are_weighted_and_smoothed_by_label() -> None:
    weights = balanced_weights(SEVERAL, 3)
    assert weights.tolist() == pytest.approx([5 / 6, 5 / 6, 5 / 3])
    loss = Loss(Training(loss="bce", label_smoothing=0.2, class_weights="balanced"), 3, SEVERAL)
    probabilities = 1 / (1 + np.exp(-LOGITS.numpy()))
    smooth = SEVERAL * 0.8 + 0.1
    by_hand = -(smooth * np.log(probabilities) + (1 - smooth) * np.log(1 - probabilities)) * weights.numpy()
    assert loss(LOGITS, torch.from_numpy(SEVERAL).float()).item() == pytest.approx(by_hand.mean())


def test_scores_of_several_labels_are_those_of_scikit_learn() -> None:
    same = lambda values: values  # noqa: E731
    training, validation = make_sums(3, multilabel=True)
    targets = torch.from_numpy(SEVERAL).float()
    for rows in (slice(0, 1), slice(1, 4)):
        training.add(F.binary_cross_entropy_with_logits(LOGITS[rows], targets[rows]), LOGITS[rows], targets[rows])
        validation.add(LOGITS[rows], targets[rows])
    state = training.state(same)
    scores = validation.close(same)
    training.load(state)
    scores |= training.close(same)
    said = LOGITS.numpy() > 0
    for split in ("train", "validation"):
        assert scores[f"{split}_loss"] == pytest.approx(F.binary_cross_entropy_with_logits(LOGITS, targets).item())
        for average in ("micro", "macro"):
            assert scores[f"{split}_{average}_f1"] == pytest.approx(f1_score(SEVERAL, said, average=average))
    assert main_score(scores) == "macro_f1"
    validation.add(LOGITS[2:3], targets[2:3])
    assert validation.close(same)["validation_macro_f1"] == 0.5  # begun anew; of the two classes that occur
