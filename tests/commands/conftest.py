from collections.abc import Callable
from pathlib import Path

import pytest

import vit
from vit.files import read_json
from vit.run_folder import RunFolder

QUICK = {"schedule.epochs": 3, "schedule.warmup_epochs": 1, "data.fraction": 0.5}
COMPARISON = """recipes: [digits_vit, digits_resnet_se]
seeds: 2
fractions: [0.3, 0.6]
overrides: {schedule.epochs: 3, schedule.warmup_epochs: 1, model.drop_path: 0.05}
"""


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A small residual network, trained for three epochs on half of the digits."""
    return vit.train("digits_resnet", out=tmp_path_factory.mktemp("runs") / "digits", overrides=QUICK)


@pytest.fixture(scope="session")
def photo_run(photo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The same network, trained for an epoch on a folder of photographs."""
    overrides = {
        "data.name": "folder",
        "data.path": str(photo_root),
        "data.image_size": 32,
        "schedule.epochs": 1,
        "schedule.warmup_epochs": 0,
        "training.batch_size": 8,
    }
    return vit.train("digits_resnet_cbam", out=tmp_path_factory.mktemp("runs") / "photos", overrides=overrides)


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("comparison") / "two.yaml"
    path.write_text(COMPARISON)
    return path


@pytest.fixture(scope="session")
def report(comparison: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that comparison, carried out on this machine; not to be changed."""
    return vit.compare(comparison, out=tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def timed() -> set[str]:
    """What a clock or a memory counter measures of a model."""
    rates = ("train_images_per_second", "images_per_second", "latency_ms")
    return {"train_seconds", "peak_memory_bytes", *(f"{rate}{end}" for rate in rates for end in ("", "_low", "_high"))}


@pytest.fixture(scope="session")
def untimed(timed: set[str]) -> Callable[[Path], dict]:
    """Return the function from a comparison's folder to its results.json without what was timed."""

    def read(folder: Path) -> dict:
        results = read_json(folder / "results.json")
        results.pop("environment")
        results["models"] = [{k: v for k, v in model.items() if k not in timed} for model in results["models"]]
        for model in results["models"]:
            model["timed_on"].pop("batch_size")  # the fastest
        for way in results["time_to_accuracy"]["models"]:
            way.pop("seconds")
        results["curves"] = [{k: v for k, v in curve.items() if k != "seconds"} for curve in results["curves"]]
        return results

    return read
