"""A training set: for each label, the features as they were at its instant.

Tables are daily snapshots. So a label has one day of each table, and on that day one row: no join looks
for the newest of many rows. Days are read one by one, and of each only what its labels ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from segue.errors import UsageError, list_names
from segue.lookup import TEXT, Ints, Key, read_by_key
from segue.spaces import check_has_spaces, resolve_space
from segue.storage import SPACE, Snapshot

INSTANT = pa.timestamp("us", "UTC")
# What is known about a row, beside its features.
BESIDE = ("ds", "feature_at", "available_at", "bucket")
# Labels joined at once: a column of lists or texts holds no more than 2^31 items in one piece.
BLOCK = 2**20
# Microseconds around 1970 that no day comes near; twice as many still fit into 64 bits.
AGES = 2**61
UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}


def training_set(
    snapshot: Callable[[str], Snapshot],
    labels: pa.Table,
    features: Sequence[str],
    at: str,
    as_published: bool,
    max_age: timedelta | None,
    space: str | None = None,
) -> pa.Table:
    """As `Store.training_set`, of the tables that `snapshot` gives by name."""
    asked = list(_asked(snapshot, features).values())
    age = _microseconds(max_age)
    _check(labels, at, asked)
    # An empty table is a block of no labels.
    blocks = [labels.slice(start, BLOCK) for start in range(0, max(labels.num_rows, 1), BLOCK)]
    _keep_one_space(asked, (_Labels(block, at) for block in blocks), as_published, age, space)
    return pa.concat_tables([_block(block, at, asked, as_published, age) for block in blocks])


# --- what is asked for


class _Asked:
    """A table, and the features wanted of it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.keys = [name for name in snapshot.key if name != "ds"]
        self.columns: list[str] = []
        # Whether each day is in the space asked for; the last is for no day.
        self.in_space = np.ones(len(snapshot.days) + 1, bool)
        of_days = "ds" in snapshot.key and "ds" in snapshot.partitions
        if not (of_days and self.keys and all(pa.types.is_string(self.type(key)) for key in self.keys)):
            raise UsageError(
                f"table {snapshot.name} has no daily snapshots of entities (its key is {', '.join(snapshot.key)})",
                "look it up or scan it instead",
            )

    def type(self, column: str) -> pa.DataType:
        return self.snapshot.schema.field(column).type

    def add(self, column: str | None) -> None:
        """Adds one feature, or for None all of them; what is there already stays where it is."""
        as_published = [name for name in self.snapshot.schema.names if name not in (*self.keys, *BESIDE)]
        if column is not None and column not in as_published:
            raise UsageError.unknown("feature", column, as_published, f"table {self.snapshot.name}")
        self.columns = list(dict.fromkeys([*self.columns, *(as_published if column is None else [column])]))

    def named(self, column: str) -> str:
        return f"{self.snapshot.name}__{column}"

    def defaults(self) -> pa.Table:
        """One row: what the features are for a key without a row."""
        held = self.snapshot.defaults
        return pa.table({name: pa.array([held.get(name)], self.type(name)) for name in self.columns})

    def measured(self, space: str | None) -> bool:
        """Whether its days may be left out for their space: by default only where vectors are asked for."""
        if space is not None:
            return SPACE in self.snapshot.schema.names
        return any(name in self.snapshot.vectors for name in self.columns)


def _asked(snapshot: Callable[[str], Snapshot], features: Sequence[str]) -> dict[str, _Asked]:
    if isinstance(features, str) or not all(isinstance(each, str) for each in features):
        raise UsageError.not_a_list("features", repr(features))
    asked: dict[str, _Asked] = {}
    for feature in features:
        table, colon, column = feature.partition(":")
        if table not in asked:
            asked[table] = _Asked(snapshot(table))
        asked[table].add(column if colon else None)
    return asked


def _microseconds(max_age: timedelta | None) -> int:
    if max_age is None:
        return AGES * 2
    if not isinstance(max_age, timedelta) or max_age < timedelta():
        raise UsageError(f"max_age is a datetime.timedelta of 0 or more, or None; got {max_age!r}")
    return max_age // timedelta(microseconds=1)


