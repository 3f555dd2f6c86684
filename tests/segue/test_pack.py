"""A project that travels as an archive declares, expects and sets what it does where it lies."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from jobs import session
from jobs.errors import WrongUsage
from jobs.sources import load_source
from segue.errors import UsageError
from segue.new_project import create_project
from segue.pack import pack_project
from segue.project import SETTINGS, VARIABLE, find_project

TOP = Path(__file__).parents[2]
SETTINGS_TEXT = """
name = "radio"
root = "tables"
source = "sources/plays.toml"
input = ["landing", "s3a://lake/landing"]
declarations = ["declarations/features.py", "more"]
expectations = ["expectations"]
refused_days = 9
[owners]
plays = "the \\"radio\\" team, ä"
[gate.track_embeddings."next.hr_ratio_high"]
low = 0.9
[spark]
"spark.hadoop.fs.s3a.secret.key" = "hush"
[slo]
plays = "30h"
[alerts]
webhook = "https://hooks.example/hush"
"""
MORE = """
from schemas.declarations import Feature, FeatureGroup

FIRST_PLAYS = FeatureGroup(
    "first_play_features", ("user_id",), "Mine.", (Feature("plays", "count", "play_id", "plays", ("7d",)),)
)
"""
ASK = """
import json, os, sys
from expectations.declarations import load_expectations
from schemas import FEATURE_GROUPS
from segue.project import find_project
project = find_project()
print(json.dumps([
    [group.table for group in FEATURE_GROUPS],
    [[each.table, len(each.rules)] for each in load_expectations()],
    [project.resolve(name).value for name in ("name", "root", "input", "refused_days")],
    project.owners, project.gate, dict(project.spark), project.resolve("source").value,
]))
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in a folder, with declarations in two places."""
    for setting in SETTINGS.values():
        monkeypatch.delenv(setting.variable, raising=False)
    create_project(tmp_path / "mine")
    (tmp_path / "mine" / "segue.toml").write_text(SETTINGS_TEXT, encoding="utf-8")
    (tmp_path / "mine" / "more").mkdir()
    (tmp_path / "mine" / "more" / "features.py").write_text(MORE)
    return tmp_path / "mine"


def ask(folder, path, **variables):
    """What a process in this folder, with this on its path, takes for its project."""
    environment = {"PYTHONPATH": f"{path}:{TOP}", "PATH": os.environ["PATH"], **variables}
    command = [sys.executable, "-P", "-c", ASK]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_archive_declares_expects_and_sets_what_the_project_does(project, tmp_path):
    archive = pack_project(find_project(project), str(tmp_path / "out" / "radio.zip"))
    variables = {
        "SEGUE_DECLARATIONS": f"{project}/declarations/features.py {project}/more",
        "SEGUE_EXPECTATIONS": f"{project}/expectations",
    }
    here, there = ask(project, project, **variables), ask(tmp_path, archive)
    assert "first_play_features" in here and '["plays", 2]' in here and "ä" not in here, here
    # but for Spark's settings, which stay, and the path of the source
    assert here.partition(', {"spark.')[0] == there.partition(", {}, ")[0]
    assert "hush" in here and "hush" not in there
    assert "hush" not in zipfile.ZipFile(archive).read("segue_project/segue.toml").decode()
    # stronger than variables, which executors do not have
    assert ask(tmp_path, archive, SEGUE_DECLARATIONS="nowhere") == there


def test_source_is_read_inside_the_archive(project, tmp_path, monkeypatch):
    archive = pack_project(find_project(project), str(tmp_path / "radio.zip"))
    inside = f"{archive}/segue_project/sources/source.toml"
    assert load_source(inside) == load_source(str(project / "sources" / "plays.toml"))
    with pytest.raises(WrongUsage, match=r"source .*nothing\.toml: "):
        load_source(f"{archive}/segue_project/sources/nothing.toml")


def test_known_source_needs_no_file(project, tmp_path):
    text = (project / "segue.toml").read_text().replace("sources/plays.toml", "movielens")
    (project / "segue.toml").write_text(text)
    archive = pack_project(find_project(project), str(tmp_path / "radio.zip"))
    assert "segue_project/sources/source.toml" not in zipfile.ZipFile(archive).namelist()
    assert load_source(f"{archive}/segue_project/movielens").name == "movielens"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('refused_days = 9\n[gate.plays."x"]\nhigh = inf', float("inf")),
        ('[gate.plays."x"]\nhigh = -inf', float("-inf")),
        ('[gate.plays."x"]\nhigh = 1e+300', 1e300),
        ('[gate.plays."x"]\nhigh = 2', 2),
        ('[gate.plays."x\\u007f"]\nhigh = 0.1', 0.1),
        ('[owners]\nplays = "a\\u007f\\u0001 ä"\n[gate.plays."x"]\nhigh = 0.1', 0.1),
    ],
)
def test_settings_in_the_archive_are_toml_of_the_same_values(project, tmp_path, written, value):
    """JSON has words of its own for infinity, and no need to escape U+007F."""
    (project / "segue.toml").write_text(written + "\n", encoding="utf-8")
    archive = pack_project(find_project(project), str(tmp_path / "radio.zip"))
    packed = tomllib.loads(zipfile.ZipFile(archive).read("segue_project/segue.toml").decode())
    given = tomllib.loads(written)
    assert packed["gate"] == given["gate"] and packed.get("owners") == given.get("owners")
    (bound,) = packed["gate"]["plays"].values()
    assert (bound["high"], type(bound["high"])) == (value, type(value))


def test_pack_refuses_what_did_not_become_toml(project, tmp_path, monkeypatch):
    monkeypatch.setattr("segue.pack.json.dumps", lambda value, **_: "NaN")
    with pytest.raises(UsageError, match=r"segue\.toml cannot be packed, as no TOML came of it: "):
        pack_project(find_project(project), str(tmp_path / "radio.zip"))
    assert not (tmp_path / "radio.zip").exists(), "an archive was left that no step can load"


def test_same_project_makes_the_same_archive(project, tmp_path):
    first, second = (pack_project(find_project(project), str(tmp_path / name)) for name in ("a.zip", "b.zip"))
    assert first.read_bytes() == second.read_bytes()


def test_pack_refuses_what_is_not_there_and_leaves_no_archive(project, tmp_path, monkeypatch):
    (project / "sources" / "plays.toml").unlink()
    with pytest.raises(UsageError, match=r"source names .*plays\.toml, which cannot be read"):
        pack_project(find_project(project), str(tmp_path / "radio.zip"))
    (project / "more" / "features.py").unlink()
    (project / "more").rmdir()
    with pytest.raises(UsageError, match=r"declarations names .*more; there is no such"):
        pack_project(find_project(project), str(tmp_path / "radio.zip"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"there is no segue\.toml here or above"):
        pack_project(find_project(), str(tmp_path / "radio.zip"))
    assert not (tmp_path / "radio.zip").exists()


def test_submitted_step_in_a_project_that_does_not_travel_is_refused(project, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(project))
    session.check_travel()
    monkeypatch.setattr(session, "is_submitted", lambda: True)
    with pytest.raises(
        WrongUsage, match="has declarations, which a submitted step finds in an archive alone"
    ):
        session.check_travel()
    monkeypatch.setenv("SEGUE_DECLARATIONS", str(project / "declarations"))
    monkeypatch.setenv("SEGUE_EXPECTATIONS", str(project / "expectations"))
    session.check_travel()


def test_each_of_several_sources_travels_with_its_own_file(project, tmp_path):
    (project / "more.toml").write_text('name = "app"\n[plays]\nuser_id = "u"\n')
    (project / "segue.toml").write_text(
        '[sources.radio]\nsource = "sources/plays.toml"\ninput = "in"\n'
        '[sources.app]\nsource = "more.toml"\ninput = ["s3a://lake/in"]\n'
    )
    archive = pack_project(find_project(project), str(tmp_path / "radio.zip"))
    ask_sources = (
        "from segue.project import find_project as f; print([[s.source, *s.input] for s in f().sources])"
    )
    environment = {"PYTHONPATH": f"{archive}:{TOP}", "PATH": os.environ["PATH"]}
    printed = subprocess.run(
        [sys.executable, "-P", "-c", ask_sources], env=environment, cwd=tmp_path, capture_output=True
    )
    radio, app = ast.literal_eval(printed.stdout.decode())
    assert (radio[1], app[1]) == (str(project / "in"), "s3a://lake/in")
    assert [load_source(source).name for source in (radio[0], app[0])] == ["plays", "app"]


def test_files_of_events_travel_with_their_own_source(project, tmp_path):
    (project / "searches.toml").write_text('name = "log"\n')
    with (project / "segue.toml").open("a") as settings:
        settings.write('\n[events.searches]\ninput = ["landing/searches"]\nsource = "searches.toml"\n')
    archive = pack_project(find_project(project), str(tmp_path / "radio.zip"))
    ask_events = (
        "from segue.project import find_project as f; e = f().events['searches']; print([e.source, *e.input])"
    )
    environment = {"PYTHONPATH": f"{archive}:{TOP}", "PATH": os.environ["PATH"]}
    printed = subprocess.run(
        [sys.executable, "-P", "-c", ask_events], env=environment, cwd=tmp_path, capture_output=True
    )
    source, files = ast.literal_eval(printed.stdout.decode())
    assert files == str(project / "landing" / "searches")
    assert load_source(source).name == "log"
