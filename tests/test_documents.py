"""What README and CONTRIBUTING say of the house is how it stands."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_imports import FLOORS

ROOT = Path(__file__).parent.parent
README, CONTRIBUTING = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PATH = re.compile(r"`((?:\.ci|docs|recipes|tests|tools|vit)/[\w./-]*)`")


def tree() -> list[str]:
    """Return the paths of README's tree, from its top to its bottom."""
    (block,) = re.findall(r"## The house\n\n```\n(.*?)```", README, re.S)
    entries = re.findall(r"^( *)(\S+)", block, re.M)
    return [f"vit/{name}" if indent else name for indent, name in entries]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_paths_that_a_page_names_exist(page: Path) -> None:
    missing = [path for path in PATH.findall(page.read_text(encoding="utf-8")) if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_a_page_links_to_exist(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


def in_nav(entry: Any) -> Iterator[str]:
    """Yield the pages below an entry of the site's navigation."""
    if isinstance(entry, str):
        yield entry
    else:
        for inside in entry.values() if isinstance(entry, dict) else entry:
            yield from in_nav(inside)


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = {path.relative_to(ROOT / "docs") for form in ("md", "html") for path in (ROOT / "docs").rglob(f"*.{form}")}
    shown = {path.as_posix() for path in pages if path.name != site["exclude_docs"]}
    joined = {"index.md", "contributing.md", "changelog.md"}  # README, CONTRIBUTING and CHANGELOG
    assert sorted(in_nav(site["nav"])) == sorted(shown | joined)


def test_the_tree_names_what_exists_and_every_room() -> None:
    assert [path for path in tree() if not (ROOT / path).exists()] == []
    rooms = {f"vit/{name}" for name in FLOORS if not name.startswith("__")}
    assert rooms == {path.removesuffix("/").removesuffix(".py") for path in tree() if path.startswith("vit/")} - {"vit"}


def test_the_tree_stands_as_imports_point() -> None:
    floors = [FLOORS[Path(path).stem] for path in tree() if Path(path).stem in FLOORS]
    assert floors == sorted(floors, reverse=True)


def test_the_rule_about_imports_names_the_floors_that_are_held() -> None:
    (order,) = re.findall(r"`(cli > .*?)`", CONTRIBUTING, re.S)
    floors = [[FLOORS[room.strip()] for room in floor.split(",")] for floor in order.split(">")]
    assert all(len(set(floor)) == 1 for floor in floors)
    assert [floor[0] for floor in floors] == sorted({value for floor in floors for value in floor}, reverse=True)
