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
from reference.flows import LAST, FlowWorld, assert_matches_oracle
from reference.rows import assert_same
from schemas import CONTRACTS, FEATURE_GROUPS

# The golden root has embeddings of its first days, and `night` goes on from them with every step.
EMBEDDING_STEPS = (
    "train-track-embeddings", "build-user-embeddings", "build-similar-tracks", "build-candidates", "build-semantic-ids",
)  # fmt: skip
FEATURE_TABLES = [table for group in FEATURE_GROUPS for table in group.tables]


@pytest.fixture(scope="module")
def full_world(spark, world, tmp_path_factory):
    """All days at once, under a new root, by today's code: but for the embeddings."""
    flow_world = FlowWorld(tmp_path_factory.mktemp("anew"))
    flow_world.landing = world.landing
    assert flow_world.flow(*flow_world.days(), skip=EMBEDDING_STEPS) == 0, "the flow's table says which step"
    return flow_world


def test_flow_over_all_days_agrees_with_plain_python(full_world):
    assert_matches_oracle(full_world)


def test_flow_of_one_more_day_agrees_with_plain_python(night):
    assert_matches_oracle(night)


@pytest.mark.parametrize("table", FEATURE_TABLES)
def test_flow_over_all_days_gives_the_features_of_nightly_flows(full_world, night, table):
    contract = CONTRACTS[table]
    full_rows, nightly_rows = (
        [make_comparable(row) for row in each.released(table)] for each in (full_world, night)
    )
    assert full_rows
    assert_same(full_rows, nightly_rows, contract.key, full_world.released("plays"), contract.entity)


def make_comparable(row):
    """Decayed sums are decimals, whose last digits say in which order tiles were merged."""
    return {
        name: float(value) if isinstance(value, Decimal) else value
        for name, value in row.items()
        if name != "available_at"
    }


def test_flow_publishes_or_rejects_every_row_of_the_files(full_world):
    days = json.loads((full_world.landing / "truth.json").read_text())["days"].values()
    assert len(full_world.released("plays")) == sum(day["plays"] for day in days)
    assert len(full_world.released("rejected_plays")) == sum(sum(day["broken"].values()) for day in days)


def test_flow_again_adds_nothing(night):
    rerun = night.run(night.day(LAST))
    assert (rerun.code, rerun.release, rerun.versions) == (
        0,
        night.repaired.release,
        night.repaired.versions,
    ), rerun.printed


def test_flow_refuses_a_bad_day(night):
    before, bad_run = night.before, night.refused
    assert bad_run.code == 3
    assert "rejected_share" in bad_run.printed, bad_run.printed
    assert bad_run.release == before.release
    changed_tables = {name for name, version in bad_run.versions.items() if version != before.versions[name]}
    assert changed_tables <= {"rejected_plays"}, "a refused batch left a version behind"


def test_flow_releases_the_repair_of_a_bad_day(night):
    before, repair = night.before.release, night.repaired
    assert repair.code == 0, repair.printed
    assert repair.release.release_id == f"{LAST}.1" != before.release_id
    assert segue.open(night.root).days("user_features")[-1] == LAST
    old_store = segue.open(night.root, before.release_id)
    assert old_store.days("user_features")[-1] == LAST - timedelta(days=1), (
        "the old release shows the new day"
    )


def test_flow_sorts_every_published_file_by_bucket_and_key(full_world):
    table = Warehouse(full_world.root).table("user_features")
    for path in table.file_uris():
        rows = pads.dataset(path).to_table(columns=["bucket", "user_id"]).to_pylist()
        assert rows == sorted(rows, key=lambda row: (row["bucket"], row["user_id"])), path


def test_flow_report_names_the_release_and_every_table(night):
    report = max(Path(night.root, "quality").glob("*.html"), key=lambda path: path.stat().st_mtime)
    text = report.read_text()
    assert night.repaired.release.release_id in text
    missing = [name for name in night.repaired.release.tables if name not in text]
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
