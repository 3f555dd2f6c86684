"""A project as `segue init` lays it out works as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import demo, flow
from jobs.errors import WrongUsage
from jobs.generate_plays import _source_toml
from jobs.sources import load_source
from schemas.project_declarations import load_declarations
from schemas.starting_set import STARTING_SET
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


def test_demo_project_takes_all_declarations_and_knows_the_generated_files(tmp_path, monkeypatch):
    assert main(["init", "--template", "demo", str(tmp_path / "demo")]) == 0
    groups = load_declarations([str(tmp_path / "demo" / "declarations")], ()).groups
    assert sorted(group.table for group in groups) == sorted(group.table for group in STARTING_SET)
    assert {*groups} == {*STARTING_SET}
    (tmp_path / "generated.toml").write_text(_source_toml())
    source = load_source(str(tmp_path / "demo" / "sources" / "plays.toml"))
    assert source == load_source(str(tmp_path / "generated.toml"))
    monkeypatch.setenv("SEGUE_SOURCE", "mine.toml")
    monkeypatch.setenv("SEGUE_EXPECTATIONS", "mine.py")
    with demo._use_project(str(tmp_path / "demo")):
        args = flow._parser().parse_args([])
        assert args.source == str(tmp_path / "demo" / "sources" / "plays.toml")
        assert (args.root, args.catalogue) == (
            str(tmp_path / "demo"),
            [str(tmp_path / "demo" / "landing" / "tracks")],
        )
        assert "SEGUE_EXPECTATIONS" not in os.environ
    assert (os.environ["SEGUE_SOURCE"], os.environ["SEGUE_EXPECTATIONS"]) == ("mine.toml", "mine.py")


def test_demo_in_another_project_is_refused_and_deletes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "FEATURE_GROUPS", STARTING_SET[:1])
    (tmp_path / "file").touch()
    with pytest.raises(WrongUsage, match="the demo is a project of its own; run it outside"):
        demo.run_demo(str(tmp_path), 2000, 45)
    assert (tmp_path / "file").exists()


def test_init_takes_an_empty_folder(tmp_path):
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "segue.toml").is_file()