def _check(labels: pa.Table, at: str, asked: Sequence[_Asked]) -> None:
    if not isinstance(labels, pa.Table):
        raise UsageError(
            f"labels must be a pyarrow.Table; got {type(labels).__name__}",
            "pyarrow.Table.from_pandas makes one",
        )
    _check_column(labels, at, "timestamps", (pa.types.is_timestamp, pa.types.is_null))
    for key in dict.fromkeys(key for each in asked for key in each.keys):
        _check_column(labels, key, "strings", TEXT)
    names = [each.named(column) for each in asked for column in ("feature_at", *each.columns)]
    taken = [name for name in names if name in labels.column_names or names.count(name) > 1]
    if taken:
        raise UsageError(
            f"two columns would be called {list_names(list(dict.fromkeys(taken)), 5)}",
            "rename the label's, or ask for one of them only",
        )


def _check_column(labels: pa.Table, name: str, of: str, kinds: Sequence[Callable[[Any], bool]]) -> None:
    if name not in labels.column_names:
        raise UsageError.unknown("column", name, labels.column_names, f"the labels, which need it as {of}")
    several = labels.column_names.count(name) > 1
    stored = None if several else labels.schema.field(name).type
    if several or not any(kind(_plain(stored)) for kind in kinds):
        got = "several of that name" if several else stored
        raise UsageError(f"the labels need one column {name!r} of {of}; got {got}")


def _plain(stored: pa.DataType) -> pa.DataType:
    return stored.value_type if pa.types.is_dictionary(stored) else stored


# --- the labels


class _Labels:
    """Their instants, and their keys by column."""

    def __init__(self, table: pa.Table, at: str) -> None:
        self.at, self.at_latest = _instants(table[at])
        # Encoded once, however many tables have it.
        self.key = cache(lambda name: Key.of(table[name]))
        self.told = cache(lambda name: table[name].cast(pa.large_string()).is_valid().to_numpy())


def _instants(column: pa.ChunkedArray) -> tuple[Ints, Ints]:
    """In microseconds since 1970, rounded down and up; null is before every day."""
    stored = _plain(column.type)
    column = column.cast(INSTANT if pa.types.is_null(stored) else stored)
    whole = column.cast(pa.int64())
    raw, absent = whole.fill_null(0).to_numpy(), whole.is_null().to_numpy()
    unit = column.type.unit
    if unit == "ns":
        down = raw // 1000
        up = down + (raw % 1000 != 0)
    else:
        most = AGES // UNITS[unit]
        down = up = np.clip(raw, -most, most) * UNITS[unit]
    return np.where(absent, -AGES, down), up


def _block(table: pa.Table, at: str, asked: Sequence[_Asked], as_published: bool, max_age: int) -> pa.Table:
    labels = _Labels(table, at)
    for each in asked:
        for name, values in _joined(each, labels, as_published, max_age):
            table = table.append_column(each.named(name), values)
    return table


# --- which day a label has


def _joined(
    asked: _Asked, labels: _Labels, as_published: bool, max_age: int
) -> Iterator[tuple[str, pa.Array | pa.ChunkedArray]]:
    """The columns that the table adds."""
    seen, day = _days(asked, labels, as_published, max_age)
    feature_at = np.append(_ends(asked.snapshot.days), 0)[seen]  # of no day, the 0 at the end
    yield "feature_at", pa.array(feature_at, mask=seen < 0).cast(INSTANT)
    keys = {name: labels.key(name) for name in asked.keys}
    rows, place = _rows(asked, keys, np.where(asked.in_space[day], day, -1))
    taken = rows.take(pa.array(place, mask=place < 0))
    yield from zip(asked.columns, taken.columns, strict=True)


def _days(asked: _Asked, labels: _Labels, as_published: bool, max_age: int) -> tuple[Ints, Ints]:
    """The place of each label's day among those of the table, and of the day that it gets a row of; -1 for none."""
    ends = _ends(asked.snapshot.days)
    seen = _newest(np.maximum(ends, _published(asked.snapshot)) if as_published else ends, labels.at)
    wanted = np.all([labels.told(name) for name in asked.keys], axis=0)
    wanted &= labels.at_latest - np.append(ends, 0)[seen] <= max_age
    return seen, np.where(wanted, seen, -1)


