"""The tutorial does what it says: its blocks are run in order, and what they print is what it shows."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Of the features that come with Segue, those that are looked at: the demo makes them all.
DECLARATIONS = """
from schemas import starting_set

USER_FEATURE_GROUP = starting_set.USER_FEATURE_GROUP.select(
    ("plays_count_1d", "plays_count_7d", "skips_rate_7d")
)
TRACK_FEATURE_GROUP = starting_set.TRACK_FEATURE_GROUP.select(("skips_rate_7d",))
"""


class Block(NamedTuple):
    language: str
    code: str
    output: str  # what the tutorial says that it prints; empty where it does not say


def find_blocks(text: str) -> Iterator[Block]:
    """The blocks that are run, each with the block of text right below it."""
    fences = list(FENCE.finditer(text))
    for block, below in zip(fences, [*fences[1:], None], strict=True):
        if block[1] == "text":
            continue
        is_adjacent = below and below[1] == "text" and not text[block.end() : below.start()].strip()
        yield Block(block[1], block[2], below[2] if below and is_adjacent else "")


def list_project_inputs(text: str) -> list[str]:
    """The files that the tutorial's segue.toml names, a block that is not run."""
    (project,) = [block[2] for block in FENCE.finditer(text) if block[2].startswith('root = "lake"')]
    settings = tomllib.loads(project)
    return [settings["source"], *settings["input"]]


def run_shell(code: str, declarations: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    settings = {"PYTHONPATH": str(ROOT), "SEGUE_DECLARATIONS": str(declarations)}
    environment = {**os.environ, "PATH": path, **settings}
    process = subprocess.run(
        ["sh", "-ec", code], capture_output=True, text=True, check=False, env=environment
    )
    assert process.returncode == 0, (
        f"{code}ends with {process.returncode}:\n{process.stdout[-4000:]}\n{process.stderr[-2000:]}"
    )


def run_python(code: str, names: dict[str, object]) -> str:
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(code, str(TUTORIAL), "exec"), names)
    return printed.getvalue()


@pytest.mark.slow
def test_tutorial_runs_and_prints_what_it_shows(tmp_path, monkeypatch):
    declarations = tmp_path / "declarations.py"
    declarations.write_text(DECLARATIONS)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    names: dict[str, object] = {}
    languages = []
    for language, code, output in find_blocks(TUTORIAL.read_text()):
        if language == "toml":
            name = code.splitlines()[0].removeprefix("# ")
            Path(name).write_text(code)
        elif language == "sh":
            run_shell(code, declarations)
        else:
            printed = run_python(code, names)
            assert not output or printed == output, (
                f"{code}\nprints\n{printed}\nand the tutorial says\n{output}"
            )
        languages.append(language)
    assert languages.count("python") >= 5 and {"toml", "sh"} <= set(languages), languages
    missing = [path for path in list_project_inputs(TUTORIAL.read_text()) if not Path(path).exists()]
    assert not missing, f"its segue.toml names {missing}, which the blocks before it did not make"


def test_find_blocks_pairs_code_with_its_output():
    text = "a\n```python\nprint(1)\n```\n\n```text\n1\n```\n```sh\nls\n```\nso\n```text\nx\n```\n"
    assert list(find_blocks(text)) == [Block("python", "print(1)\n", "1\n"), Block("sh", "ls\n", "")]
