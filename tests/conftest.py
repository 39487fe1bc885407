"""What several tests share: photographs, folders cut from them, redrawn modules, and small trainings."""

import os
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from heard import heard
from PIL import Image

import vit
from vit.files import read_json
from vit.run_folder import RunFolder

if TYPE_CHECKING:
    from playwright.sync_api import Browser

if "PYTEST_XDIST_WORKER" in os.environ:  # several processes share the cores: one thread each, theirs too
    os.environ.setdefault("OMP_NUM_THREADS", "1")

DATA = Path(os.environ.get("VIT_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
TILES = ((0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (0.3, 0.3), (0.15, 0.15), (0.1, 0.3), (0.3, 0.1), (0.2, 0.0))
CIFAR_TRAIN, CIFAR_TEST = 6, 2  # images of each class that `cifar_folder` holds
QUICK = {"schedule.epochs": 3, "schedule.warmup_epochs": 1, "data.fraction": 0.5}
COMPARISON = """recipes: [digits_vit, digits_resnet_se]
seeds: 2
fractions: [0.3, 0.6]
overrides: {schedule.epochs: 3, schedule.warmup_epochs: 1, model.drop_path: 0.05}
"""


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Let every test that uses torch draw the same numbers, whichever tests ran before."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What the package logs meanwhile, a text a record."""
    with heard() as lines:
        yield lines


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch):
    """Let torch.cuda and the processor's clock be those of a simulated GPU."""
    import torch
    from simulated_gpu import SimulatedGPU

    simulated = SimulatedGPU()
    monkeypatch.setattr(torch.cuda, "synchronize", simulated.wait)
    monkeypatch.setattr(torch.cuda, "Event", simulated.event)
    monkeypatch.setattr("time.perf_counter", lambda: simulated.now)
    return simulated


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A real browser, of tests that skip where there is none."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        arguments += ["--disable-sync"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def photographs() -> list[Path]:
    """One hundred ImageNet photographs, one a class folder, of many sizes."""
    found = sorted((DATA / "imagenet-samples").glob("*/*.JPEG"))
    if not found:
        pytest.skip(f"no photographs below {DATA / 'imagenet-samples'}; VIT_TEST_DATA names their folder")
    return found


@pytest.fixture(scope="session")
def photo_root(tmp_path_factory: pytest.TempPathFactory, photographs: list[Path]) -> Path:
    """Three class folders of eight small images each, cut from a photograph of that class; sides and formats differ."""
    root = tmp_path_factory.mktemp("photo_root") / "photos"
    for photograph in (photographs[3], photographs[40], photographs[77]):
        cut_tiles(photograph, root / photograph.parent.name)
    return root


@pytest.fixture
def photo_folder(photo_root: Path, tmp_path: Path) -> Path:
    """A copy of `photo_root` that a test may spoil."""
    return Path(shutil.copytree(photo_root, tmp_path / "photos"))


def cut_tiles(photograph: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    with Image.open(photograph) as image:
        rgb = image.convert("RGB")
    for number, (left, top) in enumerate(TILES):
        corner = (int(left * rgb.width), int(top * rgb.height))
        tile = rgb.crop((*corner, corner[0] + int(0.7 * rgb.width), corner[1] + int(0.7 * rgb.height)))
        tile.resize((48 + number, 40)).save(folder / f"{number}.{'jpg' if number % 2 else 'png'}")


@pytest.fixture(scope="session")
def cifar_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first few images of every class of CIFAR-10, in train/<class> and test/<class>."""
    archive = DATA / "cifar10.tar.xz"
    if not archive.is_file():
        pytest.skip(f"there is no {archive}; VIT_TEST_DATA names its folder")
    root = tmp_path_factory.mktemp("cifar10")
    kept = {"train": CIFAR_TRAIN, "test": CIFAR_TEST}
    taken: dict[Path, int] = {}
    with tarfile.open(archive) as members:
        for member in members:
            path = Path(member.name)
            if member.isfile() and taken.get(path.parent, 0) < kept[path.parts[0]]:
                taken[path.parent] = taken.get(path.parent, 0) + 1
                write_member(members, member, root / path)
    return root


def write_member(members: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    content = members.extractfile(member)
    assert content is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.read())


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Return the function from an image and a format's options to the bytes of its file."""

    def to_bytes(image: Image.Image, form: str, **options) -> bytes:
        buffer = BytesIO()
        image.save(buffer, form, **options)
        return buffer.getvalue()

    return to_bytes


@pytest.fixture(scope="session")
def randomize() -> Callable:
    """Return the function that draws every parameter and buffer of a module anew, so that none hides behind 0 or 1."""
    from drawn_models import drawn_anew

    return drawn_anew


@pytest.fixture(scope="session")
def outputs_at() -> Callable:
    """Return the function (module, images, names) -> what the named submodules give, and the logits under ""."""
    import torch

    def run(module, images, names: Iterable[str]) -> dict[str, torch.Tensor]:
        seen: dict[str, torch.Tensor] = {}
        hooks = [
            module.get_submodule(name).register_forward_hook(
                lambda _, __, out, name=name: seen.update({name: out.clone()})  # timm's next ReLU works in place
            )
            for name in names
        ]
        with torch.no_grad():
            seen[""] = module.eval()(images)
        for hook in hooks:
            hook.remove()
        return seen

    return run


@pytest.fixture(scope="session")
def assert_same_outputs(outputs_at: Callable) -> Callable:
    """Return the check that two modules agree at the named submodules and in their logits, to 1e-5 of values near 1."""

    def check(ours, theirs, images, names: Iterable[str] = ()) -> None:
        names = list(names)
        left, right = outputs_at(ours, images, names), outputs_at(theirs, images, names)
        for name in [*names, ""]:
            assert left[name].shape == right[name].shape, name
            assert right[name].std() > 1e-2, f"{name} is nearly constant: nothing would be compared"
            worst = (left[name] - right[name]).abs().max().item()
            scale = max(1.0, right[name].abs().max().item())
            assert worst <= 1e-5 * scale, f"{name or 'logits'}: {worst:.2e} apart, values up to {scale:.1f}"
        assert (left[""] - right[""]).abs().max() <= 1e-5, "logits"

    return check


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
        for row in results["recommendations"]:
            for key in ("model", "beside", "pace", "faster"):
                row.pop(key)  # of the cheapest
        for way in results["time_to_accuracy"]["models"]:
            way.pop("seconds")
        results["curves"] = [{k: v for k, v in curve.items() if k != "seconds"} for curve in results["curves"]]
        return results

    return read
