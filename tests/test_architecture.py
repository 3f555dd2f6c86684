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
JUDGED = {*MAY_IMPORT, "deploy", "benchmarks", "tests", "reference", "pyspark", "delta"}
BAGS = {"util", "utils", "helper", "helpers", "misc", "commons"}
BODY_MEDIAN, BODY_P90, FILE_P90 = 8, 25, 300


def tracked() -> list[Path]:
    """Files of the project, those not yet added included, relative to its root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file())


def modules(root: Path = ROOT) -> Iterator[tuple[str, Path]]:
    for package in MAY_IMPORT:
        for path in sorted((root / package).rglob("*.py")):
            yield package, path


# --- who may import whom


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Line and top-level name of every absolute import, those inside functions included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.split(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module.split(".")[0]


def upward_imports(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}:{line} imports {name}; {package} may import {sorted(MAY_IMPORT[package])}"
        for package, path in modules(root)
        for line, name in imported(path.read_text())
        if name in JUDGED - MAY_IMPORT[package] - {package}
    ]


def test_imports_point_down():
    assert not upward_imports(ROOT), "\n".join(upward_imports(ROOT))


def test_an_import_that_points_up_is_seen(tmp_path):
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
    assert [text.split(";")[0] for text in upward_imports(tmp_path)] == [
        "segue/a.py:4 imports schemas",
        "segue/b.py:1 imports pyspark",
        "schemas/a.py:1 imports features",
        "features/a.py:2 imports expectations",
        "expectations/deep/a.py:1 imports features",
        "jobs/a.py:2 imports deploy",
    ]


@pytest.mark.parametrize(
    ("package", "heavy"),
    [("segue", JUDGED - {"segue"}), ("schemas", {"pyspark"}), ("jobs", {"pyspark", "delta"})],
)
def test_an_import_stays_light(package, heavy):
    code = f"import sys, json, {package}; print(json.dumps(sorted(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"import {package} fails:\n{done.stderr}"
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert package in loaded
    assert not loaded & heavy, f"import {package} pulls in {sorted(loaded & heavy)}"


# --- circles


def explicit_imports(path: Path) -> Iterator[str]:
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


def import_graph(root: Path) -> dict[str, set[str]]:
    """Each module of ours, and those of ours that it names; a package stands for its `__init__`."""
    paths = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for _, path in modules(root)
    }
    graph = {}
    for module, path in paths.items():
        named = set(explicit_imports(path)) & paths.keys()
        # `from package import module` needs the module: that the package is run first makes no circle
        packages = {name for name in named if any(other.startswith(f"{name}.") for other in named)}
        graph[module] = named - packages - {module}
    return graph


def circles(root: Path) -> list[str]:
    """One shortest circle through each module that lies on any, each circle once."""
    graph = import_graph(root)
    found = {}
    for start in sorted(graph):
        paths = [[start]]
        seen: set[str] = set()
        while paths:
            path = paths.pop(0)
            if start in graph[path[-1]]:
                found.setdefault(frozenset(path), " -> ".join([*path, start]))
                break
            targets = sorted(graph[path[-1]] - seen)
            seen.update(targets)
            paths += [[*path, module] for module in targets]
    return sorted(found.values())


def test_no_module_imports_itself_through_others():
    assert not circles(ROOT), "imports go in a circle:\n" + "\n".join(circles(ROOT))


def test_a_circle_is_seen(tmp_path):
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
    assert circles(tmp_path) == ["segue.a -> segue.b -> segue.c -> segue.a"]


# --- sizes and names


def code_lines(source: str) -> set[int]:
    """Numbers of the lines that hold code: no blank lines, no comments."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    spans = (range(t.start[0], t.end[0] + 1) for t in tokens if t.type not in silent and t.string)
    return {line for span in spans for line in span}


