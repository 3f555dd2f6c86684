"""What a point-in-time join takes, and what is refused before any job runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql.types import DataType, DateType, TimestampType

from features.joins.serving import PublishedDay

# The column that says which instant the values of a row describe everything before.
FEATURE_AT = "feature_at"


def output_name(table: str, column: str) -> str:
    """What a table's column is called beside the labels."""
    # two underscores: names of tables and of columns have single ones
    return f"{table}__{column}"


class PointInTimeError(ValueError):
    """Labels and tables that do not fit together."""


@dataclass(frozen=True)
class FeatureTable:
    """What to add to labels, and from where."""

    # output columns are named after it, see `output_name`: feature_at, then `columns`
    name: str
    # with timestamps `feature_at` and, maybe, `available_at`; or, with `published_days`, a date `ds`
    rows: DataFrame
    # columns of the labels and of `rows`, of the same types
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    # older values come out null; a value exactly as old still counts
    max_age: timedelta | None = None
    # Of rows with equal keys and feature_at the one with the later available_at wins, then the greatest in these
    # columns, null lowest; then, so that the result is always the same, in `columns`.
    ties: tuple[str, ...] = ()
    # (keys, ds) is then unique in `rows`; where a day was published several times, (keys, ds, available_at)
    published_days: tuple[PublishedDay, ...] | None = None
    # value of a column where the label's day has no row of its keys
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_republished(self) -> bool:
        """Whether a day is there as it was published several times."""
        days = [day.ds for day in self.published_days or () if day.has_rows]
        return len(set(days)) < len(days)

    @property
    def outputs(self) -> list[str]:
        return [output_name(self.name, column) for column in (FEATURE_AT, *self.columns)]


def check(labels: DataFrame, tables: Sequence[FeatureTable], at: str, as_published: bool) -> None:
    """Raise PointInTimeError with everything that is wrong, one line each."""
    problems = list(_find_wrong_labels(labels, at))
    if not tables:
        problems.insert(0, "tables: got none, expected one or more; give what is to be added to the labels")
    for table in tables:
        # types of keys that are not there cannot be compared
        problems += list(_find_wrong_columns(table, as_published)) or list(_find_wrong_keys(labels, table))
    problems = problems or list(_find_wrong_names(labels, tables))
    if problems:
        # tables with the same keys lack the same column of the labels
        raise PointInTimeError("\n".join(dict.fromkeys(problems)))


def _types(df: DataFrame) -> dict[str, DataType]:
    return {column.name: column.dataType for column in df.schema.fields}


def _find_wrong_labels(labels: DataFrame, at: str) -> Iterator[str]:
    types = _types(labels)
    duplicates = sorted(name for name, count in Counter(labels.columns).items() if count > 1)
    if duplicates:
        yield f"labels: columns {duplicates} are there more than once, expected different names; rename them"
    if at not in types:
        yield f"labels: no column {at!r}, got {labels.columns}; name the labels' instant with at=..."
    elif not isinstance(types[at], TimestampType):
        type_ = types[at].simpleString()
        yield f"labels: column {at!r} is {type_}, expected timestamp; cast it, knowing its time zone"


def _find_wrong_columns(table: FeatureTable, as_published: bool) -> Iterator[str]:
    types = _types(table.rows)
    # of a day that was published as a whole the instants are known without its rows
    expected: dict[str, type[DataType]] = {"ds": DateType}
    if table.published_days is None:
        available = ["available_at"] if as_published or "available_at" in types else []
        expected = dict.fromkeys([FEATURE_AT, *available], TimestampType)
    elif table.is_republished:
        expected["available_at"] = TimestampType
    required = dict.fromkeys([*table.keys, *table.columns, *table.ties, *expected])
    missing = [name for name in required if name not in types]
    if missing:
        yield f"table {table.name!r}: no columns {missing}, got {table.rows.columns}; add or rename them"
    if not table.keys:
        yield f"table {table.name!r}: keys are empty, expected one or more columns; name what rows and labels share"
    for name, kind in expected.items():
        if name in types and not isinstance(types[name], kind):
            type_ = types[name].simpleString()
            yield f"table {table.name!r}: column {name!r} is {type_}, expected {kind.typeName()}; cast it"
    yield from _find_wrong_days(table)


def _find_wrong_days(table: FeatureTable) -> Iterator[str]:
    # a default is of a day that was published without the key; where there are no days, no row says nothing
    if table.defaults and table.published_days is None:
        yield f"table {table.name!r}: got defaults, expected none without published_days; say which days are published"
    unknown = sorted(set(table.defaults) - set(table.columns))
    if unknown:
        yield f"table {table.name!r}: defaults for {unknown}, expected names of {list(table.columns)}; correct them"
    days = table.published_days or ()
    without_zone = [day.ds.isoformat() for day in days if day.available_at.utcoffset() is None]
    if without_zone:
        yield f"table {table.name!r}: available_at of {without_zone} has no time zone, expected one; add tzinfo"


def _find_wrong_keys(labels: DataFrame, table: FeatureTable) -> Iterator[str]:
    of_labels, of_rows = _types(labels), _types(table.rows)
    for key in table.keys:
        if key not in of_labels:
            yield f"labels: no column {key!r}, got {labels.columns}; table {table.name!r} is joined by it"
        elif of_labels[key] != of_rows[key]:
            types = f"{of_labels[key].simpleString()} in labels, {of_rows[key].simpleString()} in table {table.name!r}"
            yield f"key {key!r}: {types}, expected the same type; cast one of them"


def _find_wrong_names(labels: DataFrame, tables: Sequence[FeatureTable]) -> Iterator[str]:
    # names that differ in case alone collide too: Spark would find neither
    names = Counter(name.casefold() for table in tables for name in table.outputs)
    names.update({name.casefold() for name in labels.columns} & names.keys())
    clashes = sorted({name for table in tables for name in table.outputs if names[name.casefold()] > 1})
    if clashes:
        yield f"output columns {clashes} would be there twice, expected different names; rename tables or label columns"
