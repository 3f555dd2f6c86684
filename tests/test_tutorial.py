"""The tutorial does what it says: its blocks are run in order, and what they print is what it shows."""

from __future__ import annotations

import importlib.util
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_OURS = ("lightgbm",)


class Block(NamedTuple):
    language: str
    code: str
    shown: str  # what the tutorial says that it prints; empty where it does not say


def blocks(text: str) -> Iterator[Block]:
    """The blocks that are run, each with the block of text right below it."""
    found = list(FENCE.finditer(text))
    for block, below in zip(found, [*found[1:], None], strict=True):
        if block[1] == "text":
            continue
        adjoins = below and below[1] == "text" and not text[block.end() : below.start()].strip()
        yield Block(block[1], block[2], below[2] if below and adjoins else "")


def run_shell(code: str) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["sh", "-ec", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, (
        f"{code}ends with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    )


def run_python(code: str, names: dict[str, object]) -> str:
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(code, str(TUTORIAL), "exec"), names)
    return printed.getvalue()


@pytest.mark.slow
def test_the_tutorial_does_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    done = []
    for language, code, shown in blocks(TUTORIAL.read_text()):
        if language == "toml":
            name = code.splitlines()[0].removeprefix("# ")
            Path(name).write_text(code)
        elif language == "sh":
            run_shell(code)
        elif not any(f"import {name}" in code and not importlib.util.find_spec(name) for name in NOT_OURS):
            printed = run_python(code, names)
            assert not shown or printed == shown, f"{code}\nprints\n{printed}\nand the tutorial says\n{shown}"
        done.append(language)
    assert done.count("python") >= 5 and {"toml", "sh"} <= set(done), done


def test_blocks_are_found_with_what_they_print():
    text = "a\n```python\nprint(1)\n```\n\n```text\n1\n```\n```sh\nls\n```\nso\n```text\nx\n```\n"
    assert list(blocks(text)) == [Block("python", "print(1)\n", "1\n"), Block("sh", "ls\n", "")]
