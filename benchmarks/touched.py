"""Which test files touch a module, by who imports whom: the cheap and the near ones first."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterator
from functools import cache
from pathlib import Path

FOLDERS = ("segue", "schemas", "features", "expectations", "jobs", "tests")
# It counts lines and builds wheels: a fault's text must not be what it sees.
LEFT_OUT = "tests/test_architecture.py"
# What a package's __init__ names in strings, such as the steps of jobs.FLOW, is for those who import a name of it.
NAMES = "#names"


def touching(module: str, top: Path, no_spark: bool) -> list[str]:
    """Test files from whose imports `module` is reached: without Spark first, then by the number of imports."""
    distances = {test: distance for test in _tests(top) if (distance := _distances(top, test).get(module))}
    costly = {test: _is_costly(top, test) for test in distances}
    tests = [test for test in distances if not (no_spark and costly[test])]
    return sorted(tests, key=lambda test: (costly[test], distances[test], test))


def _tests(top: Path) -> list[str]:
    tests = sorted(str(path.relative_to(top)) for path in (top / "tests").rglob("test_*.py"))
    return [test for test in tests if test != LEFT_OUT]


@cache
def _distances(top: Path, test: str) -> dict[str, int]:
    """How many imports lead from a test file, or its conftest, to each module."""
    graph, distances = _graph(top), {test: 0}
    ahead = deque([test])
    while ahead:
        here = ahead.popleft()
        for there in graph.get(here, ()):
            if there not in distances:
                distances[there] = distances[here] + 1
                ahead.append(there)
    return distances


@cache
def _graph(top: Path) -> dict[str, set[str]]:
    """Edges from each file to those it imports, starts or names; a test's conftest is one of them."""
    paths = [path for folder in FOLDERS for path in sorted((top / folder).rglob("*.py"))]
    files = {_name(path.relative_to(top)): str(path.relative_to(top)) for path in paths}
    graph: dict[str, set[str]] = {}
    for path in paths:
        here, tree = str(path.relative_to(top)), ast.parse(path.read_bytes())
        graph[here] = {file for name in _list_imports(tree) for file in _find_files(name, files)}
        named_files = {
            file for text in _list_strings(tree) for file in _find_files(text, files) if text in files
        }
        named_files |= {str(Path(here).parent / text) for text in _list_strings(tree)} & set(files.values())
        graph[here + NAMES if path.name == "__init__.py" else here] = graph[here] | named_files
        if path.name.startswith("test_"):
            conftest = str(Path(here).with_name("conftest.py"))
            graph[here] |= {conftest} if (top / conftest).exists() else set()
    return graph


def _name(path: Path) -> str:
    """As imported; pytest puts `tests` itself on the path."""
    parts = path.with_suffix("").parts
    return ".".join(part for part in parts[parts[0] == "tests" :] if part != "__init__")


def _list_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _find_files(name: str, files: dict[str, str]) -> Iterator[str]:
    """The files of a dotted name: its packages, the module, and the names of a package if it is none."""
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        file = files.get(".".join(parts[:count]))
        if file:
            yield file
        elif files.get(".".join(parts[: count - 1]), "").endswith("__init__.py"):
            yield files[".".join(parts[: count - 1])] + NAMES


def _list_strings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@cache
def _is_costly(top: Path, test: str) -> bool:
    """Whether `spark` is an argument in the file or in its folder's conftest, or a test has the mark `slow`."""
    files = [top / test, (top / test).with_name("conftest.py")]
    nodes = [node for file in files if file.exists() for node in ast.walk(ast.parse(file.read_bytes()))]
    return any(getattr(node, "arg", "") == "spark" or getattr(node, "attr", "") == "slow" for node in nodes)
