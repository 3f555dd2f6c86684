"""The shape that architecture.md and style.md ask for, held by the build."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tokenize
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# what each package may import of ours, and whether Spark: everything else named here points up
MAY_IMPORT: dict[str, set[str]] = {
    "segue": set(),
    "schemas": {"pyspark"},
    "features": {"schemas", "pyspark"},
    "expectations": {"schemas", "pyspark"},
    "jobs": {"segue", "schemas", "features", "expectations", "pyspark", "delta"},
}
CHECKED = {*MAY_IMPORT, "deploy", "benchmarks", "tests", "reference", "pyspark", "delta"}
BAGS = {"util", "utils", "helper", "helpers", "misc", "commons"}
BODY_MEDIAN, BODY_P90, FILE_P90 = 8, 25, 300


def list_files() -> list[Path]:
    """Files of the project, those not yet added included, relative to its root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(Path(name) for name in names.split("\0") if name and (ROOT / name).is_file())


def list_modules(root: Path = ROOT) -> Iterator[tuple[str, Path]]:
    for package in MAY_IMPORT:
        for path in sorted((root / package).rglob("*.py")):
            yield package, path


# --- who may import whom


def list_imports(source: str) -> Iterator[tuple[int, str]]:
    """Line and top-level name of every absolute import, those inside functions included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]


def find_upward_imports(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{line} imports {name}; {package} may import {sorted(MAY_IMPORT[package])}"
        for package, path in list_modules(root)
        for line, name in list_imports(path.read_text())
        if name in CHECKED - MAY_IMPORT[package] - {package}
    ]


def test_packages_import_only_packages_below_them():
    assert not find_upward_imports(ROOT), "\n".join(find_upward_imports(ROOT))


def test_upward_imports_finds_every_import_that_points_up(tmp_path):
    sources = {
        "segue/a.py": "import json\nimport segue.b\ndef f():\n    from schemas.plays import PLAYS",
        "segue/b.py": "import pyspark.sql as s",
        "schemas/a.py": "import json, features",
        "features/a.py": "from schemas import plays\nfrom expectations.gate import audit",
        "expectations/deep/a.py": "import features.sessions",
        "jobs/a.py": "import segue, schemas, features, expectations\nimport deploy.flow",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    assert [text.split(";")[0] for text in find_upward_imports(tmp_path)] == [
        "segue/a.py:4 imports schemas",
        "segue/b.py:1 imports pyspark",
        "schemas/a.py:1 imports features",
        "features/a.py:2 imports expectations",
        "expectations/deep/a.py:1 imports features",
        "jobs/a.py:2 imports deploy",
    ]


@pytest.mark.parametrize(
    ("package", "heavy"),
    [("segue", CHECKED - {"segue"}), ("schemas", {"pyspark"}), ("jobs", {"pyspark", "delta"})],
)
def test_import_of_a_package_loads_no_heavy_module(package, heavy):
    code = f"import sys, json, {package}; print(json.dumps(sorted(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, f"import {package} fails:\n{process.stderr}"
    modules = {name.split(".")[0] for name in json.loads(process.stdout)}
    assert package in modules
    assert not modules & heavy, f"import {package} pulls in {sorted(modules & heavy)}"


# --- circles


def list_explicit_imports(path: Path) -> Iterator[str]:
    """Full names that a module imports, functions included; not those for type checkers alone."""
    tree = ast.parse(path.read_text())
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            # either may be the module: `from package import module`, `from module import name`
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def build_import_graph(root: Path) -> dict[str, set[str]]:
    """Each module of ours, and those of ours that it names; a package stands for its `__init__`."""
    paths = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for _, path in list_modules(root)
    }
    graph = {}
    for module, path in paths.items():
        imports = set(list_explicit_imports(path)) & paths.keys()
        # `from package import module` needs the module: that the package is run first makes no circle
        packages = {name for name in imports if any(other.startswith(f"{name}.") for other in imports)}
        graph[module] = imports - packages - {module}
    return graph


def find_circles(root: Path) -> list[str]:
    """One shortest circle through each module that lies on any, each circle once."""
    graph = build_import_graph(root)
    circles_by_modules = {}
    for start in sorted(graph):
        paths = [[start]]
        visited_modules: set[str] = set()
        while paths:
            path = paths.pop(0)
            if start in graph[path[-1]]:
                circles_by_modules.setdefault(frozenset(path), " -> ".join([*path, start]))
                break
            targets = sorted(graph[path[-1]] - visited_modules)
            visited_modules.update(targets)
            paths += [[*path, module] for module in targets]
    return sorted(circles_by_modules.values())


def test_imports_make_no_circles():
    assert not find_circles(ROOT), "imports go in a circle:\n" + "\n".join(find_circles(ROOT))


def test_circles_finds_a_circle(tmp_path):
    sources = {
        "segue/a.py": "from segue import b",
        "segue/b.py": "def f():\n    from segue.c import name",
        "segue/c.py": "import segue.a",
        "segue/typed.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from segue.user import x",
        "segue/user.py": "from segue.typed import y",
        "jobs/__init__.py": "from jobs import one",
        "jobs/one.py": "from jobs.two import x",
        "jobs/two.py": "import json",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    assert find_circles(tmp_path) == ["segue.a -> segue.b -> segue.c -> segue.a"]


# --- sizes and names


def find_code_lines(source: str) -> set[int]:
    """Numbers of the lines that hold code: no blank lines, no comments."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    spans = (range(t.start[0], t.end[0] + 1) for t in tokens if t.type not in silent and t.string)
    return {line for span in spans for line in span}


