"""Keyword arguments and their types as a module's source declares them: nothing is imported, and no torch with it."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

PACKAGE = Path(__file__).parent.parent
REQUIRED = object()
NAMED: dict[str, Any] = {"bool": bool, "float": float, "int": int, "str": str}


@dataclass(frozen=True)
class Option:
    """One keyword argument of a table's function: its type and its default (`REQUIRED` when there is none)."""

    annotation: Any
    default: Any


@cache
def keyword_arguments(module: str, name: str) -> dict[str, Option]:
    """Return the keyword-only arguments of a function or class of this package.

    Raises TypeError for an argument whose type is missing, or written in a form that is not read here.
    """
    tree = _parsed(module)
    node = next(n for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == name)
    if isinstance(node, ast.ClassDef):
        node = next(n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    found = {}
    for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        try:
            annotation = _type_of(argument.annotation, module)
        except TypeError as error:
            raise TypeError(f"vit.{module}:{name}, {argument.arg}: {error}") from error
        found[argument.arg] = Option(annotation, REQUIRED if default is None else ast.literal_eval(default))
    return found


def _type_of(written: ast.expr | None, module: str) -> Any:
    """Return the type that an annotation of a module stands for."""
    match written:
        case ast.Constant(value=None):
            return None
        case ast.Name(id=name):
            return NAMED[name] if name in NAMED else _type_of(*_alias(name, module))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _type_of(left, module) | _type_of(right, module)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
            return Literal[ast.literal_eval(values)]
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[element, ast.Constant(value=last)])) if (
            last is Ellipsis
        ):
            return tuple[_type_of(element, module), ...]
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=elements)):
            return tuple[tuple(_type_of(element, module) for element in elements)]
        case ast.Subscript(
            value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[number, ast.Call(func=ast.Name(id="Field")) as field])
        ):
            bounds: dict[str, Any] = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in field.keywords}
            return Annotated[_type_of(number, module), Field(**bounds)]
    raise TypeError(f"the type {ast.unparse(written) if written else 'that is missing'} is not read from source")


def _alias(name: str, module: str) -> tuple[ast.expr, str]:
    """Return what a name stands for in a module, and in which module that is written."""
    for statement in _parsed(module).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                return value, module
            case ast.ImportFrom(module=str(source), names=names, level=level) if level:
                for imported in names:
                    if (imported.asname or imported.name) == name:
                        return _alias(imported.name, ".".join([*module.split(".")[:-level], source]))
    raise TypeError(f"there is no type {name}")


@cache
def _parsed(module: str) -> ast.Module:
    place = PACKAGE / module.replace(".", "/")
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))
