"""A project as `segue init` lays it out works as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segue.command import main

TOP = Path(__file__).parents[2]
LAYOUT = [
    ".gitignore", "README.md", "declarations/features.py", "expectations/plays.py", "segue.toml", "sources/plays.toml",
    "tests/test_project.py",
]  # fmt: skip


def run(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    return subprocess.run(
        [sys.executable, "-P", "-m", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_init_lays_out_a_project_that_loads_and_whose_test_passes(tmp_path, capsys):
    assert main(["init", str(tmp_path / "mine")]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "mine" / name) for name in LAYOUT]
    features = run(tmp_path / "mine" / "sources", "segue.command", "features")
    assert features.returncode == 0, features.stderr
    assert (
        "morning_plays_count" in features.stdout and "session_start_features: by user_id" in features.stdout
    )
    tests = run(tmp_path / "mine", "pytest", "-q", "tests", "-p", "no:cacheprovider")
    assert tests.returncode == 0 and "1 passed" in tests.stdout, tests.stdout
    (tmp_path / "mine" / "declarations" / "more.py").write_text("def (")
    broken = run(tmp_path / "mine", "pytest", "-q", "tests", "-p", "no:cacheprovider")
    assert broken.returncode == 1 and "more.py:1: SyntaxError" in broken.stdout, broken.stdout


@pytest.mark.parametrize("name", ["file", "full"])
def test_init_writes_over_nothing(tmp_path, capsys, name):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    assert main(["init", str(tmp_path / name)]) == 2
    assert "is there and not empty; nothing was written" in capsys.readouterr().err
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == ["file", "full", "file"]


def test_init_takes_an_empty_folder(tmp_path):
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "segue.toml").is_file()
