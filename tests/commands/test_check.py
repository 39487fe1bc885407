from pathlib import Path

import pytest

from vit.commands.check import check, show
from vit.commands.inputs import load_recipe
from vit.data import datasets
from vit.errors import UserError


def test_a_recipe_is_counted_and_its_cost_estimated() -> None:
    findings = check("digits_resnet", {"schedule.epochs": 5})
    dataset = datasets.load(load_recipe("digits_resnet").data)
    assert findings.counts.sum(0).tolist() == [len(dataset.train), len(dataset.validation), len(dataset.test)]
    assert findings.faults == []
    assert findings.cost is not None
    assert findings.cost.epochs == 5
    assert findings.cost.seconds_per_epoch > 0
    text = show(findings)
    assert "5 epochs" in text and "all" in text


@pytest.mark.parametrize(("optimizer", "copies"), [("adamw", 4), ("sgd", 3), ("timm/lion", 3), ("timm/adan", 6)])
def test_memory_follows_the_optimizer(optimizer: str, copies: int) -> None:
    cost = check("digits_resnet", {"optimizer.name": optimizer}).cost
    assert cost is not None
    assert cost.state_bytes == pytest.approx(copies * 4 * cost.parameters, rel=0.01)


def test_a_folder_is_counted_without_a_recipe(photo_folder: Path) -> None:
    findings = check(photo_folder)
    assert len(findings.classes) == 3
    assert findings.counts.sum() == len(list(photo_folder.rglob("*.*")))
    assert findings.cost is None


def test_broken_and_uneven_data_are_named(photo_folder: Path) -> None:
    first = sorted(photo_folder.iterdir())[0]
    victim = sorted(first.glob("*.*"))[0]
    victim.write_bytes(victim.read_bytes()[:200])
    for path in sorted(first.glob("*.*"))[4:]:
        path.unlink()
    findings = check(photo_folder)
    (fault,) = findings.faults
    assert str(victim) in fault
    assert any(first.name in remark for remark in findings.remarks)


def test_a_missing_folder_is_refused() -> None:
    with pytest.raises(UserError, match="neither a file nor a shipped recipe"):
        check("nowhere")
