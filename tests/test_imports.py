"""What may import what: no circles, and arrows between packages that point one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {
    ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__"): path
    for base, package in ((ROOT, "attnscope"), (ROOT / "cli", "attnscope_cli"))
    for path in sorted((base / package).rglob("*.py"))
}

# Circles that are still open; take them out as they are closed.
OPEN: list[set[str]] = []

# What a package must not import, at the top of a module or inside a function.
FORBIDDEN = {
    "scene": {
        "prepare",
        "model",
        "attention",
        "capture",
        "metrics",
        "correct",
        "evaluate",
        "report",
        "demo",
        "doctor",
        "view",
    },
    "attention": {
        "scene",
        "files",
        "model",
        "capture",
        "metrics",
        "correct",
        "evaluate",
        "report",
        "demo",
        "doctor",
        "view",
    },
    "model": {"capture", "metrics", "correct", "evaluate", "report", "demo", "doctor", "view"},
    "capture": {"metrics", "correct", "evaluate", "report", "demo", "doctor", "view"},
    "metrics": {"attention", "correct", "evaluate", "report", "demo", "doctor", "view"},
    "correct": {"evaluate", "report", "demo", "doctor", "view"},
    "evaluate": {"report", "demo", "doctor", "view"},
    "prepare": {"model", "attention", "capture", "metrics", "correct", "evaluate", "report", "demo", "doctor", "view"},
    "report": {"attention", "model", "evaluate", "demo", "doctor", "view"},
    "files": {
        "scene",
        "model",
        "attention",
        "capture",
        "metrics",
        "correct",
        "evaluate",
        "report",
        "demo",
        "doctor",
        "view",
    },
    "errors": {"files", "scene", "model", "attention", "capture", "metrics", "correct", "evaluate", "report"},
}


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _imports(node: ast.AST) -> list[str]:
    """Full names of everything that is imported below a node, except for annotations alone."""
    names: list[str] = []
    for child in ast.iter_child_nodes(node):
        if _only_for_types(child):
            names += [name for other in child.orelse for name in _imports(other)]  # type: ignore[attr-defined]
        elif isinstance(child, ast.Import):
            names += [alias.name for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are written in full"
            names += [f"{child.module}.{alias.name}" for alias in child.names]
        else:
            names += _imports(child)
    return names


def _module(name: str) -> str | None:
    """The module of this repository that an imported name is, or lies in."""
    while name and name not in FILES:
        name = name.rpartition(".")[0]
    return name or None


IMPORTS = {name: sorted(set(_imports(ast.parse(path.read_text("utf-8"))))) for name, path in FILES.items()}
GRAPH = {
    name: {module for imported in names if (module := _module(imported)) and module != name}
    for name, names in IMPORTS.items()
}


def _reached(start: str) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for module in GRAPH[waiting.pop()] - reached:
            reached.add(module)
            waiting.append(module)
    return reached


def test_no_module_imports_itself_by_way_of_others() -> None:
    reached = {name: _reached(name) for name in GRAPH}
    circles = {frozenset({name} | {other for other in reached[name] if name in reached[other]}) for name in GRAPH}
    circles = {circle for circle in circles if len(circle) > 1}
    assert circles == {frozenset(circle) for circle in OPEN}, [sorted(circle) for circle in circles]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_arrows_point_one_way(package: str) -> None:
    wrong = [
        f"{name} imports {module}"
        for name in GRAPH
        if f"{name}.".startswith(f"attnscope.{package}.")
        for module in sorted(GRAPH[name])
        if module.removeprefix("attnscope.").split(".")[0] in FORBIDDEN[package]
    ]
    assert wrong == []


def test_the_library_does_not_know_the_command_line() -> None:
    knows = [name for name in GRAPH if name.startswith("attnscope.") and "attnscope_cli" in str(GRAPH[name])]
    assert knows == ["attnscope.__main__"]


@pytest.mark.parametrize("package", ["metrics", "capture.read", "scene", "files"])
def test_what_reads_captures_needs_no_torch(package: str) -> None:
    """Directly or by way of another module of ours."""
    heavy = {"torch", "transformers", "accelerate", "torchvision"}
    inside = [name for name in GRAPH if f"{name}.".startswith(f"attnscope.{package}.")]
    for name in inside:
        for module in {name} | _reached(name):
            wanted = {imported.split(".")[0] for imported in IMPORTS[module]} & heavy
            assert not wanted, f"{name} needs {wanted} by way of {module}"
