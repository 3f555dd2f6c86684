"""What names the version of the code: what runs, and no word about it."""

from __future__ import annotations

import ast
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jobs.publishing import batches
from jobs.publishing.batches import code_version, strip_prose

TOP = Path(__file__).parents[2]
SOURCE = '''"""What it is."""

import os  # why


# more
class A:
    """Docs,
    of two lines."""

    text = """no docs # and no comment"""

    def f(self, x: int = 1) -> str:
        "docs"
        # why
        return (
            f"{x} # no comment"  # but this
            "and more"
        )
'''
STRIPPED = '''import os
class A:
    text = """no docs # and no comment"""
    def f(self, x: int = 1) -> str:
        return (
            f"{x} # no comment"
            "and more"
        )'''


def test_strip_prose_leaves_what_runs():
    assert strip_prose(SOURCE) == STRIPPED


@pytest.mark.parametrize("package", ["schemas", "features", "jobs"])
def test_strip_prose_of_every_module_is_the_same_code(package):
    """By the syntax tree, in which a function of nothing but a docstring is empty."""
    for path in sorted((TOP / package).rglob("*.py")):
        source = path.read_text()
        bare = strip_prose(source)
        wanted = ast.parse(source)
        for node in ast.walk(wanted):
            if (
                isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
                and ast.get_docstring(node) is not None
            ):
                node.body = node.body[1:]
        holders = [node for node in ast.walk(wanted) if getattr(node, "body", None) == []]
        if not holders:
            assert ast.dump(ast.parse(bare)) == ast.dump(wanted), path


def test_code_version_changes_with_code_alone(monkeypatch):
    texts = {}

    def version(text):
        texts["text"] = text
        monkeypatch.setattr(batches, "_sources", lambda folder: iter([("a.py", strip_prose(texts["text"]))]))
        return code_version.__wrapped__()

    before = version(SOURCE)
    assert version(SOURCE.replace("What it is", "What it was").replace("# why", "# because")) == before
    assert version(SOURCE.replace("x: int = 1", "x: int = 2")) != before
    assert version(SOURCE.replace("no docs # and", "no docs, and")) != before


def test_code_version_is_the_same_in_threads():
    """Steps of a flow ask for it at once."""
    with ThreadPoolExecutor(4) as pool:
        versions = [future.result() for future in [pool.submit(code_version.__wrapped__) for _ in range(8)]]
    assert set(versions) == {code_version()}
