from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from importlib import import_module

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError

import segue
from schemas.releases import RELEASES
from segue import SegueError, TableVersion, UsageError, append_release, releases, rollback
from segue.releases import schema

# `segue.releases` is the function.
MODULE = import_module("segue.releases")
DAY = date(2026, 11, 20)
DELTA_TYPES = {"string": "string", "timestamp": "timestamp[us, tz=UTC]", "bigint": "int64"}


def version(number: int) -> dict[str, TableVersion]:
    return {"user_features": TableVersion(number, 10 * number, f"hash-{number}")}


def test_append_release_creates_the_table_of_the_contract(tmp_path):
    append_release(tmp_path, DAY, version(1))
    contract = [(c.name, DELTA_TYPES[c.type], c.nullable) for c in RELEASES.columns]
    assert [(f.name, str(f.type), f.nullable) for f in schema()] == contract
    stored_fields = DeltaTable(tmp_path / "releases").schema().fields
    assert [(f.name, f.nullable) for f in stored_fields] == [(c.name, c.nullable) for c in RELEASES.columns]
    assert DeltaTable(tmp_path / "releases").metadata().partition_columns == list(RELEASES.partitions)


def test_releases_returns_what_append_release_wrote(tmp_path):
    tables = {"b": TableVersion(3, 30, "hb"), "a": TableVersion(2**40, 2**41, "ha")}
    release = append_release(tmp_path, DAY, tables)
    assert releases(tmp_path) == [release]
    assert release.release_id == "2026-11-20.1"
    assert dict(release.tables) == tables
    assert release.rollback_of is None
    assert abs(datetime.now(UTC) - release.released_at) < timedelta(minutes=1)


def test_append_release_writes_one_commit(tmp_path):
    append_release(tmp_path, DAY, version(1))
    append_release(tmp_path, DAY, {name: TableVersion(1, 1, "") for name in "abc"})
    assert DeltaTable(tmp_path / "releases").version() == 2, (
        "one commit creates the table, one makes each release"
    )


def test_releases_sorts_newest_first_by_number_not_by_text(tmp_path):
    for number in range(1, 12):
        append_release(tmp_path, DAY, version(number))
    assert [release.release_id for release in releases(tmp_path)] == [
        f"2026-11-20.{n}" for n in range(11, 0, -1)
    ]
    assert [release.tables for release in releases(tmp_path)] == [version(n) for n in range(11, 0, -1)]
    assert segue.open(tmp_path).release == "2026-11-20.11"


def test_releases_sorts_equal_instants_by_number(tmp_path):
    instant = datetime(2026, 11, 21, tzinfo=UTC)
    rows = [{"release_id": f"2026-11-20.{n}", "released_at": instant, "table_name": "t"} for n in (9, 10, 1)]
    records = [row | {"version": 0, "rows": 0, "content_hash": ""} for row in rows]
    write_deltalake(tmp_path / "releases", pa.Table.from_pylist(records, schema=schema()))
    assert [r.number for r in releases(tmp_path)] == [10, 9, 1]


def test_releases_sorts_by_instant_not_by_day(tmp_path):
    append_release(tmp_path, DAY, version(1))
    append_release(tmp_path, DAY - timedelta(days=3), version(2))
    assert [r.release_id for r in releases(tmp_path)] == ["2026-11-17.1", "2026-11-20.1"]
    assert append_release(tmp_path, DAY, version(3)).release_id == "2026-11-20.2"


def test_append_release_stays_newest_when_the_clock_goes_back(tmp_path, monkeypatch):
    first = append_release(tmp_path, DAY, version(1))

    class EarlyClock(datetime):
        @classmethod
        def now(cls, tz=None):
            return first.released_at - timedelta(hours=2)

    monkeypatch.setattr(MODULE, "datetime", EarlyClock)
    second = append_release(tmp_path, DAY, version(2))
    assert second.released_at == first.released_at + timedelta(microseconds=1)
    assert releases(tmp_path)[0].release_id == "2026-11-20.2"


def test_releases_of_an_empty_root_is_empty(tmp_path):
    assert releases(tmp_path) == []


def test_append_release_refuses_no_tables(tmp_path):
    with pytest.raises(UsageError, match=r"at least one table"):
        append_release(tmp_path, DAY, {})
    assert not (tmp_path / "releases").exists()


@pytest.mark.parametrize(
    "day",
    [
        datetime(2026, 11, 20, tzinfo=UTC),
        pd.Timestamp("2026-11-20"),
        np.datetime64("2026-11-20"),
        "2026-11-20",
        None,
    ],
    ids=repr,
)
def test_append_release_takes_no_day_that_would_make_releases_unreadable(tmp_path, day):
    with pytest.raises(UsageError, match=r"the day of a release is a datetime\.date; got .*2026|got None"):
        append_release(tmp_path, day, version(1))
    assert releases(tmp_path) == [], "something was committed before the day was looked at"


