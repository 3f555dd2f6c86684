"""Days made with an older catalogue stay as they are until somebody has them made again."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from jobs import build_features, plan, planned_changes
from jobs.graph import Step
from jobs.newer_catalogue import find_older_days, renew_days, renew_partials
from jobs.planned_changes import Planner
from jobs.publishing.commits import Change, swap
from jobs.publishing.state import DayState, TableState
from jobs.publishing.warehouse import Warehouse
from jobs.stale_features import StaleDays
from reference.delta_files import read_newest_rows
from reference.own_events import join_catalogue
from reference.published import NOON, opening, pass_every_batch
from reference.rows import assert_same
from reference.staged import LaidJob
from reference.windows import window_features as expected_features
from schemas import CONTRACTS
from schemas.declarations import LIFETIME, Feature, FeatureGroup

DAYS = [date(2026, 10, 1) + timedelta(days=n) for n in range(4)]
STEP = "build-album-features"
ALBUMS = FeatureGroup(
    "album_features",
    ("album",),
    "What is played of each album.",
    (
        Feature("plays", "count", "play_id", "plays", ("1d", LIFETIME)),
        # counted from plays: no partial has it
        Feature("listeners", "distinct", "user_id", "different listeners", ("7d",)),
    ),
)


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(str(tmp_path / "root"))


def put(warehouse, contract, days, kind="publish"):
    """A version of a table that holds these days."""
    table = warehouse.create(contract)
    swap(table, Change(f"batch-{table.version()}", kind, TableState(table.version(), days)))


def put_tracks(warehouse, kind="publish"):
    put(warehouse, CONTRACTS["tracks"], {None: DayState(0, 1, 1, "batch")}, kind)
    return warehouse.table("tracks").version()


def test_older_are_days_of_before_the_newest_publication_of_the_catalogue(warehouse):
    first, second, compacted = put_tracks(warehouse), put_tracks(warehouse), put_tracks(warehouse, "compact")
    versions = [first, None, second, compacted]
    day_states = [DayState(0, 1, 1, "batch", catalogue=version) for version in versions]
    put(warehouse, ALBUMS.partials_contract(), dict(zip(DAYS, day_states, strict=True)))
    assert find_older_days(warehouse, ALBUMS, "album_partials") == DAYS[:1]
    assert find_older_days(warehouse, ALBUMS, "album_features") == [], "it was never made"
    of_plays = replace(ALBUMS, keys=("artist_id",))
    assert find_older_days(warehouse, of_plays, "album_partials") == [], "it reads no catalogue"


def test_renewed_days_are_whole_and_take_those_with_them_whose_tiles_they_are_in():
    stale = StaleDays(dict.fromkeys(DAYS, "x"), {}, whole=(DAYS[3],), extended=(DAYS[0], DAYS[1]))
    days = renew_days(stale, [DAYS[1]])
    assert (days.whole, days.extended) == ((DAYS[1], DAYS[3]), (DAYS[0],))
    # of these days the third one ends a tile of two, with the second in it
    partials = renew_partials(stale, [DAYS[1]])
    assert (partials.whole, partials.extended) == (tuple(DAYS[1:]), (DAYS[0],))
    assert renew_partials(stale, []) == stale


class Root:
    """Sessions of some days, a catalogue, and the group that is made of both."""

    def __init__(self, warehouse, monkeypatch):
        self.warehouse, self.path = warehouse, warehouse.root
        step = Step(
            STEP, "jobs.build_features", "x", needs=("sessions",), uses=("tracks",), makes=ALBUMS.tables
        )
        step = replace(step, takes_days=True)
        for module in (build_features, planned_changes):
            monkeypatch.setattr(module, "FEATURE_GROUPS", (ALBUMS,))
            monkeypatch.setattr(module, "FLOW", (step,))
        for contract in (ALBUMS.partials_contract(), ALBUMS.contract()):
            monkeypatch.setitem(CONTRACTS, contract.name, contract)
        self.sessions = [
            opening(f"p{day}{user}", NOON + timedelta(days=day), track_id=f"t{track}")
            for day, user, track in ((0, 1, 1), (0, 2, 2), (1, 1, 2), (1, 3, 1), (2, 2, 3), (3, 1, 3))
        ]
        self.lay("sessions", self.sessions)

    def lay(self, table, rows, days=None):
        job = LaidJob("test", self.path, say=lambda text: None)
        days = sorted({row["ds"] for row in rows}) if table == "sessions" else None
        # the rows are the whole table, as a catalogue is
        job.publish(job.batch(table, days, parameters={"rows": str(rows)}), rows)

    def name_albums(self, names):
        self.tracks = [{"track_id": track, "album": album, "source": "s"} for track, album in names.items()]
        self.lay("tracks", self.tracks)

    def build(self, *arguments):
        assert build_features.main([STEP, "--root", self.path, *arguments]) == 0

    def read(self):
        rows = read_newest_rows(self.path, "album_features")
        return [{name: value for name, value in row.items() if name != "bucket"} for row in rows]

    def compute(self, tracks):
        plays = join_catalogue(self.sessions, tracks)
        rows = expected_features(plays, ALBUMS, DAYS)
        return [{name: value for name, value in row.items() if name != "bucket"} for row in rows]

    def check(self, tracks):
        assert_same(self.compute(tracks), self.read(), ("album", "ds"), self.sessions, "track_id")

    def plan(self):
        tables = Planner(self.warehouse, {}, 0).plan()
        assert not any(table.makes for table in tables)
        return {table.table: table.older_catalogue for table in tables}, list(plan._describe_columns(tables))


def test_days_are_made_again_with_the_newer_catalogue_by_an_option(spark, warehouse, monkeypatch, capsys):
    pass_every_batch(monkeypatch)
    root = Root(warehouse, monkeypatch)
    root.name_albums({"t1": "one", "t2": "two"})
    first = root.tracks
    root.build()
    root.check(first)
    # one has another name, and one was in no catalogue when it was first played
    root.name_albums({"t1": "one", "t2": "one again", "t3": "three"})
    root.build()
    root.check(first)
    older, lines = root.plan()
    assert older == dict.fromkeys(("album_partials", "album_features"), 4)
    assert lines[0] == (
        "album_partials: 4 days were made with an older catalogue, and stay so: "
        f"segue run {STEP} --newer-catalogue makes them again"
    )
    root.build("--newer-catalogue")
    root.check(root.tracks)
    assert root.plan() == ({}, [])
    capsys.readouterr()
    root.build("--newer-catalogue")
    assert capsys.readouterr().out.count("unchanged") == 2
