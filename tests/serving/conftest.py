"""Two small models, served; and pictures to ask about."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from drawn_models import model_file
from served import Server, started

pytest.importorskip("starlette")


@pytest.fixture(scope="module")
def two_models(tmp_path_factory: pytest.TempPathFactory, randomize: Callable) -> list[str]:
    folder = tmp_path_factory.mktemp("models")
    return [
        model_file(folder / "vit.safetensors", randomize),
        model_file(folder / "cnn.safetensors", randomize, "resnet", attention="cbam"),
    ]


@pytest.fixture(scope="module")
def server(two_models: list[str]) -> Iterator[Server]:
    """Two small models, served for all tests of a module."""
    running = started(two_models)
    yield running
    running.process.send_signal(signal.SIGTERM)
    running.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Fifty different pictures, as files of several formats."""
    from vit.exporters.real_images import photographs

    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for number, crop in enumerate(photographs()[:50]):
        paths.append(folder / f"{number:02}.{('jpg', 'png', 'webp')[number % 3]}")
        crop.resize((60 + number, 90)).save(paths[-1])
    return paths