def measure_bodies(source: str) -> Iterator[tuple[int, str]]:
    """Lines of code in each function's body, its docstring left out, and the function's name."""
    lines = find_code_lines(source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            body_lines = range(body[0].lineno, body[-1].end_lineno + 1) if body else range(0)
            yield sum(line in lines for line in body_lines), node.name


def p90(sizes: list[int]) -> float:
    return statistics.quantiles(sizes, n=10, method="inclusive")[-1]


def list_longest(named_sizes: list[tuple[int, str]]) -> str:
    return "; the longest: " + ", ".join(
        f"{name} {size}" for size, name in sorted(named_sizes, reverse=True)[:8]
    )


def test_functions_are_short():
    named_sizes = [
        (size, f"{path.relative_to(ROOT)}:{name}")
        for _, path in list_modules()
        for size, name in measure_bodies(path.read_text())
    ]
    sizes = [size for size, _ in named_sizes]
    assert statistics.median(sizes) <= BODY_MEDIAN, (
        f"median body {statistics.median(sizes)}{list_longest(named_sizes)}"
    )
    assert p90(sizes) <= BODY_P90, f"90th percentile of bodies {p90(sizes)}{list_longest(named_sizes)}"


def test_files_are_short():
    named_sizes = [
        (len(path.read_text().splitlines()), str(path.relative_to(ROOT))) for _, path in list_modules()
    ]
    limit = p90([size for size, _ in named_sizes])
    assert limit <= FILE_P90, f"90th percentile of files {limit}{list_longest(named_sizes)}"


def test_bodies_counts_only_lines_that_run():
    source = '''
def f(
    a, b,
):
    """Two
    lines."""

    # why
    def g():
        return """not
        a docstring"""

    return (
        g  # and this
    )

class C:
    async def h(self): ...
    def only_words(self):
        """That is all."""
'''
    assert sorted(measure_bodies(source)) == [(0, "only_words"), (1, "h"), (2, "g"), (6, "f")]


def test_modules_are_not_named_as_grab_bags():
    bags = [str(path) for path in list_files() if path.suffix == ".py" and path.stem in BAGS]
    assert not bags, f"a module is named for what it holds: {bags}"


# --- what is shipped, and what must not be


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> set[str]:
    """Names in the wheel, built from a copy so that the checkout stays as it was."""
    copy = tmp_path_factory.mktemp("sources")
    for path in list_files():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, copy / path)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(copy / "out")]
    process = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert process.returncode == 0, (
        f"the wheel is not built:\n{process.stdout[-2000:]}\n{process.stderr[-2000:]}"
    )
    (wheel_path,) = (copy / "out").glob("*.whl")
    return set(zipfile.ZipFile(wheel_path).namelist())


