"""What a name on the command line stands for."""

from pathlib import Path

import pytest

from vit.recipe import is_data, names_data


def test_a_shipped_name_is_the_recipe_though_its_results_lie_in_a_folder_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("compare_digits", "photos"):
        Path(name).mkdir()
    assert not is_data("compare_digits") and not names_data("compare_digits")
    assert is_data("./compare_digits") and is_data(tmp_path / "compare_digits") and is_data("photos")
