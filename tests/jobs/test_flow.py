"""Whole flows on a small made-up world: what is released is what the plays say, by plain Python."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

import segue
from reference.flows import LAST, assert_sessions_as_defined
from reference.group_tables import assert_tables_as_defined
from schemas import FEATURE_GROUPS


@pytest.fixture(scope="module")
def sessions(night):
    """By plain Python, from the released plays."""
    return assert_sessions_as_defined(night)


@pytest.mark.parametrize("group", FEATURE_GROUPS, ids=lambda group: group.table)
def test_flow_of_one_more_day_agrees_with_plain_python(night, sessions, group):
    """Days that an earlier version published, and the one that today's code added."""
    assert_tables_as_defined(group, sessions, sorted({row["ds"] for row in sessions}), night.released)


def test_flow_publishes_or_rejects_every_row_of_the_files(night):
    days = json.loads((night.landing / "truth.json").read_text())["days"].values()
    assert len(night.released("plays")) == sum(day["plays"] for day in days)
    assert len(night.released("rejected_plays")) == sum(sum(day["broken"].values()) for day in days)


def test_flow_again_adds_nothing(night):
    rerun = night.run(night.day(LAST))
    assert (rerun.code, rerun.release, rerun.versions) == (
        0,
        night.added.release,
        night.added.versions,
    ), rerun.printed


def test_flow_releases_one_more_day(night):
    before, added = night.before.release, night.added
    assert added.code == 0, added.printed
    assert added.release.release_id == f"{LAST}.1" != before.release_id
    assert segue.open(night.root).days("user_features")[-1] == LAST
    old_store = segue.open(night.root, before.release_id)
    assert old_store.days("user_features")[-1] == LAST - timedelta(days=1), (
        "the old release shows the new day"
    )


def test_flow_report_names_the_release_and_every_table(night):
    report = max(Path(night.root, "quality").glob("*.html"), key=lambda path: path.stat().st_mtime)
    text = report.read_text()
    assert night.added.release.release_id in text
    missing = [name for name in night.added.release.tables if name not in text]
    assert not missing, f"{report} says nothing of {missing}"


def test_lookup_command_works_without_spark(world):
    user = world.released("user_features")[0]["user_id"]
    command = [sys.executable, "-m", "segue.command", "lookup", "user_features", user]
    process = subprocess.run(
        [*command, "--root", world.root, "--json"], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["user_id"] == user


def test_similar_tracks_have_titles_and_artist_names(night):
    track = night.released("track_embeddings")[0]["track_id"]
    rows = segue.open(night.root).similar_tracks(track, k=5).to_pylist()
    assert len(rows) == 5
    assert all(row["title"] and row["artist_name"] for row in rows), rows
