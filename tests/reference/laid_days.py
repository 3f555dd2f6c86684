"""A root whose days are laid by their counts and profiles alone: what health reads of a table, without its rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

import pyarrow as pa
from deltalake import CommitProperties, write_deltalake

from expectations.column_profiles import ColumnProfile
from jobs.health.drift_settings import DriftSettings
from jobs.health.history import TableHistory, list_compared_days
from jobs.publishing.record_tables import PROFILES
from jobs.publishing.state import DayState, TableState
from jobs.publishing.warehouse import Warehouse
from reference.batches import batch
from reference.laid_flow import FITTING_VALUES
from reference.listening_days import TABLES, ListeningDays
from reference.rows import complete_rows
from schemas import CONTRACTS

# What a month of shares, each of four weekdays, reaches back.
VOLUME_DAYS = 64

Profiles = dict[tuple[date, str], ColumnProfile]


class DayHistories:
    """What health would read of a world, day by day; each profile is made once."""

    def __init__(self, world: ListeningDays, known: Mapping[tuple[str, int], Profiles] | None = None) -> None:
        self.world = world
        self.known = dict(known or {})

    def profile(self, table: str, n: int) -> Profiles:
        if (table, n) not in self.known:
            self.known[table, n] = self.world.profile(table, n)
        return self.known[table, n]

    def with_fault(self, world: ListeningDays) -> DayHistories:
        """Of the same world with another last day; what the days before it have is the same."""
        return DayHistories(world, {key: each for key, each in self.known.items() if key[1] != world.last})

    def read(self, table: str, n: int, settings: DriftSettings = DriftSettings()) -> TableHistory:  # noqa: B008
        world, day = self.world, self.world.day(n)
        profiles: Profiles = {}
        for each in list_compared_days(day, settings):
            if 0 <= (k := (each - world.day(0)).days) <= n:
                profiles |= self.profile(table, k)
        days = range(max(0, n - VOLUME_DAYS), n + 1)
        listeners = {world.day(k): world.count_listeners(table, k) for k in days}
        return TableHistory(
            table,
            day,
            {world.day(k): world.count(table, k) for k in days},
            profiles,
            {each: count for each, count in listeners.items() if count is not None},
        )


def lay_days(warehouse: Warehouse, histories: list[TableHistory], number: int = 1) -> dict[str, int]:
    """A version of each table, by name: one row of the newest day, a state that counts all days, and the profiles."""
    versions = {each.table: lay_table(warehouse, each.table, each.rows) for each in histories}
    PROFILES.append(warehouse, [row for each in histories for row in _list_profile_rows(each, number)])
    return versions


def lay_table(
    warehouse: Warehouse, table: str, rows: Mapping[date, int], through: datetime | None = None
) -> int:
    contract, before = CONTRACTS[table], warehouse.state(table)
    state = TableState((before.version if before else 0) + 1, complete_through=through)
    days = {day: DayState(count, count, count, "laid") for day, count in rows.items()}
    state = state.replace_days(days, None)
    (row,) = batch(contract, 1, **FITTING_VALUES, version_id="v1")
    log = warehouse.create(contract)
    write_deltalake(
        log,
        pa.Table.from_pylist(
            complete_rows([row | {"ds": max(rows)}], contract), schema=pa.schema(log.schema())
        ),
        mode="append",
        commit_properties=CommitProperties(
            custom_metadata={"userMetadata": json.dumps({"kind": "publish", "state": state.dumps()})}
        ),
    )
    return log.version()


def _list_profile_rows(history: TableHistory, number: int) -> list[dict]:
    columns = {day: {} for day in history.rows}
    for (day, column), profile in history.profiles.items():
        columns[day][column] = profile
    for day, count in history.listeners.items():
        columns[day]["user_id"] = ColumnProfile("text", history.rows[day], distinct_values=count)
    return [
        _describe(history.table, day, column, number) | profile.to_row()
        for day, profiles in columns.items()
        for column, profile in profiles.items()
    ]


def _describe(table: str, day: date, column: str, number: int) -> dict:
    """Of the attempt of that number, which was later than the one before."""
    night = datetime.combine(day, time()) + timedelta(days=1, hours=5)
    return {
        "run_id": f"run-{day}-{number}",
        "attempt_id": f"{table}-{day}-{number}",
        "table_name": table,
        "batch_id": f"laid-{number}",
        "appends": False,
        "outcome": "passed",
        "ds": day,
        "column": column,
        "profiled_at": night + timedelta(minutes=number),
    }


def list_histories(days: DayHistories, n: int) -> list[TableHistory]:
    return [days.read(table, n) for table in TABLES]
