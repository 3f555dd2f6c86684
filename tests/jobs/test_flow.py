"""Whole flows on a small made-up world: what is released is what the plays say, by plain Python."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow.dataset as pads
import pytest

import segue
from jobs.publishing.warehouse import Warehouse
from reference.flows import LAST, FlowWorld, hold_to_the_oracle
from reference.rows import assert_same
from schemas import CONTRACTS, FEATURE_GROUPS

# The golden root has embeddings of its first days, and `night` goes on from them with every step.
OF_EMBEDDINGS = (
    "train-track-embeddings", "build-user-embeddings", "build-similar-tracks", "build-candidates", "build-semantic-ids",
)  # fmt: skip
OF_FEATURES = [table for group in FEATURE_GROUPS for table in group.tables]


@pytest.fixture(scope="module")
def anew(spark, world, tmp_path_factory):
    """All days at once, under a new root, by today's code: but for the embeddings."""
    made = FlowWorld(tmp_path_factory.mktemp("anew"))
    made.landing = world.landing
    assert made.flow(*made.days(), skip=OF_EMBEDDINGS) == 0, "the flow's table says which step"
    return made


def test_tables_made_from_nothing_are_what_plain_python_makes_of_the_plays(anew):
    hold_to_the_oracle(anew)


def test_tables_after_one_more_day_are_what_plain_python_makes_of_the_plays(night):
    hold_to_the_oracle(night)


@pytest.mark.parametrize("table", OF_FEATURES)
def test_what_is_made_from_nothing_is_what_is_made_night_after_night(anew, night, table):
    contract = CONTRACTS[table]
    once, nightly = ([comparable(row) for row in each.released(table)] for each in (anew, night))
    assert once
    assert_same(once, nightly, contract.key, anew.released("plays"), contract.entity)


def comparable(row):
    """Decayed sums are decimals, whose last digits say in which order tiles were merged."""
    return {
        name: float(value) if isinstance(value, Decimal) else value
        for name, value in row.items()
        if name != "available_at"
    }


def test_every_row_that_was_written_is_accounted_for(anew):
    days = json.loads((anew.landing / "truth.json").read_text())["days"].values()
    assert len(anew.released("plays")) == sum(day["plays"] for day in days)
    assert len(anew.released("rejected_plays")) == sum(sum(day["broken"].values()) for day in days)


def test_the_flow_again_adds_nothing(night):
    again = night.run(night.day(LAST))
    assert (again.code, again.release, again.versions) == (
        0,
        night.repaired.release,
        night.repaired.versions,
    ), again.printed


def test_a_bad_day_is_refused(night):
    before, refused = night.before, night.refused
    assert refused.code == 3
    assert "rejected_share" in refused.printed, refused.printed
    assert refused.release == before.release
    changed = {name for name, version in refused.versions.items() if version != before.versions[name]}
    assert changed <= {"rejected_plays"}, "a refused batch left a version behind"


def test_the_repair_of_a_bad_day_is_released(night):
    before, repaired = night.before.release, night.repaired
    assert repaired.code == 0, repaired.printed
    assert repaired.release.release_id == f"{LAST}.1" != before.release_id
    assert segue.open(night.root).days("user_features")[-1] == LAST
    old = segue.open(night.root, before.release_id)
    assert old.days("user_features")[-1] == LAST - timedelta(days=1), "the old release shows the new day"


def test_every_published_file_is_sorted_by_bucket_and_key(anew):
    table = Warehouse(anew.root).table("user_features")
    for path in table.file_uris():
        rows = pads.dataset(path).to_table(columns=["bucket", "user_id"]).to_pylist()
        assert rows == sorted(rows, key=lambda row: (row["bucket"], row["user_id"])), path


def test_the_report_names_the_release_and_every_table(night):
    report = max(Path(night.root, "quality").glob("*.html"), key=lambda path: path.stat().st_mtime)
    text = report.read_text()
    assert night.repaired.release.release_id in text
    missing = [name for name in night.repaired.release.tables if name not in text]
    assert not missing, f"{report} says nothing of {missing}"


def test_look_ups_work_from_a_shell_without_spark(world):
    user = world.released("user_features")[0]["user_id"]
    command = [sys.executable, "-m", "segue.command", "lookup", "user_features", user]
    done = subprocess.run(
        [*command, "--root", world.root, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["user_id"] == user


def test_similar_tracks_carry_their_names(night):
    track = night.released("track_embeddings")[0]["track_id"]
    similar = segue.open(night.root).similar_tracks(track, k=5).to_pylist()
    assert len(similar) == 5
    assert all(row["title"] and row["artist_name"] for row in similar), similar
