"""The faults that `benchmarks/mutation.py` puts in, which it draws, and what it says of the tests that see them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.mutants import draw, mutants_of
from benchmarks.touched import touching

TOP = Path(__file__).resolve().parents[1]


def list_changes(source: str) -> set[tuple[str, str]]:
    content = source.encode()
    return {(mutant.kind, mutant.applied(content).decode()) for mutant in mutants_of("a.py", content)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a <= b", {("comparison", "a < b")}),
        ("a == b != c", {("comparison", "a != b != c"), ("comparison", "a == b == c")}),
        ("é is  not b", {("comparison", "é is b")}),
        ("a and (b) and c", {("and/or", "a or (b) and c"), ("and/or", "a and (b) or c")}),
        ("(a)-(b)", {("arithmetic", "(a)+(b)")}),
        ("a //= b", {("arithmetic", "a *= b")}),
        ("f = ~a", {("dropped not", "f = a")}),
        ("f = not(a)", {("dropped not", "f = (a)")}),
        ("a = 7", {("plus one", "a = 8"), ("minus one", "a = 6")}),
        ("a = True", {("flag", "a = False")}),
        ("if a:\n  log(a)", {("negation", "if not (a):\n  log(a)"), ("dropped call", "if a:\n  pass")}),
        ("[a for a in b if c(a)]", {("negation", "[a for a in b if not (c(a))]")}),
        ("def f() -> list[str]:\n  return a", {("empty return", "def f() -> list[str]:\n  return []")}),
        ("def f():\n  return a, b", {("empty return", "def f():\n  return None")}),
        ("@cached(1)\ndef f(a: int | None) -> A[1]:\n  '''1 + 1'''\n  a: Literal[2]", set()),
        ("a = f'{1 + 1}'", set()),
    ],
)
def test_mutants_of_a_line(source, expected):
    assert list_changes(source) == expected


def test_diff_of_a_mutant_shows_its_line():
    source = b"def f(a):\n    b = a\n\n    return  b < 1\n"
    (swap,) = (mutant for mutant in mutants_of("m/a.py", source) if mutant.kind == "comparison")
    assert swap.diff(source) == "m/a.py:4 [comparison] return b < 1  ->  return b <= 1"


def test_draw_takes_the_same_mutants_of_functions_that_two_versions_share():
    functions = [f"def f{n}(a, b):\n    return a + {n} < b\n" for n in range(20)]
    before = {"a.py": "\n".join(functions).encode()}
    after = {"a.py": "\n".join(["def new(a):\n    return a - 5\n", *reversed(functions[1:])]).encode()}
    keys_before = [m.key for m in draw(before, 30, 7) if m.function != "f0"]
    keys_after = [m.key for m in draw(after, 40, 7) if m.function != "new"]
    assert len(keys_before) > 20
    assert keys_after[: len(keys_before)] == keys_before
    assert [m.key for m in draw(before, 30, 8)] != [m.key for m in draw(before, 30, 7)]


def test_touching_lists_the_tests_that_import_a_module_cheap_and_near_ones_first(tmp_path):
    sources = {
        "segue/a.py": "",
        "segue/b.py": "def f():\n    from segue import a",
        "jobs/__init__.py": "STEPS = ['jobs.c']",
        "jobs/c.py": "import segue.b",
        "jobs/d.py": "",
        "tests/faults/start.py": "import segue.a",
        "tests/faults/test_start.py": "SCRIPT = 'start.py'",
        "tests/test_far.py": "from segue.b import f",
        "tests/test_near.py": "from segue.a import g",
        "tests/test_other.py": "import jobs.d",
        "tests/test_spark.py": "import segue.a\ndef test(spark): ...",
        "tests/test_steps.py": "from jobs import STEPS",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    cheap = ["tests/test_near.py", "tests/faults/test_start.py", "tests/test_far.py", "tests/test_steps.py"]
    assert touching("segue/a.py", tmp_path, True) == cheap
    assert touching("segue/a.py", tmp_path, False) == [*cheap, "tests/test_spark.py"]


CHECKOUT = {
    ".gitignore": "build/\n__pycache__/\n",
    "setup.cfg": "[tool:pytest]\naddopts = -q --import-mode=importlib\npythonpath = . tests\n",
    "segue/a.py": "def seen(a):\n    return not a\n\n\ndef unseen(a):\n    return a\n",
    "tests/test_a.py": """
from segue.a import seen, unseen

def test_broken():
    assert unseen(0) == 4

def test_seen():
    assert seen(0) is True and seen(1) is False
""",
}


@pytest.fixture
def checkout(tmp_path):
    for name, text in CHECKOUT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    shutil.copytree(TOP / "benchmarks", tmp_path / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def run_mutation(checkout: Path) -> str:
    command = [sys.executable, "benchmarks/mutation.py", "--only", "segue/a.py", "--mutants", "99"]
    # Other plugins of pytest would take most of the time.
    plugins = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p pytest_timeout"}
    process = subprocess.run(
        command, cwd=checkout, env=os.environ | plugins, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_mutation_command_reports_survivors_and_leaves_broken_tests_out(checkout):
    output = run_mutation(checkout)
    lines = (checkout / "build" / "mutation.jsonl").read_text().splitlines()
    outcomes = {(each["key"].split()[1], each["outcome"], each["by"]) for each in map(json.loads, lines)}
    assert outcomes == {
        ("seen", "killed", "tests/test_a.py::test_seen"),
        ("unseen", "survived", ""),
    }
    assert "tests/test_a.py::test_broken fails without a fault, and is left out" in output
    assert "survived: segue/a.py:6 [empty return] return a  ->  return None" in output
    assert (checkout / "segue" / "a.py").read_text() == CHECKOUT["segue/a.py"]

    assert "fails without a fault" not in run_mutation(checkout), "what is known was run again"
    assert (checkout / "build" / "mutation.jsonl").read_text().splitlines() == lines
