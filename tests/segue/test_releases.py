from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from importlib import import_module

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


def test_the_table_is_as_its_contract_says(tmp_path):
    append_release(tmp_path, DAY, version(1))
    contract = [(c.name, DELTA_TYPES[c.type], c.nullable) for c in RELEASES.columns]
    assert [(f.name, str(f.type), f.nullable) for f in schema()] == contract
    stored = DeltaTable(tmp_path / "releases").schema().fields
    assert [(f.name, f.nullable) for f in stored] == [(c.name, c.nullable) for c in RELEASES.columns]
    assert DeltaTable(tmp_path / "releases").metadata().partition_columns == list(RELEASES.partitions)


def test_a_release_is_read_back_as_it_was_written(tmp_path):
    tables = {"b": TableVersion(3, 30, "hb"), "a": TableVersion(2**40, 2**41, "ha")}
    made = append_release(tmp_path, DAY, tables)
    assert releases(tmp_path) == [made]
    assert made.release_id == "2026-11-20.1"
    assert dict(made.tables) == tables
    assert made.rollback_of is None
    assert abs(datetime.now(UTC) - made.released_at) < timedelta(minutes=1)


def test_all_rows_of_a_release_are_one_commit(tmp_path):
    append_release(tmp_path, DAY, version(1))
    append_release(tmp_path, DAY, {name: TableVersion(1, 1, "") for name in "abc"})
    assert DeltaTable(tmp_path / "releases").version() == 2, (
        "one commit creates the table, one makes each release"
    )


def test_newest_first_and_ten_comes_after_nine(tmp_path):
    for number in range(1, 12):
        append_release(tmp_path, DAY, version(number))
    assert [release.release_id for release in releases(tmp_path)] == [
        f"2026-11-20.{n}" for n in range(11, 0, -1)
    ]
    assert [release.tables for release in releases(tmp_path)] == [version(n) for n in range(11, 0, -1)]
    assert segue.open(tmp_path).release == "2026-11-20.11"


def test_at_the_same_instant_the_greater_number_is_newer(tmp_path):
    instant = datetime(2026, 11, 21, tzinfo=UTC)
    rows = [{"release_id": f"2026-11-20.{n}", "released_at": instant, "table_name": "t"} for n in (9, 10, 1)]
    filled = [row | {"version": 0, "rows": 0, "content_hash": ""} for row in rows]
    write_deltalake(tmp_path / "releases", pa.Table.from_pylist(filled, schema=schema()))
    assert [r.number for r in releases(tmp_path)] == [10, 9, 1]


def test_newest_is_what_was_released_last_not_the_latest_day(tmp_path):
    append_release(tmp_path, DAY, version(1))
    append_release(tmp_path, DAY - timedelta(days=3), version(2))
    assert [r.release_id for r in releases(tmp_path)] == ["2026-11-17.1", "2026-11-20.1"]
    assert append_release(tmp_path, DAY, version(3)).release_id == "2026-11-20.2"


def test_a_clock_that_runs_back_does_not_make_a_release_older(tmp_path, monkeypatch):
    first = append_release(tmp_path, DAY, version(1))

    class EarlyClock(datetime):
        @classmethod
        def now(cls, tz=None):
            return first.released_at - timedelta(hours=2)

    monkeypatch.setattr(MODULE, "datetime", EarlyClock)
    second = append_release(tmp_path, DAY, version(2))
    assert second.released_at == first.released_at + timedelta(microseconds=1)
    assert releases(tmp_path)[0].release_id == "2026-11-20.2"


def test_no_releases_are_an_empty_list(tmp_path):
    assert releases(tmp_path) == []


def test_a_release_of_nothing_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"at least one table"):
        append_release(tmp_path, DAY, {})
    assert not (tmp_path / "releases").exists()


# --- several writers


def _append_some(root: str, writer: int, count: int = 5) -> list[str]:
    return [append_release(root, DAY, version(100 * writer + n)).release_id for n in range(count)]


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_four_writers_at_once_lose_none(tmp_path, pool):
    if pool == "threads":
        executor = ThreadPoolExecutor(4)
    else:
        # Fresh interpreters: deltalake's own threads do not survive a fork.
        executor = ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn"))
    with executor:
        made = list(executor.map(_append_some, [str(tmp_path)] * 4, range(4)))
    found = releases(tmp_path)
    assert sorted(r.number for r in found) == list(range(1, 21)), "each number once, none left out"
    assert [r.number for r in found] == list(range(20, 0, -1)), "numbers and instants tell the same order"
    assert len({r.released_at for r in found}) == 20
    written = {r.tables["user_features"].version: r.release_id for r in found}
    for writer, ids in enumerate(made):
        assert ids == [written[100 * writer + n] for n in range(5)], f"writer {writer} was told other ids"


