"""Labels one after another: the same numbers as step by step, only paths that exist, and what it learns."""

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from quarters import write_quarters
from torch import Tensor, nn

import vit
from vit.errors import UserError
from vit.model import load
from vit.models import label_sequence
from vit.models.label_sequence import LabelSequence
from vit.training.label_words import paths_of, words_of_labels

TREE = ((0, 1), (0, 2, 3), (0, 2, 4), (5,), (5, 6), (7, 8))  # (5,) is a class around another
NAMES = ("animal/cat", "animal/dog/terrier", "animal/dog/pug", "plant", "plant/rose", "thing/cup")
RECIPE = {
    "data.name": "csv",
    "data.image_size": 16,
    "data.validation_fraction": 0.1,
    "model.head": "sequence",
    "model.depth": 2,
    "optimizer.lr": 2e-3,
    "schedule.epochs": 6,
    "schedule.warmup_epochs": 1,
    "training.batch_size": 32,
}


def head_of(paths: tuple[tuple[int, ...], ...], most_labels: int = 1) -> LabelSequence:
    head = LabelSequence(paths, most_labels, 48, 4, 96, "gelu", nn.LayerNorm).eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(std=0.3)
    return head


def step_by_step(head: LabelSequence, tokens: Tensor, words: tuple[int, ...], allowed: list[set[int]]) -> Tensor:
    """Return the log-probability of a sequence [B], every step computed alone, over what may follow there."""
    total = torch.zeros(len(tokens))
    for place, word in enumerate(words):
        heard = torch.tensor([[[head.end, *words[:place]]]]).expand(len(tokens), -1, -1)
        scores = head.after(tokens, heard)[:, 0, -1]
        among = sorted(allowed[place])
        total = total + scores[:, among].log_softmax(-1)[:, among.index(word)]
    return total


def test_the_logits_of_paths_are_the_log_probabilities_of_every_step() -> None:
    head, tokens = head_of(TREE), torch.randn(3, 17, 48)
    whole = [(*path, head.end) if path == (5,) else path for path in TREE]
    with torch.no_grad():
        logits = head(tokens)
        for number, path in enumerate(whole):
            allowed = [{other[depth] for other in whole if other[:depth] == path[:depth]} for depth in range(len(path))]
            assert torch.allclose(logits[:, number], step_by_step(head, tokens, path, allowed), atol=1e-5)
    assert torch.allclose(logits.exp().sum(1), torch.ones(3), atol=1e-5), "nothing is left for paths that do not exist"


def test_classes_get_a_word_for_every_place_of_the_tree() -> None:
    assert paths_of(NAMES) == TREE
    labels = np.array([[0, 1, 1], [0, 1, 0], [1, 1, 1]])
    assert words_of_labels({"head": "sequence"}, ("a", "b", "c"), labels) == {
        "label_paths": ((2,), (0,), (1,)),  # b is the most frequent, then c
        "most_labels": 3,
    }
    assert words_of_labels({}, NAMES, np.zeros(3)) == {}


SETS = ((2,), (0,), (3,), (1,))  # of four labels, in another order than their numbers


def allowed_after(words: tuple[int, ...], end: int) -> list[set[int]]:
    return [set(range(1 + max(words[:place], default=-1), end + 1)) for place in range(len(words))]


def test_the_loss_of_label_sets_is_that_of_every_step() -> None:
    head, tokens = head_of(SETS, most_labels=3), torch.randn(3, 17, 48)
    there = torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 1]])
    expected = []
    for image, labels in enumerate(there):
        words = (*sorted(SETS[label][0] for label in labels.nonzero().flatten()), head.end)
        expected.append(step_by_step(head, tokens[image : image + 1], words, allowed_after(words, head.end)))
    with torch.no_grad():
        assert torch.allclose(head.forced(tokens, there)[0], -torch.cat(expected).mean(), atol=1e-5)


@pytest.fixture
def every_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_sequence, "BEAMS", 100)


def test_with_enough_beams_the_probabilities_are_those_of_all_sets(every_set) -> None:
    head, tokens = head_of(SETS, most_labels=4), torch.randn(3, 17, 48)
    exact, total = torch.zeros(3, 4), torch.zeros(3)
    with torch.no_grad():
        for count in range(5):
            for chosen in combinations(range(4), count):
                words = (*chosen, head.end)
                likely = step_by_step(head, tokens, words, allowed_after(words, head.end)).exp()
                total += likely
                exact[:, list(chosen)] += likely[:, None]
        assert torch.allclose(total, torch.ones(3), atol=1e-5), "each label at most once, in one order: a distribution"
        assert torch.allclose(head(tokens).sigmoid(), exact[:, [path[0] for path in SETS]], atol=1e-5)


