"""A run tells how long it waited for images, and where that is long, what helps."""

import time
from pathlib import Path

import pytest

import vit
from vit.commands.inputs import load_recipe
from vit.data.stores import Files
from vit.run_folder import read_json
from vit.training.waiting import in_words


@pytest.mark.parametrize(
    ("overrides", "small", "advice"),
    [
        ({"data.workers": 1}, False, ["data.cache=ram or disk", "more data.workers than 1, of 4 cores", "augment"]),
        ({"data.workers": 4}, False, ["data.cache=ram or disk", "augment"]),
        ({"data.cache": "disk"}, False, ["augment"]),
        ({}, True, ["augment"]),
    ],
)
def test_what_helps(overrides, small: bool, advice: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vit.training.waiting.available_cores", lambda: 4)
    line = in_words(0.25, load_recipe("digits_vit", overrides), small)
    told, _, remedies = line.partition(": ")
    assert told == "25% of the time training waited for images"
    parts = remedies.split("; ")
    assert len(parts) == len(advice) and all(word in part for word, part in zip(advice, parts, strict=True))


def test_a_short_wait_needs_no_advice() -> None:
    assert in_words(0.04, load_recipe("digits_vit"), True) == "4% of the time training waited for images"


def test_a_slow_disk_is_seen(photo_folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    decode = Files.decode

    def slowly(store: Files, number: int):
        time.sleep(0.1)
        return decode(store, number)

    overrides = {"data.name": "folder", "data.path": str(photo_folder), "data.image_size": 8, "data.workers": 0}
    overrides |= {"training.batch_size": 8, "schedule.epochs": 2, "schedule.warmup_epochs": 0}
    shares = []
    for name in ("slow", "quick"):
        monkeypatch.setattr(Files, "decode", slowly if name == "slow" else decode)
        run = vit.train("digits_resnet", out=tmp_path / name, overrides=overrides)
        shares.append(read_json(run.summary)["waiting_share"])
    assert 1 >= shares[0] > shares[1] > 0 and shares[0] > 0.5
    said = [line for line in capsys.readouterr().err.splitlines() if "training waited for images" in line]
    assert len(said) == 2 and "data.cache=ram or disk" in said[0]