def bodies(source: str) -> Iterator[tuple[int, str]]:
    """Lines of code in each function's body, its docstring left out, and the function's name."""
    lines = code_lines(source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            held = range(body[0].lineno, body[-1].end_lineno + 1) if body else range(0)
            yield sum(line in lines for line in held), node.name


def p90(sizes: list[int]) -> float:
    return statistics.quantiles(sizes, n=10, method="inclusive")[-1]


def worst(sized: list[tuple[int, str]]) -> str:
    return "; the longest: " + ", ".join(f"{name} {size}" for size, name in sorted(sized, reverse=True)[:8])


def test_functions_are_short():
    sized = [
        (size, f"{path.relative_to(ROOT)}:{name}")
        for _, path in modules()
        for size, name in bodies(path.read_text())
    ]
    sizes = [size for size, _ in sized]
    assert statistics.median(sizes) <= BODY_MEDIAN, f"median body {statistics.median(sizes)}{worst(sized)}"
    assert p90(sizes) <= BODY_P90, f"90th percentile of bodies {p90(sizes)}{worst(sized)}"


def test_files_are_short():
    sized = [(len(path.read_text().splitlines()), str(path.relative_to(ROOT))) for _, path in modules()]
    limit = p90([size for size, _ in sized])
    assert limit <= FILE_P90, f"90th percentile of files {limit}{worst(sized)}"


def test_a_body_is_counted_without_what_does_not_run():
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
    assert sorted(bodies(source)) == [(0, "only_words"), (1, "h"), (2, "g"), (6, "f")]


def test_no_module_is_a_bag():
    bags = [str(path) for path in tracked() if path.suffix == ".py" and path.stem in BAGS]
    assert not bags, f"a module is named for what it holds: {bags}"


# --- what is shipped, and what must not be


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> set[str]:
    """Names in the wheel, built from a copy so that the checkout stays as it was."""
    copy = tmp_path_factory.mktemp("sources")
    for path in tracked():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, copy / path)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(copy / "out")]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"the wheel is not built:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    (built,) = (copy / "out").glob("*.whl")
    return set(zipfile.ZipFile(built).namelist())


def test_the_wheel_holds_every_file_of_every_package(wheel):
    ours = [path for path in tracked() if path.parts[0] in MAY_IMPORT]
    packages = {path.parts[0] for path in ours if path.name == "__init__.py"}
    assert packages == set(MAY_IMPORT), "a folder of ours is no package"
    missing = [str(path) for path in ours if path.as_posix() not in wheel]
    assert not missing, f"not in the wheel: {missing}"


def test_the_wheel_holds_nothing_else(wheel):
    strangers = {name.split("/")[0] for name in wheel} - set(MAY_IMPORT)
    assert all(name.endswith(".dist-info") for name in strangers), f"in the wheel: {sorted(strangers)}"


REGISTRY = re.compile(
    r"https?://\S*(maven|pypi|pythonhosted|npmjs|nexus|artifactory|jfrog)"
    r"|\b(pypi\.org|pythonhosted\.org|repo1?\.maven\S*|registry\.\w+\.\w+)"
)
MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(work|root|tmp)/")


def offences(pattern: re.Pattern[str], path: Path, text: str) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:120]}"
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        raw = (ROOT / path).read_bytes()
        if b"\0" not in raw:
            yield path, raw.decode()


def test_no_registry_is_named():
    found = [line for path, text in texts() for line in offences(REGISTRY, path, text)]
    found = [line for line in found if not line.startswith("tests/test_architecture.py")]
    assert not found, "whoever installs chooses the registry:\n" + "\n".join(found)


def test_no_path_of_one_machine_is_named():
    outside = [(path, text) for path, text in texts() if path.parts[0] != "tests"]
    found = [line for path, text in outside for line in offences(MACHINE_PATH, path, text)]
    assert not found, "such a path exists on one machine only:\n" + "\n".join(found)


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
def test_an_offence_is_seen(pattern, text):
    assert offences(pattern, Path("a.py"), f"fine\n{text}") == [f"a.py:2: {text}"]


@pytest.mark.parametrize("text", ["s3://bucket/tmp/x", "data/work/x", "$HOME/work/x", "pip install segue"])
def test_what_is_no_offence_is_let_through(text):
    assert not offences(REGISTRY, Path("a"), text) + offences(MACHINE_PATH, Path("a"), text)


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
        named = step.module == f"jobs.{step.name.replace('-', '_')}"
        assert named or step.name in step.arguments, f"{step.name} is not named as its module"
        assert step.help, f"step {step.name} says nothing about itself"
