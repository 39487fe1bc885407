"""Programs of torch.export: they run without this package, at any batch, and are not opened where they hold more."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_models import CLASSES, SMALL, model_file

import vit
from vit.cli import run
from vit.errors import UserError
from vit.exporters import agreement, real_images
from vit.model import load

VARIANTS = {
    "cls": ("vit", {}),
    "registers": ("vit", {"pool": "cls_mean", "layer_scale": 0.1, "registers": 4, "activation": "swiglu"}),
    "cbam": ("resnet", {"attention": "cbam"}),
    "bottleneck": ("resnet", {"stem": "7x7", "block": "bottleneck", "attention": "eca"}),
}
ALONE = """
import sys; sys.modules["vit"] = None
import json, torch
more = {"vit.json": "", "made_by.txt": ""}
program = torch.export.load(sys.argv[1], extra_files=more).module()
pixels = torch.load(sys.argv[2])
with torch.inference_mode():
    answers = [torch.cat([program(part)[0] for part in pixels.split(size)]) for size in (1, 7, 64)]
torch.save(torch.stack(answers), sys.argv[3])
print(more["vit.json"]); print(more["made_by.txt"])
"""


@pytest.fixture
def written(tmp_path: Path, randomize: Callable) -> Callable[..., Path]:
    def write(name: str = "vit", **options) -> Path:
        file = model_file(tmp_path / "model.safetensors", randomize, name, **options)
        return vit.export(file, to="torch-export", out=tmp_path / "exported") / "model.pt2"

    return write


@pytest.mark.parametrize(("name", "options"), VARIANTS.values(), ids=VARIANTS)
def test_a_program_runs_in_a_process_without_this_package(name, options, written, tmp_path: Path) -> None:
    file = written(name, **options)
    model = load(tmp_path / "model.safetensors")
    crops = real_images.photographs()[:64]
    pixels = real_images.stacked(model, crops.__getitem__, range(len(crops)))
    torch.save(torch.from_numpy(pixels), tmp_path / "pixels.pt")
    command = [sys.executable, "-W", "ignore", "-c", ALONE, file, tmp_path / "pixels.pt", tmp_path / "answers.pt"]
    said, made_by = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()
    expected = agreement.model_logits(model, pixels)
    for answers in torch.load(tmp_path / "answers.pt").numpy():
        assert np.abs(answers - expected).max() <= 1e-6 * max(1.0, np.abs(expected).max())
    assert json.loads(said)["classes"] == list(CLASSES) and torch.__version__ in made_by


def test_a_program_is_a_model_wherever_one_answers(written, tmp_path: Path, capsys) -> None:
    file = written()
    real_images.photographs()[0].save(tmp_path / "photo.png")
    assert run(["predict", str(file.parent), str(tmp_path / "photo.png"), "--format", "json"]) == 0
    row = json.loads(capsys.readouterr().out)[0]
    expected = load(tmp_path / "model.safetensors").predict([tmp_path / "photo.png"])[0]
    assert row["classes"] == expected["classes"]
    assert np.allclose(row["probabilities"], expected["probabilities"], atol=1e-6)
    assert load(file).preprocessing == SMALL
    with zipfile.ZipFile(file) as archive:
        inside = [archive.read(name) for name in archive.namelist()]
    assert not any(str(Path(vit.__file__).parent).encode() in content for content in inside), "paths of this machine"


class Bomb:
    """A pickle that leaves a mark where it is opened."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def changed(file: Path, to: Path, change: Callable[[str, bytes], bytes | None], **more: bytes) -> Path:
    """Write an archive again, with other contents: None leaves a file out."""
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(to, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            content = change(name, source.read(name))
            if content is not None:
                target.writestr(name, content)
        for name, content in more.items():
            target.writestr(f"model/{name}", content)
    return to


def test_nothing_that_a_stranger_put_into_an_archive_runs(written, tmp_path: Path) -> None:
    file, mark = written(), tmp_path / "mark"
    torch.save(Bomb(mark), tmp_path / "bomb.pt")
    bomb = (tmp_path / "bomb.pt").read_bytes()
    weights = [name for name in zipfile.ZipFile(file).namelist() if "/weights/weight_" in name]
    first = Path(weights[0]).name

    def pickled_weight(name: str, content: bytes) -> bytes:
        if name.endswith("model_weights_config.json"):
            config = json.loads(content)
            for payload in config["config"].values():
                payload["use_pickle"] = payload["path_name"] == first or payload["use_pickle"]
            return json.dumps(config).encode()
        return bomb if name == weights[0] else content

    attacks = {
        "a pickled weight": changed(file, tmp_path / "a.pt2", pickled_weight),
        "sample inputs": changed(file, tmp_path / "b.pt2", lambda n, c: bomb if n.endswith("model.pt") else c),
        "a library": changed(file, tmp_path / "c.pt2", lambda n, c: c, **{"data/aotinductor/model/a.so": b"\x7fELF"}),
        "an object": changed(file, tmp_path / "d.pt2", lambda n, c: c, **{"data/constants/opaque_obj_0": bomb}),
        "the old format": changed(file, tmp_path / "e.pt2", lambda n, c: None, **{"serialized_state_dict.pt": bomb}),
    }
    for what, archive in attacks.items():
        with pytest.raises(UserError):
            load(archive)
        assert not mark.exists(), f"{what} ran"
    with pytest.warns(Warning) if False else pytest.raises(Exception):
        torch.export.load(attacks["a pickled weight"])
    assert mark.exists(), "torch itself opens it: the test would else show nothing"


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"no archive at all"])
def test_damaged_files_end_in_words(content: bytes, written, tmp_path: Path) -> None:
    (tmp_path / "damaged.pt2").write_bytes(content)
    with pytest.raises(UserError, match="cannot be read by torch"):
        load(tmp_path / "damaged.pt2")
    whole = written()
    (tmp_path / "cut.pt2").write_bytes(whole.read_bytes()[:-999])
    with pytest.raises(UserError):
        load(tmp_path / "cut.pt2")
