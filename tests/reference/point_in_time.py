"""Point-in-time joins from their definition: for every label, a loop over every row of every table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from reference.rows import Row, midnight_after


@dataclass(frozen=True)
class PublishedDay:
    """One publication of a day of a daily table; without rows, the day was taken away."""

    ds: date
    available_at: datetime
    has_rows: bool = True

    @property
    def feature_at(self) -> datetime:
        return midnight_after(self.ds)


@dataclass(frozen=True)
class Table:
    """What `features.joins.point_in_time.FeatureTable` declares, with its rows as dicts."""

    name: str
    rows: list[Row]
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    max_age: timedelta | None = None
    ties: tuple[str, ...] = ()
    published_days: tuple[PublishedDay, ...] | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)


def requested_columns(
    features: Iterable[str], columns_of: Mapping[str, Iterable[str]]
) -> dict[str, list[str]]:
    """By table, the columns that `table` (all of them) or `table:column` name, each once, in order of request."""
    columns: dict[str, dict[str, None]] = {}
    for feature in features:
        table, _, column = feature.partition(":")
        columns.setdefault(table, {}).update(dict.fromkeys([column] if column else columns_of[table]))
    return {table: list(names) for table, names in columns.items()}


def join(
    labels: list[Row], tables: list[Table], at: str = "label_at", as_published: bool = False
) -> list[Row]:
    """One row per label, in the labels' order: the label's columns, then each table's."""
    return [
        label | {k: v for table in tables for k, v in feature_columns(label, table, at, as_published)}
        for label in labels
    ]


def feature_columns(label: Row, table: Table, at: str, as_published: bool) -> Iterator[tuple[str, Any]]:
    find_row = as_of if table.published_days is None else of_published_day
    feature_at, values = find_row(label, table, label[at], as_published)
    if feature_at is not None and table.max_age is not None and label[at] - feature_at > table.max_age:
        values = {}
    yield f"{table.name}__feature_at", feature_at
    for column in table.columns:
        yield f"{table.name}__{column}", values.get(column)


def as_of(label: Row, table: Table, t: datetime | None, as_published: bool) -> tuple[datetime | None, Row]:
    """The newest row of the label's key at `t`; of rows as new, the last in `precedence`."""
    newest: Row | None = None
    for row in table.rows:
        if not is_usable(row["feature_at"], row.get("available_at"), t, as_published) or not same_key(
            label, row, table
        ):
            continue
        if newest is None or precedence(row, table) > precedence(newest, table):
            newest = row
    return (None, {}) if newest is None else (newest["feature_at"], newest)


def of_published_day(
    label: Row, table: Table, t: datetime | None, as_published: bool
) -> tuple[datetime | None, Row]:
    """The row of the label's key on the newest day published at `t`, as it was published last, and on no other day.

    Which day that is depends on `t` alone, so a label without a key has one too, but no values.
    """
    last: dict[date, PublishedDay] = {}
    for each in table.published_days or ():
        if is_usable(each.feature_at, each.available_at, t, as_published):
            before = last.get(each.ds, each)
            last[each.ds] = max(each, before, key=lambda publication: publication.available_at)
    with_rows = [each for each in last.values() if each.has_rows]
    if not with_rows:
        return None, {}
    newest = max(with_rows, key=lambda publication: publication.ds)
    if any(label[key] is None for key in table.keys):
        return newest.feature_at, {}
    is_republished = sum(each.ds == newest.ds for each in table.published_days or ()) > 1
    for row in table.rows:
        if is_republished and row["available_at"] != newest.available_at:
            continue
        if row["ds"] == newest.ds and same_key(label, row, table):
            return newest.feature_at, row
    return newest.feature_at, dict(table.defaults)


def is_usable(
    feature_at: datetime | None, available_at: datetime | None, t: datetime | None, as_published: bool
) -> bool:
    if t is None or feature_at is None or feature_at > t:
        return False
    return not as_published or (available_at is not None and available_at <= t)


def same_key(label: Row, row: Row, table: Table) -> bool:
    """Each part equal to its part; null is equal to nothing."""
    return all(label[key] is not None and label[key] == row[key] for key in table.keys)


def precedence(row: Row, table: Table) -> list[tuple[bool, Any]]:
    """Newer describes later; then published later; then greater in `ties`, null below everything."""
    order = [row["feature_at"], row.get("available_at"), *(row[column] for column in table.ties)]
    return [(value is not None, value) for value in order]