def test_wheel_contains_every_file_of_every_package(wheel):
    package_files = [path for path in list_files() if path.parts[0] in MAY_IMPORT]
    packages = {path.parts[0] for path in package_files if path.name == "__init__.py"}
    assert packages == set(MAY_IMPORT), "a folder of ours is no package"
    missing = [str(path) for path in package_files if path.as_posix() not in wheel]
    assert not missing, f"not in the wheel: {missing}"


def test_wheel_contains_nothing_but_the_packages(wheel):
    other_names = {name.split("/")[0] for name in wheel} - set(MAY_IMPORT)
    assert all(name.endswith(".dist-info") for name in other_names), f"in the wheel: {sorted(other_names)}"


REGISTRY = re.compile(
    r"https?://\S*(maven|pypi|pythonhosted|npmjs|nexus|artifactory|jfrog)"
    r"|\b(pypi\.org|pythonhosted\.org|repo1?\.maven\S*|registry\.\w+\.\w+)"
)
MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(work|root|tmp)/")


def find_offences(pattern: re.Pattern[str], path: Path, text: str) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:120]}"
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def read_texts() -> Iterator[tuple[Path, str]]:
    for path in list_files():
        raw = (ROOT / path).read_bytes()
        if b"\0" not in raw:
            yield path, raw.decode()


def test_texts_name_no_package_registry():
    offences = [line for path, text in read_texts() for line in find_offences(REGISTRY, path, text)]
    offences = [line for line in offences if not line.startswith("tests/test_architecture.py")]
    assert not offences, "whoever installs chooses the registry:\n" + "\n".join(offences)


def test_texts_name_no_path_of_one_machine():
    other_texts = [(path, text) for path, text in read_texts() if path.parts[0] != "tests"]
    offences = [line for path, text in other_texts for line in find_offences(MACHINE_PATH, path, text)]
    assert not offences, "such a path exists on one machine only:\n" + "\n".join(offences)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (REGISTRY, "--index-url https://mirror.example/pypi/simple"),
        (REGISTRY, "see pypi.org"),
        (REGISTRY, "http://repo.maven.apache.org/maven2"),
        (MACHINE_PATH, 'open("/work/main/x")'),
        (MACHINE_PATH, "cd /root/"),
        (MACHINE_PATH, "/tmp/segue"),
    ],
)
def test_offences_finds_registries_and_machine_paths(pattern, text):
    assert find_offences(pattern, Path("a.py"), f"fine\n{text}") == [f"a.py:2: {text}"]


@pytest.mark.parametrize("text", ["s3://bucket/tmp/x", "data/work/x", "$HOME/work/x", "pip install segue"])
def test_offences_ignores_other_addresses_and_paths(text):
    assert not find_offences(REGISTRY, Path("a"), text) + find_offences(MACHINE_PATH, Path("a"), text)


# --- the flow


def test_every_step_has_a_module_with_a_main():
    from jobs import EXTRA, FLOW

    steps = FLOW + EXTRA
    assert len({step.name for step in steps}) == len(steps), "two steps share a name"
    for step in steps:
        spec = importlib.util.find_spec(step.module)
        assert spec, f"step {step.name}: no module {step.module}"
        source = ast.parse(Path(spec.origin).read_text())
        names = {node.name for node in source.body if isinstance(node, ast.FunctionDef)}
        names |= {getattr(t, "id", "") for n in source.body if isinstance(n, ast.Assign) for t in n.targets}
        assert "main" in names, f"step {step.name}: {step.module} has no main"
        has_module_name = step.module == f"jobs.{step.name.replace('-', '_')}"
        assert has_module_name or step.name in step.arguments, f"{step.name} is not named as its module"
        assert step.help, f"step {step.name} says nothing about itself"