@pytest.mark.parametrize(
    "life",
    [
        timedelta(hours=12),
        timedelta(days=1, microseconds=1),
        timedelta(),
        timedelta(days=-1),
        timedelta.max,
        timedelta(days=3651),
        35,
        None,
    ],
    ids=repr,
)
def test_append_release_takes_no_life_that_would_be_stored_as_another(tmp_path, life):
    with pytest.raises(UsageError, match=r"life is a datetime\.timedelta of whole days, 1 to 3650; got "):
        append_release(tmp_path, DAY, version(1), life=life)
    assert releases(tmp_path) == [], "something was committed before the life was looked at"


# --- several writers


def _append_some(root: str, writer: int, count: int = 5) -> list[str]:
    return [append_release(root, DAY, version(100 * writer + n)).release_id for n in range(count)]


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_append_release_by_four_writers_at_once_loses_none(tmp_path, pool):
    if pool == "threads":
        executor = ThreadPoolExecutor(4)
    else:
        # Fresh interpreters: deltalake's own threads do not survive a fork.
        executor = ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn"))
    with executor:
        ids_by_writer = list(executor.map(_append_some, [str(tmp_path)] * 4, range(4)))
    history = releases(tmp_path)
    assert sorted(r.number for r in history) == list(range(1, 21)), "each number once, none left out"
    assert [r.number for r in history] == list(range(20, 0, -1)), "numbers and instants tell the same order"
    assert len({r.released_at for r in history}) == 20
    id_by_version = {r.tables["user_features"].version: r.release_id for r in history}
    for writer, ids in enumerate(ids_by_writer):
        assert ids == [id_by_version[100 * writer + n] for n in range(5)], (
            f"writer {writer} was told other ids"
        )


def test_append_release_numbers_after_the_winner_when_it_loses_a_race(tmp_path, monkeypatch):
    write, lost_ids = MODULE._write_release, []

    def lose_race(table, earlier, release):
        if not lost_ids:
            lost_ids.append(release.release_id)
            append_release(tmp_path, DAY, version(50))
        write(table, earlier, release)

    monkeypatch.setattr(MODULE, "_write_release", lose_race)
    release = append_release(tmp_path, DAY, version(60))
    assert lost_ids == ["2026-11-20.1"]
    assert release.release_id == "2026-11-20.2"
    assert [r.tables for r in releases(tmp_path)] == [version(60), version(50)]


def test_append_release_does_not_repeat_a_commit_whose_answer_was_lost(tmp_path, monkeypatch):
    write = MODULE._write_release

    def write_without_answer(table, earlier, release):
        write(table, earlier, release)
        raise CommitFailedError("the answer was lost")

    monkeypatch.setattr(MODULE, "_write_release", write_without_answer)
    release = append_release(tmp_path, DAY, version(1))
    assert releases(tmp_path) == [release]


# --- rollback


@pytest.fixture
def three_releases(lake, make_user):
    for number in (1, 2, 3):
        row = make_user("u1", DAY + timedelta(days=number - 1), plays_count_7d=number)
        lake.release(DAY + timedelta(days=number - 1), user_features=lake.publish("user_features", [row]))
    return lake


def test_rollback_makes_a_new_release_of_the_old_versions(three_releases):
    first = releases(three_releases.root)[-1]
    release = rollback(three_releases.root, "2026-11-20.1")
    assert release.release_id == "2026-11-20.2"
    assert release.rollback_of == "2026-11-22.1", "the release it takes back, not the one it goes back to"
    assert release.tables == first.tables
    store = segue.open(three_releases.root)
    assert store.release == "2026-11-20.2"
    assert store.lookup("user_features", ["u1"])["plays_count_7d"].to_pylist() == [1]


def test_release_lives_as_long_as_it_was_made_for(tmp_path):
    first = append_release(tmp_path, DAY, version(1), life=timedelta(days=2))
    second = append_release(tmp_path, DAY, version(2), life=timedelta(days=90))
    assert [release.life.days for release in releases(tmp_path)] == [90, 2]
    assert MODULE.select_unexpired(releases(tmp_path), first.released_at + timedelta(days=1)) == [
        second,
        first,
    ]
    assert MODULE.select_unexpired(releases(tmp_path), first.released_at + timedelta(days=3)) == [second]
    assert rollback_life(tmp_path, first.release_id) == 90, "settings of the newest, which is taken back"