def test_who_loses_counts_again_from_what_the_winner_wrote(tmp_path, monkeypatch):
    write, raced = MODULE._write_release, []

    def race(table, known, release):
        if not raced:
            raced.append(release.release_id)
            append_release(tmp_path, DAY, version(50))
        write(table, known, release)

    monkeypatch.setattr(MODULE, "_write_release", race)
    made = append_release(tmp_path, DAY, version(60))
    assert raced == ["2026-11-20.1"]
    assert made.release_id == "2026-11-20.2"
    assert [r.tables for r in releases(tmp_path)] == [version(60), version(50)]


def test_a_commit_whose_answer_was_lost_is_not_made_twice(tmp_path, monkeypatch):
    write = MODULE._write_release

    def deaf(table, known, release):
        write(table, known, release)
        raise CommitFailedError("the answer was lost")

    monkeypatch.setattr(MODULE, "_write_release", deaf)
    made = append_release(tmp_path, DAY, version(1))
    assert releases(tmp_path) == [made]


# --- rollback


@pytest.fixture
def three(lake, make_user):
    for number in (1, 2, 3):
        row = make_user("u1", DAY + timedelta(days=number - 1), plays_count_7d=number)
        lake.release(DAY + timedelta(days=number - 1), user_features=lake.publish("user_features", [row]))
    return lake


def test_rollback_is_a_new_release_of_the_old_versions(three):
    first = releases(three.root)[-1]
    made = rollback(three.root, "2026-11-20.1")
    assert made.release_id == "2026-11-20.2"
    assert made.rollback_of == "2026-11-22.1", "the release it takes back, not the one it goes back to"
    assert made.tables == first.tables
    store = segue.open(three.root)
    assert store.release == "2026-11-20.2"
    assert store.lookup("user_features", ["u1"])["plays_count_7d"].to_pylist() == [1]


def test_rollback_moves_no_data_and_commits_to_no_table(three):
    def files():
        return {p: p.stat().st_mtime_ns for p in (three.root / "tables").rglob("*") if p.is_file()}

    before = files()
    rollback(three.root, "2026-11-20.1")
    assert files() == before


def test_a_rollback_can_be_taken_back(three):
    rollback(three.root, "2026-11-20.1")
    again = rollback(three.root, "2026-11-22.1")
    assert (again.release_id, again.rollback_of) == ("2026-11-22.2", "2026-11-20.2")
    assert segue.open(three.root).lookup("user_features", ["u1"])["plays_count_7d"].to_pylist() == [3]


def test_rollback_refuses_what_makes_no_sense(three):
    with pytest.raises(UsageError, match=r"release 2026-11-22.1 is the newest already"):
        rollback(three.root, "2026-11-22.1")
    with pytest.raises(
        UsageError, match=r"release '2026-11-2.1' is unknown; known: 2026-11-22.1, .*Hint: did you mean"
    ):
        rollback(three.root, "2026-11-2.1")
    assert len(releases(three.root)) == 3


def test_rollback_refuses_a_release_whose_files_are_gone(three):
    next(three.path("user_features").glob("batch-1/**/*.parquet")).unlink()
    with pytest.raises(SegueError, match=r"version 1 of the table at .* has lost files.*vacuumed"):
        rollback(three.root, "2026-11-20.1")
    assert releases(three.root)[0].release_id == "2026-11-22.1"


def test_many_releases_lie_in_few_files_and_none_is_lost(tmp_path):
    made = [append_release(tmp_path, DAY, version(n)) for n in range(MODULE.FILES_BEFORE_COMPACTION * 2 + 3)]
    table = MODULE._open_or_create(str(tmp_path / "releases"))
    assert len(table.file_uris()) <= MODULE.FILES_BEFORE_COMPACTION, "listing gets slower with every release"
    assert releases(tmp_path) == made[::-1]


def test_all_live_but_those_that_are_old_and_not_the_newest(tmp_path):
    made = [append_release(tmp_path, DAY, version(n)) for n in range(3)][::-1]
    last = made[-1].expires_at
    for now, alive in (
        (last - timedelta(microseconds=1), made),
        (last, made[:2]),
        (last + timedelta(microseconds=1), made[:2]),
        (last + timedelta(days=4000), made[:1]),
    ):
        assert MODULE.select_unexpired(made, now) == alive, now
    assert MODULE.select_unexpired([], last) == []


def test_who_was_overtaken_releases_nothing(tmp_path):
    first = append_release(tmp_path, DAY, version(1), after=None)
    newest = append_release(tmp_path, DAY, version(2), after=first.release_id)
    for seen in (None, first.release_id):
        with pytest.raises(SegueError, match=f"{newest.release_id} was made meanwhile"):
            append_release(tmp_path, DAY, version(1), after=seen)
    assert releases(tmp_path) == [newest, first]
