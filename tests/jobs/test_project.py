"""A project of its own, outside the package: its groups are made by the flow, released, and looked up without Spark."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import segue
from jobs import FLOW
from reference.flows import LAST, FlowWorld
from reference.rows import assert_same
from reference.windows import window_features as expected_features
from schemas import CONTRACTS
from schemas.declarations import FeatureGroup

TOP = Path(__file__).parents[2]
DECLARATION = """
from schemas.declarations import LIFETIME, Feature, FeatureGroup
from schemas.starting_set import *

SESSION_STARTS = FeatureGroup(
    "session_start_features",
    ("user_id",),
    "What a listener begins sessions with.",
    (
        Feature("plays", "count", "play_id", "sessions", ("7d", LIFETIME)),
        Feature("tracks", "distinct", "track_id", "different first tracks", ("7d",)),
        Feature("skips", "rate", "skipped", "share of first tracks that were skipped", ("7d",)),
    ),
    where="position = 1",
)
"""
STEP = "build-session-start-features"
SETTINGS = """
root = "../root"
source = "../landing/source.toml"
input = ["../landing/plays/delivered={day}"]
catalogue = ["../landing/tracks"]
declarations = ["declarations"]
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The golden root, and beside it a project with one more group; the flow ran once in a folder of the project."""
    folder = tmp_path_factory.mktemp("project")
    world = FlowWorld.committed(folder)
    declarations = folder / "mine" / "declarations"
    declarations.mkdir(parents=True)
    (declarations / "features.py").write_text(DECLARATION)
    (folder / "mine" / "segue.toml").write_text(SETTINGS.format(day=LAST))
    others = [step.name for step in FLOW if step.name != "release-tables"]
    # as the installed command runs: the working folder, with its features.py, is not on the path
    command = [sys.executable, "-P", "-m", "segue.command", "run", "flow", "--skip", *others]
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    run = subprocess.run(
        command, cwd=declarations, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"{run.stdout[-3000:]}\n{run.stderr[-3000:]}"
    return world, run.stdout


def test_flow_in_a_project_makes_and_releases_its_group(project):
    world, printed = project
    assert STEP in printed and "session_start_features version" in printed, printed
    scope: dict[str, FeatureGroup] = {}
    exec(DECLARATION, scope)
    group = scope["SESSION_STARTS"]
    plays = world.released("sessions")
    days = sorted({row["ds"] for row in plays})
    rows = [
        {name: value for name, value in row.items() if name != "available_at"}
        for row in world.released("session_start_features")
    ]
    expected = [
        {name: value for name, value in row.items() if name != "bucket"}
        for row in expected_features(plays, group, days)
    ]
    assert_same(expected, rows, ("user_id", "ds"), plays, "user_id")
    assert "session_start_features" not in CONTRACTS, "the package itself knows it: this shows nothing"


def test_client_looks_up_a_group_of_a_project_without_its_declarations(project):
    world, _ = project
    store = segue.open(world.root)
    user = world.released("plays")[0]["user_id"]
    known, unknown = store.lookup("session_start_features", [user, "nobody"]).to_pylist()
    assert known["plays_count_lifetime"] >= 1 and unknown["plays_count_lifetime"] is None


def test_table_of_a_group_that_is_declared_no_more_stays_readable(project, tmp_path):
    """A checkout without the project knows nothing of the table, and makes a release without it."""
    world, _ = project
    shutil.copytree(world.root, tmp_path / "root")
    copy = FlowWorld(tmp_path)
    copy.landing = world.landing
    before = segue.open(copy.root)
    assert copy.flow(copy.day(LAST), skip=[step.name for step in FLOW if step.name != "release-tables"]) == 0
    assert segue.open(copy.root, before.release).lookup("session_start_features", ["nobody"]).num_rows == 1