def _keep_one_space(
    asked: Sequence[_Asked], blocks: Iterable[_Labels], as_published: bool, max_age: int, space: str | None
) -> None:
    """Leaves out days in another space than the one asked for.

    Raises:
        UsageError: none is asked for, and the labels' days are in several.
    """
    measured = [each for each in asked if each.measured(space)]
    check_has_spaces(space, measured, [each.snapshot.name for each in asked])
    days: dict[str, set[date]] = {each.snapshot.name: set() for each in measured}
    for labels in blocks if measured else ():
        for each in measured:
            places = np.unique(_days(each, labels, as_published, max_age)[1]).tolist()
            days[each.snapshot.name].update(each.snapshot.days[place] for place in places if place >= 0)
    tables = {
        each.snapshot.name: {day: each.snapshot.spaces(day) for day in days[each.snapshot.name]}
        for each in measured
    }
    kept = resolve_space(tables, space, lambda: _all_spaces(measured))
    for each in measured:
        spaces = [tables[each.snapshot.name].get(day, ()) for day in each.snapshot.days]
        each.in_space[:-1] = [kept in of_day for of_day in spaces]


def _all_spaces(asked: Sequence[_Asked]) -> set[str]:
    found = ((each.snapshot, day) for each in asked for day in each.snapshot.days)
    return {space for snapshot, day in found for space in snapshot.spaces(day)}


def _ends(days: Sequence[date]) -> Ints:
    """Midnight after each day."""
    # Not as datetimes of Python, which end with the year 9999.
    following = np.array(days, "datetime64[D]") + np.timedelta64(1, "D")
    return following.astype("datetime64[us]").astype(np.int64)


def _published(snapshot: Snapshot) -> Ints:
    """When the last file of each day was published; a day with a file that never was is after all labels."""
    files = [file for file in snapshot.files if file.partition["ds"]]
    instants = pa.array([file.partition.get("available_at") for file in files], INSTANT)
    day = np.searchsorted(_ends(snapshot.days), _ends([file.partition["ds"] for file in files]))
    last = np.full(len(snapshot.days), -AGES)
    np.maximum.at(last, day, instants.cast(pa.int64()).fill_null(AGES + 1).to_numpy())
    return last


def _newest(since: Ints, at: Ints) -> Ints:
    """For each instant the last place of `since`, in whatever order that is, that is not after it; -1 for none."""
    order = np.argsort(since, kind="stable")
    last = np.concatenate([[-1], np.maximum.accumulate(order)])
    return last[np.searchsorted(since[order], at, side="right")]


# --- which row of that day


def _rows(asked: _Asked, keys: Mapping[str, Key], day: Ints) -> tuple[pa.Table, Ints]:
    """Rows that labels have, the defaults behind them; and each label's place there, -1 for none.

    `day` is the place of each label's day among those of the table, -1 for none.
    """
    place, absent = np.full(len(day), -1), np.zeros(len(day), bool)
    found: list[pa.Table] = []
    count = 0
    for number, labels in _groups(day) if asked.columns else ():
        wanted = {name: key.of_rows(labels) for name, key in keys.items()}
        rows, mine = read_by_key(asked.snapshot, wanted, asked.snapshot.days[number], asked.columns)
        absent[labels] = mine < 0
        place[labels] = mine + count
        found.append(rows)
        count += rows.num_rows
    place[absent] = count
    return pa.concat_tables([*found, asked.defaults()]), place


def _groups(day: Ints) -> Iterator[tuple[int, Ints]]:
    """Each day that some label has, and those labels."""
    order = np.argsort(day, kind="stable")
    days, starts = np.unique(day[order], return_index=True)
    # Of no labels there are no days, and yet one group.
    for number, labels in zip(days.tolist(), np.split(order, starts[1:]), strict=False):
        if number >= 0:
            yield number, labels
