"""A project as `segue init` lays it out works as it is."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from jobs import demo
from jobs.errors import JobError, WrongUsage
from jobs.generate_plays import _source_toml
from jobs.generated_impressions import describe_source
from jobs.sources import load_source
from schemas.project_declarations import load_declarations
from schemas.starting_set import STARTING_SET
from segue.command import main
from segue.new_project import create_project

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
    # of a table that only its declarations have
    shown = (tmp_path / "demo" / "sources" / "impressions.toml").read_text()
    assert tomllib.loads(shown) == tomllib.loads(describe_source())


def test_demo_restarts_with_the_settings_of_its_project_alone(tmp_path, monkeypatch):
    class Started(Exception):
        pass

    def start(path, command, variables):
        raise Started(path, command, variables)

    monkeypatch.setattr(os, "execve", start)
    monkeypatch.setenv("SEGUE_SOURCE", "mine.toml")
    monkeypatch.setenv("SEGUE_DECLARATIONS", "mine.py")
    root = tmp_path / "demo"
    root.mkdir()
    (root / "file").touch()
    (root / demo.MARKER).touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Started) as started:
        demo.run_demo("demo", 20, 6)
    _, command, variables = started.value.args
    assert command[-7:] == ["demo", "--root", "demo", "--users", "20", "--days", "6"]
    assert variables["SEGUE_PROJECT"] == str(root)
    assert not {"SEGUE_SOURCE", "SEGUE_DECLARATIONS"} & variables.keys()
    assert (root / "segue.toml").is_file() and not (root / "file").exists()
    # the second process is the demo; a third time there would be files of it
    monkeypatch.setenv("SEGUE_PROJECT", str(root))
    assert demo._is_new_project("demo")
    (root / "landing").mkdir()
    assert not demo._is_new_project("demo")


def test_init_takes_an_empty_folder(tmp_path):
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "segue.toml").is_file()


@pytest.fixture
def laid_demo(tmp_path, monkeypatch):
    """As it lies there once it has run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_restart", lambda *_: sys.exit())
    with pytest.raises(SystemExit):
        demo.run_demo("demo", 20, 6)
    (tmp_path / "demo" / "tables").mkdir()
    return tmp_path / "demo"


def test_demo_deletes_a_demo_of_before_and_nothing_else(laid_demo, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    for root in ("demo", "empty", "new/folder"):
        with pytest.raises(SystemExit):
            demo.run_demo(root, 20, 6)
        assert (tmp_path / root / "segue.toml").is_file()
    assert not (laid_demo / "tables").exists(), "what was in the demo of before is still there"


@pytest.mark.parametrize(
    ("root", "what"),
    [
        ("s3a://lake", "it is no folder of this machine"),
        ("lake", "it has files, and no .segue-demo"),
        ("initialised", "it has files, and no .segue-demo"),
        ("file", "it is no folder"),
        ("link", "it is a link"),
        ("link/", "it is a link"),
        ("demo/tables/..", "your home is there"),
        ("~", "your home is there"),
        (".", "the folder that you are in is there"),
        ("..", "the folder that you are in is there"),
        ("/", "the folder that you are in is there"),
    ],
)
def test_demo_refuses_to_delete_what_it_has_not_made(laid_demo, tmp_path, monkeypatch, root, what):
    monkeypatch.setattr(demo.shutil, "rmtree", lambda path: pytest.fail(f"{path} would have been deleted"))
    monkeypatch.setenv("HOME", str(laid_demo))
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "ours").touch()
    create_project("initialised", "demo")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(laid_demo)
    with pytest.raises(WrongUsage, match=f"--root .*: {what}; the demo needs a new"):
        demo.run_demo(root, 20, 6)


def test_demo_says_so_where_a_demo_of_before_cannot_be_deleted(laid_demo, monkeypatch):
    def fail(path):
        raise PermissionError(13, "Permission denied", "tables")

    monkeypatch.setattr(demo.shutil, "rmtree", fail)
    with pytest.raises(JobError, match=r"could not be deleted as a whole: .*Permission denied: 'tables'"):
        demo.run_demo("demo", 20, 6)
