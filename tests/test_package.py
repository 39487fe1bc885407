"""What is installed, and what the README promises about it."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import vit
from vit import recipe as recipes

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PEERS = {"openvino", "transformers"}  # what `vit bench` times beside, where they are installed


def test_the_public_names_are_there() -> None:
    for name in vit.__all__:
        assert getattr(vit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        vit.trian  # noqa: B018


def test_models_are_listed_by_pattern() -> None:
    assert {"vit_tiny", "vit_huge"} <= set(vit.list_models("vit_*"))
    assert not set(vit.list_models("resnet*")) & set(vit.list_models("vit*"))


@pytest.mark.skipif(shutil.which("uv") is None, reason="uv builds the wheel")
def test_the_wheel_carries_recipes_and_templates(tmp_path: Path) -> None:
    subprocess.run(["uv", "build", "--wheel", "--out-dir", tmp_path], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in recipes.shipped_names():
        assert f"vit/_recipes/{name}.yaml" in names
    assert {f"vit/_recipes/schema/{kind}.schema.json" for kind in ("recipe", "comparison")} <= names
    assert {"vit/report/templates/report.html", "vit/report/templates/report.md"} <= names
    assert not [name for name in names if name.startswith(("tests", "tools"))]


def test_the_readme_names_verbs_and_recipes_that_exist() -> None:
    verbs = {"train", "evaluate", "predict", "compare", "check", "models", "recipes", "finetune", "export"}
    verbs |= {"find-lr", "bench", "explain", "demo", "serve", "pretrain"}
    assert set(re.findall(r"\bvit ([a-z-]+)\b", "\n".join(re.findall(r"`vit [^`]*`|^vit .*$", README, re.M)))) <= verbs
    for command in re.findall(r"^vit (?:train|compare) (\w+) ", README, re.M):
        assert command in (*recipes.shipped_names(), "photos")  # a folder, as the README calls one of the reader's


def test_the_readme_links_to_files_that_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert "://" in target or (ROOT / target).exists(), target


def test_every_pinned_version_is_in_both_places() -> None:
    constraints = re.findall(r'^    "([\w.-]+)==([\w.+]+)', (ROOT / "pyproject.toml").read_text(), re.M)
    required = re.findall(r"^([\w.-]+)==([\w.+]+)", (ROOT / "requirements.txt").read_text(), re.M)
    assert len(required) > 50
    assert set(required) <= set(constraints)


def test_what_is_imported_is_declared_and_nothing_else_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {re.split(r"[^\w.-]", requirement)[0] for group in groups for requirement in group}
    distributions = packages_distributions()
    provided = {normalized(name) for package in imported_packages() - PEERS for name in distributions[package]}
    assert provided == {normalized(name) for name in declared}


def imported_packages() -> set[str]:
    """Return the packages of others that any file of vit imports, anywhere in it."""
    names: set[str] = set()
    for path in (ROOT / "vit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module)
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names


def normalized(name: str) -> str:
    return name.lower().replace("_", "-")
