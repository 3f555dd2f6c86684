"""A project of its own, outside the package: an entity from the catalogue, an event table, and features over both.

Made by the flow, released, looked up without Spark and joined to labels.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segue
from jobs import FLOW, release_tables
from jobs.publishing.warehouse import Warehouse
from reference import own_events
from reference.delta_files import read_newest_rows
from reference.flows import LAST, FlowWorld
from reference.own_events import join_catalogue, midnight
from reference.releases import count_in_python
from reference.rows import assert_same, same
from reference.windows import by_entity, value
from reference.windows import window_features as expected_features
from schemas import CONTRACTS

TOP = Path(__file__).parents[2]
TABLE, GROUPS = own_events.declare()
SETTINGS = """
root = "../root"
source = "../landing/source.toml"
input = ["../landing/plays/delivered={day}"]
catalogue = ["../landing/tracks"]
declarations = ["declarations"]

[events.searches]
source = "sources/searches.toml"
input = ["../landing/searches"]
"""
LABEL_TIME = ["search_features:searches_count_1d", "user_year_features:plays_count_7d"]
# One process, and so one JVM: the flow, a flow with a late delivery, a training set and its check, and that delivery
# taken out again.
# A variable that is new to the environment moves it in memory, under threads that open tables.
COMMANDS = """
import os, sys, threading
from segue.command import main

def check(event, given):
    if event == "os.putenv" and given[0].decode() not in os.environ:
        assert threading.active_count() == 1, f"{{given[0]}} is added beside {{threading.enumerate()}}"

sys.addaudithook(check)
for command in {commands!r}:
    if code := main(command):
        sys.exit(code)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The golden root, and beside it a project; its flow ran twice in a folder of the project."""
    folder = tmp_path_factory.mktemp("project")
    world = FlowWorld.committed(folder)
    users = sorted({row["user_id"] for row in world.released("plays")})
    rows, late = own_events.on_time(users), own_events.late(users)
    twice = [own_events.to_line(row) for row in rows[:2]]
    own_events.write_searches(world.landing / "searches", rows, [*twice, *own_events.REJECTS])
    own_events.write_searches(world.landing / "late", late)
    mine = lay_out_project(folder / "mine")
    # one reject in four lines is more than the gate lets through
    Warehouse(world.root).write(f"{world.root}/gate.toml", "[searches.rejected_share]\nhigh = 0.5\n")
    write_labels(mine / "labels.parquet", world.released("plays"), rows)
    # the section of the catalogue is the last of the source
    with (world.landing / "source.toml").open("a") as source:
        source.write(f'genre = "{own_events.GENRE}"\n')
    others = [step.name for step in FLOW if step.name not in ("ingest-tracks", "release-tables")]
    first = ["run", "flow", "--skip", *others, "release-tables"]
    # the next day there are a late search, and a catalogue in which every album has another name
    rename_albums(world.landing)
    given = ["--events", "searches", "../../landing/late", "--catalogue", "../../landing/renamed"]
    second = ["run", "flow", *given, "--skip", *others, "build-user-year-partials"]
    labels = ["--labels", "../labels.parquet", "--at-label-time", *LABEL_TIME, "--out", "../set"]
    verify = ["verify", "--training-set", "../set"]
    retract = ["retract", "--table", "searches", "--input", "../../landing/late"]
    script = COMMANDS.format(commands=[first, second, ["training-set", *labels], verify, retract])
    # as the installed command runs: the working folder, with its Python files, is not on the path
    run = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=mine / "declarations",
        env={**os.environ, "PYTHONPATH": str(TOP)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, f"{run.stdout[-5000:]}\n{run.stderr[-3000:]}"
    return world, run.stdout, [*rows, *late]


def lay_out_project(folder):
    for name, text in {
        # in order of their names: a table is declared before the groups that name it
        "declarations/a_tables.py": own_events.TABLES,
        "declarations/b_groups.py": own_events.GROUPS,
        "sources/searches.toml": own_events.SOURCE,
        "segue.toml": SETTINGS.format(day=LAST),
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def catalogue_before():
    """As it was when features of albums were made."""
    with tempfile.TemporaryDirectory() as folder:
        return FlowWorld.committed(Path(folder)).released("tracks")


def rename_albums(landing):
    (file,) = (landing / "tracks").glob("*.csv")
    with file.open(newline="") as catalogue:
        rows = [{**row, "album": "renamed"} for row in csv.DictReader(catalogue)]
    (landing / "renamed").mkdir()
    with (landing / "renamed" / "tracks.csv").open("w", newline="") as renamed:
        writer = csv.DictWriter(renamed, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_labels(path, plays, searches):
    """Of listeners who searched, at and around the instants of searches; of somebody who never did."""
    us = timedelta(microseconds=1)
    instants = [(row["user_id"], row["searched_at"] + offset) for row in searches for offset in (-us, us)]
    instants.append((plays[-1]["user_id"], midnight(2)))
    rows = [{"user_id": user, "label_at": at, "release_year": "2026"} for user, at in instants]
    pq.write_table(pa.Table.from_pylist(rows), path)


def without(rows, *names):
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


def test_searches_are_read_once_each_and_what_is_none_is_set_aside(project):
    world, printed, searches = project
    expected = own_events.published(searches)
    rows = without(world.released("searches"), "available_at")
    assert_same(expected, rows, ("search_id",), searches, "user_id")
    rejects = {row["raw"]: row["reasons"] for row in world.released("rejected_searches")}
    assert rejects == own_events.REJECTS
    assert "13 rows read = 8 new searches + 2 duplicates + 3 rejected" in printed


def test_searches_of_a_file_are_taken_out_again(project):
    """By the project's own source of these events; releases of before hold them still."""
    world, _, searches = project
    late = {"s9"}
    kept, before = read_newest_rows(world.root, "searches"), world.released("searches")
    assert {row["search_id"] for row in before} - {row["search_id"] for row in kept} == late
    assert len(kept) == len(before) - 1 and "s9" in {row["search_id"] for row in searches}


