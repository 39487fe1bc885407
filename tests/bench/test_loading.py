"""Every loader that is timed does the same work: all images of a round, cropped, normalised, in batches."""

from pathlib import Path

import pytest

from vit.bench import loading
from vit.commands.bench_data import our_systems

SETTINGS = {"repeats": 2, "image_size": 32, "batch_size": 8, "workers": 0}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # timm leaves files open
@pytest.mark.parametrize("name", loading.PEERS)
def test_a_peer_loads_every_image(name: str, photo_folder: Path) -> None:
    work = loading.PEERS[name](folder=photo_folder, interpolation="bilinear", **SETTINGS)
    assert work() == work() == 48


def test_ours_load_every_image_in_every_way(photo_folder: Path, tmp_path: Path) -> None:
    systems = our_systems(photo_folder, SETTINGS, tmp_path)
    assert len(systems) == 4
    for system in systems:
        work = system.prepare(**system.arguments)
        assert work() == work() == 48
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 2  # of training and validation
