"""The words that nobody outside this project would look for stay out of names and of help texts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("segue", "schemas", "features", "expectations", "jobs", "benchmarks", "tests")
# word: what to write in its place; docs/glossary.md has the terms that are used
DIALECT = {
    "told": "say what it is: value, row, is_set",
    "heard": "plays",
    "asked": "requested, label, query",
    "anew": "again, rebuilt",
    "company": "context (word2vec), co-occurrence",
    "climb": "fall back",
    "climbed": "fill",
    "turned": "rotate",
    "whence": "source",
    "widened": "add columns",
    "stranger": "unknown key",
    "strangers": "unknown keys",
    "lying": "on storage",
    "theirs": "rows of users",
    "judged": "audit",
}
OLD_NAMES = {"made_from": "fingerprint", "rests_on": "base_version", "of_none": "empty_value"}


def _list_names(source: str) -> Iterator[tuple[int, str]]:
    """Every name that the source gives to something."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield node.lineno, node.name


def _find_replacement(name: str) -> str | None:
    """What to write instead; None where the name is no dialect."""
    if name in OLD_NAMES:
        return OLD_NAMES[name]
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return next((DIALECT[word] for word in snake.split("_") if word in DIALECT), None)


def test_names_are_words_of_the_field():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} {name}: {instead}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, name in _list_names(path.read_text())
        if (instead := _find_replacement(name))
    ]
    assert not wrong, "names that a newcomer would have to learn first:\n" + "\n".join(wrong)


def test_help_texts_are_in_words_of_the_field():
    lines = (ROOT / "tests" / "segue" / "help.txt").read_text().splitlines()
    wrong = [
        f"help.txt:{n} {word}: {DIALECT[word]}"
        for n, line in enumerate(lines, 1)
        for word in re.findall(r"[a-z]+", line.lower())
        if word in DIALECT
    ]
    assert not wrong, "help that a newcomer would have to learn first:\n" + "\n".join(wrong)


def test_find_replacement_of_names_in_old_words():
    source = (
        "def asked_days(heard): told = heard\nclass BeforeTold: pass\nmade_from = 1\nasking = held = 2\n"
        "try: pass\nexcept ValueError as turned: pass"
    )
    assert sorted(name for _, name in _list_names(source) if _find_replacement(name)) == [
        "BeforeTold",
        "asked_days",
        "heard",
        "made_from",
        "told",
        "turned",
    ]