def test_features_over_searches_are_what_plain_loops_make_of_them(project):
    """Ties, nulls and edges of days, and a search that came once its day was published."""
    world, printed, searches = project
    group = GROUPS["search_features"]
    days = sorted({row["ds"] for row in own_events.published(searches)})
    rows = without(world.released("search_features"), "available_at")
    expected = without(expected_features(searches, group, days), "bucket")
    assert len(expected) > len(days)
    assert_same(expected, rows, ("user_id", "ds"), searches, "user_id")
    assert "days opened again from 2026-01-06" in printed


def test_features_of_an_entity_of_the_catalogue_are_what_plain_loops_make_of_them(project):
    world, _, _ = project
    plays = join_catalogue(world.released("sessions"), catalogue_before())
    days = sorted({row["ds"] for row in plays})
    rows = without(world.released("album_features"), "available_at")
    expected = without(expected_features(plays, GROUPS["album_features"], days), "bucket")
    assert_same(expected, rows, ("album", "ds"), plays, "album")
    assert "album_features" not in CONTRACTS, "the package itself knows it: this shows nothing"


def test_days_keep_the_catalogue_that_they_were_made_of(project):
    """A new one makes no day stale: history would be made anew each night."""
    world, printed, _ = project
    assert {row["album"] for row in world.released("tracks")} == {"renamed"}
    assert "album_partials unchanged: no day of sessions is new or changed" in printed
    state = Warehouse(world.root).state("album_partials")
    newest = segue.open(world.root).tables["tracks"].version
    assert {day.catalogue for day in state.day_states.values()} == {newest - 1}


def test_client_looks_up_tables_of_a_project_without_its_declarations(project):
    world, _, searches = project
    store = segue.open(world.root)
    known, unknown = store.lookup("search_features", [searches[0]["user_id"], "nobody"]).to_pylist()
    assert known["searches_count_lifetime"] == 5 and unknown["searches_count_lifetime"] is None
    album = world.released("album_features")[0]["album"]
    assert store.lookup("album_features", [album]).to_pylist()[0]["plays_count_lifetime"] >= 1


def test_training_sets_have_them_by_day_and_at_label_time(project):
    world, printed, searches = project
    # by definitions, from the published searches
    assert "left out, made of the catalogue as it was day by day: user_year_features" in printed
    assert "all are what the definition says" in printed
    labels = pq.read_table(Path(world.root).parent / "mine" / "labels.parquet")
    daily = segue.open(world.root).training_set(labels, ["search_features:searches_count_lifetime"])
    for row in daily.to_pylist():
        got = row["search_features__searches_count_lifetime"]
        t = row["label_at"].replace(hour=0, minute=0, second=0, microsecond=0)
        earlier = [s for s in searches if s["user_id"] == row["user_id"] and s["searched_at"] < t]
        known_days = [s for s in searches if s["searched_at"] < t]
        assert got == (len(earlier) if known_days else None), row
    plays = join_catalogue(world.released("plays"), world.released("tracks"))
    rows_by_table = {"search_features": searches, "user_year_features": plays}
    for row in pq.read_table(Path(world.root).parent / "mine" / "set").to_pylist():
        for ref in LABEL_TIME:
            table, _, column = ref.partition(":")
            group = GROUPS[table]
            feature, window = next((f, w) for f, w in group.feature_windows if f.name(w) == column)
            of_entity = by_entity(rows_by_table[table], group).get(tuple(row[key] for key in group.keys), [])
            assert same(value(of_entity, feature, window, row["label_at"]), row[f"{table}__{column}"]), row


def test_table_of_a_group_that_is_declared_no_more_stays_readable(project, tmp_path, monkeypatch):
    """A checkout without the project knows nothing of the table: releases carry it, but where it is to be left out."""
    count_in_python(monkeypatch)
    world, _, _ = project
    root = shutil.copytree(world.root, tmp_path / "root")
    (root / "gate.toml").unlink()
    before = segue.open(root)
    assert release_tables.main(["--root", str(root)]) == 0
    versions = {each.tables["album_features"].version for each in (before, segue.open(root))}
    assert len(versions) == 1, "readers are to keep the table as it was"
    assert release_tables.main(["--root", str(root), "--leave-out", "album_features"]) == 0
    assert "album_features" not in segue.open(root).tables
    assert segue.open(root, before.release).lookup("album_features", ["nobody"]).num_rows == 1