def test_the_life_of_a_release_counts_from_when_it_is_followed(tmp_path, monkeypatch):
    """Whoever opened one of months ago as the newest must not lose its files with the next."""
    first = append_release(tmp_path, DAY, version(1))
    months_later = first.released_at + timedelta(days=100)

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return months_later

    monkeypatch.setattr(MODULE, "datetime", Later)
    assert MODULE.open_release(tmp_path, first.release_id) == first, "the newest has no end"
    second = append_release(tmp_path, DAY, version(2))
    listed = releases(tmp_path)
    assert [each.followed_at for each in listed] == [None, second.released_at]
    assert listed[1].expires_at == second.released_at + MODULE.RELEASE_LIFE
    last = listed[1].expires_at - timedelta(microseconds=1)
    assert MODULE.select_unexpired(listed, last) == [second, first], "it lives on after it was followed"
    assert MODULE.select_unexpired(listed, listed[1].expires_at) == [second]


def rollback_life(root, to):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODULE, "_check_readable", lambda root, release: None)
        return rollback(root, to).life.days


def test_rollback_writes_no_file_of_a_table(three_releases):
    def files():
        return {p: p.stat().st_mtime_ns for p in (three_releases.root / "tables").rglob("*") if p.is_file()}

    before = files()
    rollback(three_releases.root, "2026-11-20.1")
    assert files() == before


def test_rollback_undoes_a_rollback(three_releases):
    rollback(three_releases.root, "2026-11-20.1")
    again = rollback(three_releases.root, "2026-11-22.1")
    assert (again.release_id, again.rollback_of) == ("2026-11-22.2", "2026-11-20.2")
    assert segue.open(three_releases.root).lookup("user_features", ["u1"])["plays_count_7d"].to_pylist() == [
        3
    ]


def test_rollback_refuses_the_newest_and_an_unknown_release(three_releases):
    with pytest.raises(UsageError, match=r"release 2026-11-22.1 is the newest already"):
        rollback(three_releases.root, "2026-11-22.1")
    with pytest.raises(
        UsageError, match=r"release '2026-11-2.1' is unknown; known: 2026-11-22.1, .*Hint: did you mean"
    ):
        rollback(three_releases.root, "2026-11-2.1")
    assert len(releases(three_releases.root)) == 3


def test_rollback_refuses_a_release_with_lost_files(three_releases):
    next(three_releases.path("user_features").glob("batch-1/**/*.parquet")).unlink()
    with pytest.raises(SegueError, match=r"version 1 of the table at .* has lost files.*vacuumed"):
        rollback(three_releases.root, "2026-11-20.1")
    assert releases(three_releases.root)[0].release_id == "2026-11-22.1"


def test_rollback_refuses_when_another_release_came_between(three_releases, monkeypatch):
    """It may be from after an erasure, which the check of the old versions was too early for."""
    made = []

    def check(root, release):
        made.append(append_release(root, DAY, version(4)))

    monkeypatch.setattr(MODULE, "_check_readable", check)
    with pytest.raises(SegueError, match=r"release 2026-11-20\.2 was made meanwhile; nothing was released"):
        rollback(three_releases.root, "2026-11-20.1")
    assert releases(three_releases.root)[0] == made[0]


def test_append_release_compacts_files_and_loses_no_release(tmp_path):
    history = [
        append_release(tmp_path, DAY, version(n)) for n in range(MODULE.FILES_BEFORE_COMPACTION * 2 + 3)
    ]
    table = MODULE._open_or_create(str(tmp_path / "releases"))
    assert len(table.file_uris()) <= MODULE.FILES_BEFORE_COMPACTION, "listing gets slower with every release"
    assert releases(tmp_path) == history[::-1]


def test_select_unexpired_drops_old_releases_but_never_the_newest(tmp_path):
    history = [append_release(tmp_path, DAY, version(n)) for n in range(3)][::-1]
    last = history[-1].expires_at
    for now, expected in (
        (last - timedelta(microseconds=1), history),
        (last, history[:2]),
        (last + timedelta(microseconds=1), history[:2]),
        (last + timedelta(days=4000), history[:1]),
    ):
        assert MODULE.select_unexpired(history, now) == expected, now
    assert MODULE.select_unexpired([], last) == []


def test_append_release_refuses_when_another_release_came_between(tmp_path):
    first = append_release(tmp_path, DAY, version(1), after=None)
    newest = append_release(tmp_path, DAY, version(2), after=first.release_id)
    for release_id in (None, first.release_id):
        with pytest.raises(SegueError, match=f"{newest.release_id} was made meanwhile"):
            append_release(tmp_path, DAY, version(1), after=release_id)
    assert releases(tmp_path) == [newest, first]
