"""A training set: for each label, the features as they were at its instant.

Tables are daily snapshots. So a label has one day of each table, as published one publication of a day, and in that
one row: no join looks for the newest of many rows. They are read one by one, and of each only the rows that its labels
get.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from segue.errors import SegueError, UsageError, list_names
from segue.idle_rows import read_day
from segue.instants import (
    AGES,
    INSTANT,
    UNIT_HINT,
    describe_too_late,
    find_last,
    from_micros,
    round_instants,
    to_micros,
)
from segue.keys import CAST_HINT, can_cast, is_text, read_texts, value_type
from segue.lookup import Ints, Key
from segue.names import read_names
from segue.publications import Publications
from segue.spaces import check_has_spaces, resolve_space
from segue.storage import REMOVED, SPACE, Snapshot
from segue.take import take_rows
from segue.watermark import describe_provisional, find_first_provisional_label

# Columns of a daily table that are no features.
FRAME = ("ds", "feature_at", "available_at", "bucket")
# Labels joined at once, whose places and codes of keys take memory.
BLOCK = 2**20


def training_set(
    snapshot: Callable[[str], Snapshot],
    labels: pa.Table,
    features: Sequence[str],
    at: str,
    as_published: bool,
    max_age: timedelta | None,
    space: str | None = None,
    complete_through: Mapping[str, datetime] = MappingProxyType({}),
    cast_keys: bool = False,
) -> pa.Table:
    """As `Store.training_set`, of the tables that `snapshot` gives by name.

    Args:
        complete_through: of tables, up to when they are; labels that need more are refused.
    """
    tables = list(_parse_features(snapshot, features, as_published).values())
    age = _to_microseconds(max_age)
    _check(labels, at, tables, cast_keys)
    last = find_last(labels[at])
    if last is not None and (problem := describe_too_late(at, last)):
        raise UsageError(f"labels: {problem}", UNIT_HINT)
    names = [table.snapshot.name for table in tables]
    limits = {name: complete_through[name] for name in names if name in complete_through}
    if limits:
        # the least complete one says it for all: rounding a million instants once is enough
        table = min(limits, key=lambda name: limits[name])
        _check_complete(labels[at], table, limits[table])
    # An empty table is a block of no labels.
    blocks = [labels.slice(start, BLOCK) for start in range(0, max(labels.num_rows, 1), BLOCK)]
    # One space for all labels is only known when the days of all of them are: so the blocks are gone through twice.
    _keep_one_space(tables, (_Labels(block, at) for block in blocks), age, space)
    return pa.concat_tables([_add_features(block, at, tables, age) for block in blocks])


def check_no_outcomes(outcomes: Sequence[str]) -> None:
    """Raises UsageError where there are any: their events are folded by declared SQL, which Spark evaluates."""
    if outcomes:
        listed = " ".join([outcomes] if isinstance(outcomes, str) else outcomes)
        raise UsageError(
            f"outcomes ({listed}) are made by Spark; store.training_set joins what is published",
            f"segue training-set --labels FILE --features ... --outcomes {listed} --out FOLDER writes features and "
            "outcomes as Parquet; with --groups request_id, segue.read_ranking_set reads them",
        )


def name_columns(snapshot: Callable[[str], Snapshot], feature: str) -> list[str]:
    """The columns that a feature of `training_set` becomes; of a table, those of all its features."""
    table, colon, column = feature.partition(":")
    return [_name_output(table, name) for name in ([column] if colon else _list_features(snapshot(table)))]


def _name_output(table: str, column: str) -> str:
    return f"{table}__{column}"


def _list_features(table: Snapshot) -> list[str]:
    # what is declared no more ends somewhere in the table: older releases have all of it
    others = (*table.key, *FRAME, *table.list_marked(REMOVED))
    return [name for name in table.schema.names if name not in others]


# --- what is requested


class _TableRequest:
    """A table, and the features requested of it."""

    def __init__(self, snapshot: Snapshot, as_published: bool) -> None:
        self.snapshot = snapshot
        self.keys = [name for name in snapshot.key if name != "ds"]
        self.columns: list[str] = []
        of_days = "ds" in snapshot.key and "ds" in snapshot.partitions
        if not (of_days and self.keys and all(pa.types.is_string(self.type(key)) for key in self.keys)):
            raise UsageError(
                f"table {snapshot.name} has no daily snapshots of entities (its key is {', '.join(snapshot.key)})",
                "look it up or scan it instead",
            )
        self.publications = Publications(snapshot, as_published)
        # Whether each publication is in the requested space; the last is for none.
        self.in_space = np.ones(len(self.publications.all) + 1, bool)

    def type(self, column: str) -> pa.DataType:
        return self.snapshot.schema.field(column).type

    def add(self, column: str | None) -> None:
        """Adds one feature, or for None all of them; what is there already stays where it is."""
        features = _list_features(self.snapshot)
        if column is not None and column not in features:
            raise UsageError.unknown("feature", column, features, f"table {self.snapshot.name}")
        self.columns = list(dict.fromkeys([*self.columns, *(features if column is None else [column])]))

    def output_name(self, column: str) -> str:
        return _name_output(self.snapshot.name, column)

    def defaults(self) -> pa.Table:
        """One row: what the features are for a key without a row."""
        defaults = self.snapshot.defaults
        return pa.table({name: pa.array([defaults.get(name)], self.type(name)) for name in self.columns})

    @property
    def leans_on_earlier(self) -> bool:
        return not self.snapshot.idle.keys().isdisjoint(self.columns)

    def is_of_one_space(self, space: str | None) -> bool:
        """Whether days of other spaces are left out: by default only where vectors are requested."""
        if space is not None:
            return SPACE in self.snapshot.schema.names
        return any(name in self.snapshot.vectors for name in self.columns)


def _parse_features(
    snapshot: Callable[[str], Snapshot], features: Sequence[str], as_published: bool
) -> dict[str, _TableRequest]:
    requests: dict[str, _TableRequest] = {}
    for feature in read_names("features", features):
        table, colon, column = feature.partition(":")
        if table not in requests:
            requests[table] = _TableRequest(snapshot(table), as_published)
        requests[table].add(column if colon else None)
    return requests


def _to_microseconds(max_age: timedelta | None) -> int:
    if max_age is None:
        return AGES * 2
    if not isinstance(max_age, timedelta) or max_age < timedelta():
        raise UsageError(f"max_age is a datetime.timedelta of 0 or more, or None; got {max_age!r}")
    return max_age // timedelta(microseconds=1)


def _check(labels: pa.Table, at: str, tables: Sequence[_TableRequest], cast_keys: bool) -> None:
    if not isinstance(labels, pa.Table):
        raise UsageError.not_a_table("labels", labels)
    _check_column(labels, at, "timestamps", lambda t: pa.types.is_timestamp(t) or pa.types.is_null(t))
    for key in dict.fromkeys(key for table in tables for key in table.keys):
        _check_column(labels, key, "strings", can_cast if cast_keys else is_text)
    # a table `a` with a feature `b__n` and a table `a__b` with `n` make one name, too
    names = [table.output_name(column) for table in tables for column in ("feature_at", *table.columns)]
    clashes = [name for name in names if name in labels.column_names or names.count(name) > 1]
    if clashes:
        raise UsageError(
            f"two columns would be called {list_names(list(dict.fromkeys(clashes)), 5)}",
            "rename the label's, or ask for one of them only",
        )


def _check_column(labels: pa.Table, name: str, of: str, is_allowed: Callable[[pa.DataType], bool]) -> None:
    if name not in labels.column_names:
        raise UsageError.unknown("column", name, labels.column_names, f"the labels, which need it as {of}")
    # Arrow lets a table have several columns of one name, and reads none of them by it
    several = labels.column_names.count(name) > 1
    type_ = "several of that name" if several else labels.schema.field(name).type
    if several or not is_allowed(value_type(type_)):
        hint = CAST_HINT if not several and is_allowed is is_text and can_cast(type_) else None
        raise UsageError(f"the labels need one column {name!r} of {of}; got {type_}", hint)


def _check_complete(instants: pa.ChunkedArray, table: str, through: datetime) -> None:
    """Raises SegueError where the newest day that had ended by a label is not complete in the table."""
    at = round_instants(instants)[0]
    late = at[at >= to_micros(find_first_provisional_label(through))]
    if len(late):
        first = from_micros(int(late.min()))
        raise SegueError(
            describe_provisional(table, through, len(late), first, len(at)),
            "leave these labels out, or take the values as they are with provisional=True",
        )


# --- the labels


class _Labels:
    """Their instants, and their keys by column."""

    def __init__(self, table: pa.Table, at: str) -> None:
        self.at, self.at_latest = round_instants(table[at])
        # Encoded once, however many tables have it.
        self.key = cache(lambda name: Key.of(read_texts(table, name, "the labels")))
        self.has = cache(lambda name: read_texts(table, name, "the labels").is_valid().to_numpy())


def _add_features(rows: pa.Table, at: str, tables: Sequence[_TableRequest], max_age: int) -> pa.Table:
    labels = _Labels(rows, at)
    for table in tables:
        for name, values in _join(table, labels, max_age):
            rows = rows.append_column(table.output_name(name), values)
    return rows


# --- which publication a label has


def _join(
    table: _TableRequest, labels: _Labels, max_age: int
) -> Iterator[tuple[str, pa.Array | pa.ChunkedArray]]:
    """The columns that the table adds."""
    visible, publication = _find_publications(table, labels, max_age)
    feature_at = np.append(table.publications.ends, 0)[visible]  # of none, the 0 at the end
    yield "feature_at", pa.array(feature_at, mask=visible < 0).cast(INSTANT)
    keys = {name: labels.key(name) for name in table.keys}
    rows, place = _read_rows(table, keys, np.where(table.in_space[publication], publication, -1))
    values = take_rows(rows, pa.array(place, mask=place < 0))
    yield from zip(table.columns, values.columns, strict=True)


def _find_publications(table: _TableRequest, labels: _Labels, max_age: int) -> tuple[Ints, Ints]:
    """The place of what each label sees of the table, and of what it gets a row of; -1 for none.

    Raises:
        SegueError: a label gets rows that are no longer there.
    """
    visible = table.publications.find(labels.at)
    gets_row = np.all([labels.has(name) for name in table.keys], axis=0)
    gets_row &= labels.at_latest - np.append(table.publications.ends, 0)[visible] <= max_age
    places = np.where(gets_row, visible, -1)
    table.publications.check(place for place in np.unique(places).tolist() if place >= 0)
    return visible, places


def _keep_one_space(
    tables: Sequence[_TableRequest], blocks: Iterable[_Labels], max_age: int, space: str | None
) -> None:
    """Leaves out publications in another space than the requested one.

    Raises:
        UsageError: none is requested, and the labels' days are in several.
    """
    with_vectors = [table for table in tables if table.is_of_one_space(space)]
    check_has_spaces(space, with_vectors, [table.snapshot.name for table in tables])
    places: dict[str, set[int]] = {table.snapshot.name: set() for table in with_vectors}
    for labels in blocks if with_vectors else ():
        for table in with_vectors:
            of_labels = np.unique(_find_publications(table, labels, max_age)[1]).tolist()
            places[table.snapshot.name].update(place for place in of_labels if place >= 0)
    # The spaces of a day are read from all its rows: so only of days that some label gets.
    spaces_by_table = {
        table.snapshot.name: {
            place: table.publications.spaces(place) for place in places[table.snapshot.name]
        }
        for table in with_vectors
    }
    every_day = ((table.snapshot, day) for table in with_vectors for day in table.snapshot.days)
    space = resolve_space(
        {
            table.snapshot.name: [
                (table.publications.all[place].ds, spaces)
                for place, spaces in spaces_by_table[table.snapshot.name].items()
            ]
            for table in with_vectors
        },
        space,
        lambda: {each for snapshot, day in every_day for each in snapshot.spaces(day)},
    )
    for table in with_vectors:
        spaces = spaces_by_table[table.snapshot.name]
        table.in_space[:-1] = [space in spaces.get(n, ()) for n in range(len(table.publications.all))]


# --- which row of that publication


def _read_rows(table: _TableRequest, keys: Mapping[str, Key], publication: Ints) -> tuple[pa.Table, Ints]:
    """Rows that labels have, the defaults behind them; and each label's place there, -1 for none.

    `publication` is the place of what each label gets a row of, -1 for none.
    """
    place, absent = np.full(len(publication), -1), np.zeros(len(publication), bool)
    matches: list[pa.Table] = []
    count = 0
    for number, labels in _group_labels(publication) if table.columns else ():
        keys_of_labels = {name: key.of_rows(labels) for name, key in keys.items()}
        rows, row_places = read_day(
            table.snapshot,
            keys_of_labels,
            table.publications.files(number),
            # of other columns, who has no row has the default either way
            table.publications.earlier_files(number) if table.leans_on_earlier else (),
            table.columns,
        )
        absent[labels] = row_places < 0
        place[labels] = row_places + count
        matches.append(rows)
        count += rows.num_rows
    place[absent] = count
    return pa.concat_tables([*matches, table.defaults()]), place


def _group_labels(publication: Ints) -> Iterator[tuple[int, Ints]]:
    """Each publication that some label gets, and those labels."""
    # One sort for all: a comparison for each would go over all labels as often as there are days.
    order = np.argsort(publication, kind="stable")
    numbers, starts = np.unique(publication[order], return_index=True)
    # Of no labels there are no days, and yet one group.
    for number, labels in zip(numbers.tolist(), np.split(order, starts[1:]), strict=False):
        if number >= 0:
            yield number, labels
