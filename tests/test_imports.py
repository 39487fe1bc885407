"""The house's arrows: an import points to a lower floor, or stays in its own room."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vit"
FLOORS: dict[str, float] = {
    "errors": 0,
    "randomness": 0,
    "chains": 0,
    "terminal": 0,
    "places": 1,
    "progress": 1,
    "files": 1,
    "hardware": 2,
    "registry": 2,
    "environment": 3,
    "messages": 3,
    "probabilities": 0,
    "folder_lock": 3,
    "recipe": 3,
    "run_folder": 4,
    "models": 4,
    "data": 5,
    "kernels": 5,
    "pretrained": 6,
    "report": 6.5,
    "runtimes": 6.6,
    "model": 7,
    "inference": 8,
    "training": 8,
    "evaluation": 9,
    "audit": 10,
    "bench": 10,
    "explanations": 10,
    "exporters": 10,
    "serving": 11,
    "robustness": 10,
    "comparison": 11,
    "planning": 11.5,
    "commands": 12,
    "cli": 13,
    "__main__": 14,
    "__init__": 14,  # names the public functions of every floor, and imports them when they are used
}
EDGE = ("vit.training.", "vit.hardware.distributed")  # where Lightning may stand
ONLY_CLUSTER = {"vit.comparison.ray_cluster", "vit.comparison.ray_nodes"}  # where ray may


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Return the absolute names of the modules that a file imports, anywhere in it."""
    here = ("vit", *path.relative_to(PACKAGE).with_suffix("").parts)
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            names |= {f"{source}.{alias.name}" for alias in node.names} if node.level else {source}
    return names


def floor(name: str) -> float:
    parts = name.split(".")[1:]
    return FLOORS.get(".".join(parts[:2]), FLOORS.get(parts[0] if parts else "", FLOORS["errors"]))


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    own = "vit." + ".".join(part for part in parts if part != "__init__" or len(parts) == 1)
    for name in imported(path):
        if not name.startswith("vit."):
            continue
        same_room = name.split(".")[1] == own.split(".")[1]
        assert same_room or floor(name) < floor(own) or floor(own) == floor(name) == 0, f"{own} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_lightning_stays_at_the_edge(path: Path) -> None:
    own = "vit." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    uses = any(name.split(".")[0] == "lightning" for name in imported(path))
    assert not uses or own.startswith(EDGE)


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_ray_is_imported_only_when_asked_for(path: Path) -> None:
    own = "vit." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    names = imported(path)
    assert own in ONLY_CLUSTER or not any(name.split(".")[0] == "ray" for name in names)


def test_every_module_has_a_floor() -> None:
    rooms = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in modules()}
    assert rooms <= set(FLOORS)


def test_one_file_makes_consoles_which_read_no_markup() -> None:
    makers = {path.stem for path in modules() if "rich.console.Console" in names_in(path)}
    assert makers == {"terminal"}


def names_in(path: Path) -> set[str]:
    """Return what a file imports by name, with the module's."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    return {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
