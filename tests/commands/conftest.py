from pathlib import Path

import pytest

import vit
from vit.run_folder import RunFolder

QUICK = {"schedule.epochs": 3, "schedule.warmup_epochs": 1, "data.fraction": 0.5}


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
