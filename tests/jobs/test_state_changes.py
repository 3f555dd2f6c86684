"""States that are written as changes read as if each commit had all of them, for as long as anybody needs them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from deltalake import DeltaTable

from jobs.publishing import state_changes
from jobs.publishing.commits import Change, next_commit_time, swap
from jobs.publishing.findings import check_row_counts, check_saved_states
from jobs.publishing.retention import clean_log
from jobs.publishing.state import DayState, TableState, read_state, read_state_at
from jobs.publishing.table_on_storage import TableOnStorage
from jobs.publishing.warehouse import Warehouse
from schemas import CONTRACTS
from segue import log
from segue.errors import SegueError
from segue.publication_record import EPOCH, Earlier, read_record
from segue.releases import TableVersion, append_release
from segue.saved_state import BASE

TABLE = "user_features"
FIRST = date(2026, 1, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(40)]


class Log:
    """A table of which only the log matters: states without a row need no files."""

    def __init__(self, root: Path) -> None:
        self.warehouse = Warehouse(str(root))
        self.uri = self.warehouse.table_path(TABLE)
        self.warehouse.create(CONTRACTS[TABLE])
        self.states: dict[int, TableState] = {}

    def commit(self, state: TableState, kind: str = "publish") -> TableState:
        table = DeltaTable(self.uri)
        after = swap(table, Change(f"b{table.version()}-1", kind, state))
        self.states[after.version] = after
        return after

    def commit_days(self, days: list[date], content: int) -> TableState:
        before = self.warehouse.state(TABLE)
        parts = {day: DayState(0, content, content, f"{content:016x}", "u" * 16) for day in days}
        state = before.replace_days(parts, days)
        return self.commit(replace(state, published_at=next_commit_time(before)))

    def entry(self, version: int) -> Path:
        return Path(self.uri, "_delta_log", f"{version:020}.json")

    def saved(self, version: int) -> dict:
        found = log.find_saved_state(self.uri, version)
        assert found and found[0] == version
        return found[1]

    def bases(self) -> list[int]:
        return [version for version in self.states if BASE not in self.saved(version)]


@pytest.fixture
def laid(tmp_path, monkeypatch):
    monkeypatch.setattr(state_changes, "WHOLE_BYTES", 0)
    return Log(tmp_path / "root")


def revise(state: TableState, random: Random) -> TableState:
    """What any of the commits that there are may do to a state."""
    day, at = random.choice(DAYS), EPOCH + timedelta(days=random.randrange(9))
    columns = random.choice(["", "c1", "c2"])
    part = DayState(0, random.randrange(5), random.randrange(5), "f", random.choice("uv"), columns)
    record = dict(state.earlier or {})
    record[day] = [*record.get(day, ())[random.randrange(2) :], Earlier(at, random.choice([None, -1, 3]))]
    return random.choice(
        [
            state.replace_days({day: part}, [day]),
            state.replace_days({}, [day, random.choice(DAYS)]),
            replace(state, earlier=record),
            replace(state, erased_in=state.erased_in + 1, empty_columns=frozenset(random.choice("abc"))),
            replace(state, declarations={**state.declarations, "c1": {"y": "2", "x": "1"}, "c2": {"x": "3"}}),
            state.advance("s", at, ["s"]).add_id_key(random.choice("kl")),
        ]
    )


@pytest.mark.parametrize("seed", range(2))
def test_every_version_reads_as_what_was_committed(laid, seed):
    random, state = Random(seed), TableState(0, published_at=next_commit_time(TableState(0)))
    for day in DAYS:
        state = state.replace_days({day: DayState(0, 1, 1, "f" * 16, "u" * 16)}, [day])
    for _ in range(30):
        state = revise(state, random)
        laid.commit(state)
    assert 1 < len(laid.bases()) < 15, "each entry has the whole state, or none but the first"
    for version, committed in laid.states.items():
        # without declarations that no day has, which are not written
        expected = TableState.loads(version, json.loads(json.dumps(committed.dumps())))
        assert read_state_at(DeltaTable(laid.uri), version) == expected
        assert TableOnStorage(laid.warehouse, laid.uri, "t").state(version) == expected


def test_changes_come_to_no_more_than_twice_a_whole_state(laid):
    laid.commit_days(DAYS, 0)
    for n in range(30):
        laid.commit_days(DAYS[n : n + 1], n + 1)
    sizes = {version: len(json.dumps(laid.saved(version))) for version in laid.states}
    bases = laid.bases()
    assert len(bases) > 2, "no second whole state: what an entry has grows without end"
    for start, end in pairwise(bases):
        assert sum(sizes[version] for version in range(start + 1, end)) <= 2 * sizes[start]
    assert sum(sizes.values()) < len(sizes) * sizes[bases[0]] / 2


def test_a_small_state_is_whole_in_each_commit(laid, monkeypatch):
    monkeypatch.undo()
    for n in range(3):
        laid.commit_days(DAYS[:10], n)
    assert laid.bases() == [*laid.states]


def test_states_are_written_whole_once_their_base_is_old(laid, monkeypatch):
    laid.commit_days(DAYS, 0)
    assert laid.commit_days(DAYS[:1], 1).version not in laid.bases()
    monkeypatch.setattr(state_changes, "OLDEST_BASE", timedelta(0))
    assert laid.commit_days(DAYS[:1], 2).version in laid.bases()


def test_clean_up_keeps_what_the_versions_that_stay_rest_on(laid):
    laid.commit_days(DAYS, 0)
    base = laid.commit_days(DAYS, 1).version
    for n in range(3):
        laid.commit_days(DAYS[:1], n + 2)
    assert max(laid.bases()) == base
    table = DeltaTable(laid.uri)
    table.create_checkpoint()
    assert laid.saved(table.version())[BASE] == base
    append_release(laid.warehouse.root, DAYS[-1], {TABLE: TableVersion(table.version(), 0, "0" * 16)})
    now = datetime.now(UTC) + timedelta(days=400)
    assert clean_log(laid.warehouse, TABLE, now, dry_run=True) == base
    clean_log(laid.warehouse, TABLE, now)
    assert [laid.entry(v).exists() for v in (base - 1, base)] == [False, True]
    assert read_state(DeltaTable(laid.uri)) == laid.states[table.version()]
    after = laid.commit_days(DAYS[1:2], 9)
    assert read_state(DeltaTable(laid.uri)) == after


@pytest.mark.parametrize("fault", ["gone", "cut off in a line", "cut off between lines"])
def test_a_lost_entry_that_others_rest_on_is_an_error_and_no_empty_table(laid, fault):
    base = laid.commit_days(DAYS, 0).version
    newest = laid.commit_days(DAYS[:1], 1).version
    # readers of Delta do not miss it
    DeltaTable(laid.uri).create_checkpoint()
    text = laid.entry(base).read_text()
    os.unlink(laid.entry(base))
    if fault != "gone":
        laid.entry(base).write_text(text[:20] if "in a" in fault else "")
    table = DeltaTable(laid.uri)
    with pytest.raises(SegueError, match=f"version {newest} .* changes to version {base}.*copy"):
        read_state(table)
    with pytest.raises(SegueError, match="restore"):
        read_record(laid.uri, newest)
    with pytest.raises(SegueError):
        swap(table, Change("b-1", "publish", laid.states[newest]))
    assert DeltaTable(laid.uri).version() == newest
    found = TableOnStorage(laid.warehouse, laid.uri, "table x")
    (finding,) = check_saved_states(found)
    assert f"version {base}" in finding.what and finding.wrong
    assert list(check_row_counts(found)) == []
    laid.entry(base).write_text(text)
    assert read_state(DeltaTable(laid.uri)) == laid.states[newest]
    assert list(check_saved_states(TableOnStorage(laid.warehouse, laid.uri, "table x"))) == []


def test_an_erasure_is_known_from_the_newest_entry_alone(laid):
    laid.commit_days(DAYS, 0)
    before = laid.warehouse.state(TABLE)
    erased = laid.commit(replace(before, erased_in=before.version + 1), "erase")
    newest = laid.commit_days(DAYS[:1], 4)
    DeltaTable(laid.uri).create_checkpoint()
    os.unlink(laid.entry(laid.saved(newest.version)[BASE]))
    assert log.last_erasure_version(laid.uri) == erased.erased_in


def test_a_client_of_before_there_were_changes_finds_no_days_in_them(laid):
    laid.commit_days(DAYS, 0)
    saved = laid.saved(laid.commit_days(DAYS[:1], 1).version)
    with pytest.raises(KeyError):
        TableState.loads(1, saved)
    assert "earlier" not in saved, "it reads the log where there is no record, which is right, if slow"
