"""Feature profiles as they are recorded and read: of each column of each day, how its values were distributed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import reduce
from operator import and_
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from expectations.column_profiles import ColumnProfile, merge_profiles
from jobs.publishing.batches import Batch, name_transaction
from jobs.publishing.record_tables import PROFILES
from jobs.publishing.state import DayState, read_state
from jobs.publishing.warehouse import Warehouse
from schemas.feature_profiles import FEATURE_PROFILES

KEY = ("table_name", "ds", "column")
_ATTEMPT = ("attempt_id", "batch_id", "appends", "profiled_at", "rows")
_PAIRS = {"bins": ("bin", "rows"), "top_values": ("value", "rows")}

Profiles = Mapping[tuple[date | None, str], ColumnProfile]
Row = dict[str, Any]
Key = tuple[Any, ...]


def append_profiles(
    warehouse: Warehouse, run_id: str, batch: Batch, outcome: str, profiles: Profiles
) -> None:
    """One row per day and column, in one commit."""
    about = {
        "run_id": run_id,
        "attempt_id": batch.attempt,
        "table_name": batch.table,
        "batch_id": batch.id,
        "appends": batch.appends,
        "outcome": outcome,
        "profiled_at": datetime.now(UTC),
    }
    rows = [
        {**about, "ds": day, "column": name, **profile.to_row()} for (day, name), profile in profiles.items()
    ]
    if rows:
        PROFILES.append(warehouse, rows)


def read_profiles(
    warehouse: Warehouse,
    tables: Collection[str] | None = None,
    first_day: date | None = None,
    last_day: date | None = None,
    columns: Collection[str] | None = None,
    days: Collection[date] | None = None,
    fields: Collection[str] | None = None,
) -> list[Row]:
    """What is published, without Spark: a row for each table, day and column, in that order.

    Of a day that was published again, the newest; of a table that is appended to, all that its day's batches had: the
    newest of them that have as many rows as the day, where there are such. Other rows that were erased or retracted
    since are still in it.

    Args:
        tables, columns: only these.
        first_day, last_day, days: only of these days; tables without days are not left out.
        fields: of `feature_profiles`, besides `KEY`; by default all. Without `bins` much less is read.

    Returns:
        Rows of `feature_profiles`; `bins` and `top_values` are mappings, as `ColumnProfile.from_row` takes them.
    """
    where = _select(tables, first_day, last_day, columns, days)
    chosen = _choose(warehouse, PROFILES.read(warehouse, (*KEY, *_ATTEMPT), where).to_pylist())
    # what is merged needs all that a profile has, and of most days there is nothing to merge
    whole = {key: rows for key, rows in chosen.items() if len(rows) > 1}
    single = {key: rows for key, rows in chosen.items() if len(rows) == 1}
    names = tuple(dict.fromkeys((*KEY, *(fields or FEATURE_PROFILES.names))))
    merged = {
        key: _merge(rows) for key, rows in _read(warehouse, where, whole, FEATURE_PROFILES.names).items()
    }
    found = {key: rows[0] for key, rows in _read(warehouse, where, single, names).items()} | merged
    return [{name: found[key][name] for name in names} for key in sorted(found, key=str)]


def _select(
    tables: Collection[str] | None,
    first_day: date | None,
    last_day: date | None,
    columns: Collection[str] | None,
    days: Collection[date] | None,
) -> pc.Expression:
    day, terms = pc.field("ds"), [pc.field("outcome") == "passed"]
    terms += [] if tables is None else [pc.field("table_name").isin(pa.array(tables, pa.string()))]
    terms += [] if columns is None else [pc.field("column").isin(pa.array(columns, pa.string()))]
    of_days = [day >= first_day] if first_day else []
    of_days += [day <= last_day] if last_day else []
    of_days += [] if days is None else [day.isin(pa.array(days, pa.date32()))]
    terms += [reduce(and_, of_days) | day.is_null()] if of_days else []
    return reduce(and_, terms)


def _choose(warehouse: Warehouse, rows: Sequence[Row]) -> dict[Key, list[Row]]:
    """Of each table, day and column the rows that make it up, the newest first."""
    by_table: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row["profiled_at"], reverse=True):
        by_table[row["table_name"]].append(row)
    chosen: dict[Key, list[Row]] = defaultdict(list)
    for name, of_table in by_table.items():
        if (table := warehouse.table(name)) is None:
            continue
        days = read_state(table).day_states
        for row in _list_published(name, table, days, of_table):
            known, day = chosen[_key_of(row)], days.get(row["ds"])
            if not known or _adds_rows(row, known, day.rows if day else None):
                known.append(row)
    return chosen


def _adds_rows(row: Row, newer: Sequence[Row], rows_of_day: int | None) -> bool:
    """Whether a row is of rows that the newer ones do not count."""
    # what is not appended replaces all that the day had before; and once batches have as many rows as the day, those of
    # older ones were taken out of it
    if not newer[-1]["appends"] or sum(each["rows"] for each in newer) == rows_of_day:
        return False
    # one that was recorded and not committed is tried again
    return _fingerprint_of(row) not in map(_fingerprint_of, newer)


def _list_published(
    name: str, table: DeltaTable, days: Mapping[date | None, DayState], rows: Sequence[Row]
) -> Iterator[Row]:
    known: dict[str, bool] = {}
    for row in rows:
        fingerprint, revision = _fingerprint_of(row), row["batch_id"].rpartition("-")[2]
        state = days.get(row["ds"])
        if state and state.fingerprint == fingerprint:
            yield row
            continue
        # another batch has added to the day, or replaced it, since
        if row["batch_id"] not in known:
            version = table.transaction_version(name_transaction(name, fingerprint))
            known[row["batch_id"]] = version is not None and version >= int(revision)
        if known[row["batch_id"]]:
            yield row


def _fingerprint_of(row: Row) -> str:
    fingerprint: str = row["batch_id"].rpartition("-")[0]
    return fingerprint


def _key_of(row: Row) -> Key:
    return tuple(row[name] for name in KEY)


def _read(
    warehouse: Warehouse, where: pc.Expression, chosen: Mapping[Key, Sequence[Row]], names: Sequence[str]
) -> dict[Key, list[Row]]:
    """The chosen rows with these columns."""
    attempts = sorted({row["attempt_id"] for rows in chosen.values() for row in rows})
    if not attempts:  # Arrow looks for no text among no values
        return {}
    found = PROFILES.read(
        warehouse, [*dict.fromkeys((*names, "attempt_id"))], where & pc.field("attempt_id").isin(attempts)
    )
    by_place = {(row["attempt_id"], *_key_of(row)): row for row in _to_rows(found)}
    return {key: [by_place[row["attempt_id"], *key] for row in rows] for key, rows in chosen.items()}


def _to_rows(found: pa.Table) -> list[Row]:
    pairs = {name: _to_mappings(found[name], *_PAIRS[name]) for name in found.column_names if name in _PAIRS}
    rows: list[Row] = found.drop_columns([*pairs]).to_pylist()
    for name, mappings in pairs.items():
        for row, mapping in zip(rows, mappings, strict=True):
            row[name] = mapping
    return rows


def _to_mappings(column: pa.ChunkedArray, key: str, value: str) -> list[dict[Any, int] | None]:
    """Of lists of pairs. As structs they would be millions of Python objects."""
    lists = column.combine_chunks()
    pairs = lists.flatten()
    keys, values = pairs.field(key).to_pylist(), pairs.field(value).to_pylist()
    found, end = list[dict[Any, int] | None](), 0
    for length in pc.list_value_length(lists).to_pylist():
        start, end = end, end + (length or 0)
        found.append(None if length is None else dict(zip(keys[start:end], values[start:end], strict=True)))
    return found


def _merge(rows: Sequence[Row]) -> Row:
    """The newest of them comes first, and says whose attempt it was."""
    merged = reduce(merge_profiles, map(ColumnProfile.from_row, rows))
    return {**rows[0], **vars(merged), "quantiles": merged.quantiles}