def test_more_beams_see_more(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = tuple((word,) for word in range(12))
    head, tokens = head_of(paths, most_labels=5), torch.randn(40, 17, 48)
    found = []
    with torch.no_grad():
        for beams in (1, 4, 16, 64):
            monkeypatch.setattr(label_sequence, "BEAMS", beams)
            found.append(head.marginals(tokens).sum(1))
    for fewer, more in pairwise(found):
        assert (more > fewer - 1e-5).all(), "one beam is the greedy way"


@pytest.fixture(scope="module")
def of_quarters(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A trained run on images of several labels, and the folder of its images."""
    folder = tmp_path_factory.mktemp("sequence")
    labels, _ = write_quarters(folder / "images", train=400, test=60)
    run = vit.train("digits_vit", out=folder / "run", overrides=RECIPE | {"data.path": str(labels)})
    return run.path, folder / "images"


def test_label_sets_are_learned_saved_and_answered_alike(of_quarters: tuple[Path, Path], tmp_path: Path) -> None:
    run, images = of_quarters
    scores = vit.evaluate(run).scores
    assert scores["mean_average_precision"] > 0.95 and scores["exact_match"] > 0.8
    model = load(run)
    assert model.output == "sigmoid" and model.architecture.options["most_labels"] == 3
    photo = images / "401.png"
    exported = load(vit.export(run, to="onnx", out=tmp_path / "onnx"))
    ours, theirs = (one.predict([photo], top=4)[0]["probabilities"] for one in (model, exported))
    assert np.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"training.loss": "bce"}, "training.loss=cross_entropy"),
        ({"mixing.mixup": 0.2}, "mixing.mixup=0 and mixing.cutmix=0"),
        ({"training.label_smoothing": 0.1}, "training.label_smoothing=0"),
        ({"tuning.trainable": "head"}, "tuning.trainable other than head"),
    ],
)
def test_what_label_sets_cannot_be_learned_with_is_told(of_quarters, tmp_path: Path, settings: dict, said: str) -> None:
    overrides = RECIPE | {"data.path": str(of_quarters[1] / "labels.csv")} | settings
    with pytest.raises(UserError, match=f"several labels need.*{said}"):
        vit.train("digits_vit", out=tmp_path / "run", overrides=overrides)


def test_a_hierarchy_of_folders_gives_paths_that_exist(photo_root: Path, tmp_path: Path) -> None:
    first, second, third = sorted(photo_root.iterdir())
    for place, folder in (("animal/one", first), ("animal/two", second), ("thing", third)):
        (tmp_path / "tree" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / place).symlink_to(folder)
    settings = RECIPE | {"data.name": "nested_folders", "data.path": str(tmp_path / "tree"), "training.batch_size": 8}
    run = vit.train("digits_vit", out=tmp_path / "run", overrides=settings)
    model = load(run.path)
    assert model.classes == ("animal/one", "animal/two", "thing")
    assert model.architecture.options["label_paths"] == ((0, 1), (0, 2), (3,))
    row = model.predict([next(first.glob("*.png"))])[0]
    assert set(row["classes"]) == set(model.classes) and sum(row["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert vit.evaluate(run.path).scores["num_images"] > 0
    flat = vit.train("digits_vit", out=tmp_path / "flat", overrides=settings | {"model.head": "linear"})
    assert load(flat.path).classes == model.classes, "a hierarchy's folders are classes for any model"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"label_paths": ((0,), (1,), (2,))}, "label_paths are of 3 classes, and the model has 2"),
        ({"label_paths": ((0, 1), (0, 2)), "most_labels": 2}, "paths of several labels an image are of one word"),
    ],
)
def test_paths_that_are_none_are_told(options: dict, said: str) -> None:
    small = {"patch_size": 4, "embed_dim": 48, "depth": 1, "num_heads": 4}
    with pytest.raises(UserError, match=said):
        vit.create_model("vit", num_classes=2, image_size=16, head="sequence", **small, **options)
