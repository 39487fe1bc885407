"""Where the system refuses, a command tells the place, the reason and what to do, and not its own insides."""

import errno
from pathlib import Path

import pytest

import vit.commands.models
from vit.cli import run
from vit.errors import UserError
from vit.hardware.system_errors import told_to_mend
from vit.places import cache_folder, expanded

FULL = OSError(errno.ENOSPC, "No space left on device", "runs/a/recipe.yaml")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FULL, "runs/a/recipe.yaml: No space left on device; free some space there"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "x: Permission denied; look who owns it"),
        (OSError("an odd one"), "an odd one"),
        (UnicodeEncodeError("utf-8", "a\udce9", 1, 2, "surrogates not allowed"), "that is not UTF-8"),
        (RuntimeError("[enforce fail] . PytorchStreamWriter failed writing file data/0"), "could not be written"),
        (
            OSError("Caught OSError in worker.\nTraceback:\n  line\nOSError: [Errno 5] Input"),
            "OSError: [Errno 5] Input",
        ),
    ],
)
def test_is_told_as_theirs_to_mend(error, said, monkeypatch, capsys):
    def fails() -> str:
        raise error

    monkeypatch.setattr(vit.commands.models, "show", fails)
    assert run(["models"]) == 2
    told = capsys.readouterr().err
    assert said in told and "Traceback (" not in told and told.startswith("vit: ")


def test_a_fault_of_ours_stays_one(monkeypatch, capsys):
    assert told_to_mend(ValueError("shapes differ")) is None

    def fails() -> str:
        raise ValueError("shapes differ")

    monkeypatch.setattr(vit.commands.models, "show", fails)
    assert run(["models"]) == 1
    assert "a fault of ours" in capsys.readouterr().err


def test_a_user_without_a_home_keeps_things_among_the_temporary_ones(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "vit"
    monkeypatch.delenv("XDG_CACHE_HOME")

    def homeless(*_) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(Path, "expanduser", homeless)
    assert cache_folder().name.startswith("vit-")
    with pytest.raises(UserError, match="~/photos: the home folder of ~ is not known here .* write the path whole"):
        expanded("~/photos")
