"""How the code is cut: lines, functions, private functions with one caller, comments, import circles.

    python benchmarks/craft.py [CHECKOUT ...]

One column per checkout, so that two commits stand side by side. Lines are those that hold code; a comment line is one
that starts with `#` and is no directive. A private function counts as having one caller where its name stands in one
other place of its file. A circle is a set of modules that import each other, inside functions included; imports
for type checkers are left out.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import statistics
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("segue", "schemas", "features", "expectations", "jobs")
DIRECTIVE = re.compile(r"#\s*(noqa|type:|fmt:|pragma)")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkouts", nargs="*", type=Path, default=[Path(__file__).resolve().parents[1]])
    measures = [measure(root) for root in parser.parse_args().checkouts]
    for name in measures[0]:
        print(f"{name:<44}" + "".join(f"{each[name]:>14}" for each in measures))


def measure(root: Path) -> dict[str, str]:
    sources = {
        path: path.read_text() for package in PACKAGES for path in sorted((root / package).rglob("*.py"))
    }
    trees = {path: ast.parse(source) for path, source in sources.items()}
    functions = [
        node
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    code = {path: _find_code_lines(source) for path, source in sources.items()}
    lines, comments = sum(map(len, code.values())), sum(map(_count_comments, sources.values()))
    bodies = sorted(_count_body_lines(function) for function in functions)
    files = sorted(source.count("\n") for source in sources.values())
    private = [
        (path, f.name)
        for path, tree in trees.items()
        for f in ast.walk(tree)
        if isinstance(f, ast.FunctionDef) and f.name.startswith("_") and not f.name.startswith("__")
    ]
    uses = {path: Counter(re.findall(r"\b_\w+", source)) for path, source in sources.items()}
    one_caller = [name for path, name in private if uses[path][name] <= private.count((path, name)) + 1]
    circles = list(_find_circles(_map_imports(trees, root)))
    return {
        "modules": str(len(sources)),
        "lines of code": f"{lines:,}",
        "lines per file, 90th percentile": str(files[int(len(files) * 0.9)]),
        "functions": f"{len(functions):,}",
        "lines per body, median": f"{statistics.median(bodies):.0f}",
        "lines per body, 90th percentile": str(bodies[int(len(bodies) * 0.9)]),
        "private functions with one caller": f"{len(one_caller)} of {len(private)}",
        "comment lines per 100 lines of code": f"{100 * comments / lines:.1f}",
        "import circles": str(len(circles)),
    }


def _find_code_lines(source: str) -> set[int]:
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        line
        for token in tokens
        if token.type not in silent and token.string
        for line in range(token.start[0], token.end[0] + 1)
    }


def _count_comments(source: str) -> int:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return sum(token.type == tokenize.COMMENT and not DIRECTIVE.match(token.string) for token in tokens)


def _count_body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines without the docstring."""
    first = function.body[0]
    has_docstring = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    end = function.end_lineno or function.lineno
    begin = (first.end_lineno or first.lineno) + 1 if has_docstring else first.lineno
    return max(end - begin + 1, 0)


def _map_imports(trees: dict[Path, ast.Module], root: Path) -> dict[str, set[str]]:
    """Every module, and the modules of ours that it imports."""
    names = {
        path: ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for path in trees
    }
    modules = set(names.values())
    return {
        names[path]: {
            module for name in _list_imported_names(tree) if (module := _find_module(name, modules))
        }
        - {names[path]}
        for path, tree in trees.items()
    }


def _find_module(name: str, modules: set[str]) -> str | None:
    """`package.module` itself, or the module that `package.module.name` is a name of."""
    return name if name in modules else next((p for p in [name.rpartition(".")[0]] if p in modules), None)


def _list_imported_names(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        else:
            yield from _list_imported_names(child)


def _find_circles(imports: dict[str, set[str]]) -> Iterator[list[str]]:
    """Strongly connected modules; few enough that each is searched from each."""
    reachable = {name: _list_reachable(name, imports) for name in imports}
    reported: set[str] = set()
    for name in sorted(imports):
        circle = sorted(other for other in reachable[name] if name in reachable[other])
        if circle and name not in reported:
            reported.update(circle)
            yield circle


def _list_reachable(start: str, imports: dict[str, set[str]]) -> set[str]:
    reachable: set[str] = set()
    todo = list(imports[start])
    while todo:
        name = todo.pop()
        if name not in reachable:
            reachable.add(name)
            todo.extend(imports.get(name, ()))
    return reachable


if __name__ == "__main__":
    main()
