"""Rows of the files of a version, and their hashes, without Spark."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zlib import crc32

from deltalake import DeltaTable
from simulation.loops import FILE, Rows

from expectations.profile import DayProfile, Profile
from jobs.publishing.commits import list_data_files
from jobs.publishing.declared_columns import contracts_of_days
from jobs.publishing.part_files import name_part_file
from jobs.publishing.state import read_state
from jobs.publishing.warehouse import find_contract
from reference.delta_files import read_file
from reference.rows import Row
from schemas import Contract


def read(table: DeltaTable, days: Collection[date] | None = None) -> Rows:
    rows = Rows()
    base = Path(table.table_uri.removeprefix("file://"))
    for file in list_data_files(table):
        if days is None or file.get("partition.ds") in days:
            partitions = {
                name.removeprefix("partition."): value for name, value in file.items() if "partition." in name
            }
            name = name_part_file(file["path"])
            rows += [
                {name: to_utc(value) for name, value in {**row, **partitions}.items()} | {FILE: name}
                for row in read_file(base / file["path"])
            ]
    return rows


def load(path: str) -> Rows:
    return read(DeltaTable(path))


def without_file(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != FILE}


def to_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def profile(contract: Contract, rows: Iterable[Row]) -> Profile:
    """As the real one: sums of hashes of rows, in which nulls and the instant of the commit are no part."""
    days: dict[date | None, DayProfile] = {}
    rows = list(rows)
    for row in rows:
        day = row["ds"] if contract.by_day else None
        values = {
            name: to_utc(row.get(name)) for name in contract.names if name not in ("available_at", "bucket")
        }
        text = repr([(name, str(value)) for name, value in values.items() if value is not None])
        of_day = days.get(day, DayProfile(0, 0))
        days[day] = DayProfile(of_day.rows + 1, (of_day.content_hash + crc32(text.encode()) * 2**24) % 2**64)
    return Profile(len(rows), 0, days)


def profile_table(table: DeltaTable, name: str) -> dict[date | None, DayProfile]:
    """Of the files that a version names, by the columns that each day was declared with."""
    return profile_as_published(read(table), SimpleNamespace(table=table, name=name))


def profile_as_published(rows: Rows, rewritten: Any) -> dict[date | None, DayProfile]:
    contents: dict[date | None, DayProfile] = {}
    state = read_state(rewritten.table)
    for contract, days in contracts_of_days(find_contract(rewritten.name), rewritten.table, state):
        contents |= profile(contract, [row for row in rows if days is None or row["ds"] in days]).days
    return contents
