"""A feature table as the join reads it: key parts, when a row counts, and one struct with all its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, MapType

from features.joins import serving
from features.joins.feature_table import FeatureTable
from features.joins.serving import Periods, ServingInterval
from schemas.common import quote_name


def quote_column(name: str) -> Column:
    """The column of this very name, whatever characters are in it."""
    return F.col(quote_name(name))


def _look_up_instant(micros: Sequence[int | None], period: Column) -> Column:
    """By the number of a serving interval; null in period 0, before the first."""
    by_period = serving.literal_array([None, *micros], "bigint")
    return F.timestamp_micros(F.get(by_period, period))


@dataclass(frozen=True)
class History:
    """A table looked up as of the label's instant; the struct column is called `row`."""

    table: FeatureTable
    row: str
    as_published: bool

    def frame(self, until: Column | None = None) -> DataFrame:
        """k0, k1 ..., `time` and the struct, but rows without them: no label gets those.

        Args:
            until: the newest label's instant, to leave out rows after it.
        """
        rows, feature_at = self._with_keys(), F.col("feature_at")
        # none are left out for their age: `feature_at` of a row that is too old is an output all the same
        if until is not None:
            rows = rows.where(feature_at <= until)
        instants = [feature_at, F.col("available_at")] if self.as_published else [feature_at]
        for instant in instants:
            rows = rows.where(instant.isNotNull())
        time = F.greatest(*instants) if self.as_published else feature_at
        available = ["available_at"] if "available_at" in self.table.rows.columns else []
        order = [feature_at, *map(quote_column, (*available, *self.table.ties))]
        return rows.select(*self.parts, time.alias("time"), self._struct(order))

    @property
    def parts(self) -> list[Column]:
        return [quote_column(key).alias(f"k{n}") for n, key in enumerate(self.table.keys)]

    def label_columns(self, at: Column) -> dict[str, Column]:
        """Columns of a label at `at` of their own: {row}_at is `feature_at` of what it gets."""
        return {f"{self.row}_at": F.col(self.row)["feature_at"]}

    def values(self, at: Column, keys: Sequence[Column]) -> list[Column]:
        """The output columns, for a label at `at`; `keys` are the label's."""
        fresh = self._is_fresh(at)
        return self._as_outputs([F.when(fresh, value) for value in self._value_columns()])

    def _with_keys(self) -> DataFrame:
        rows = self.table.rows
        for key in self.table.keys:
            rows = rows.where(quote_column(key).isNotNull())
        return rows

    def _struct(self, order: Sequence[Column]) -> Column:
        # One struct, so that all values of a table come from one row. Its fields are in the order in which rows are
        # compared: feature_at, available_at, the columns that decide ties, the values.
        first = [column.alias("feature_at" if not n else f"o{n}") for n, column in enumerate(order)]
        return F.struct(*first, *self._stored_values).alias(self.row)

    @property
    def _stored_values(self) -> list[Column]:
        values = [
            # maps have no order, and a struct that holds one no greatest; their entries do
            F.map_entries(quote_column(name)) if isinstance(self._type(name), MapType) else quote_column(name)
            for name in self.table.columns
        ]
        return [value.alias(f"v{n}") for n, value in enumerate(values)]

    def _type(self, name: str) -> DataType:
        return self.table.rows.schema[name].dataType

    def _value_columns(self) -> list[Column]:
        # each call of these makes calls to the JVM, and a join may have thousands of columns
        row = F.col(self.row)
        stored = [(row[f"v{n}"], self._type(name)) for n, name in enumerate(self.table.columns)]
        return [F.map_from_entries(value) if isinstance(kind, MapType) else value for value, kind in stored]

    @property
    def _visible_feature_at(self) -> Column:
        return F.col(f"{self.row}_at")

    def _is_fresh(self, at: Column) -> Column:
        if self.table.max_age is None:
            return F.lit(True)
        return self._visible_feature_at >= at - F.lit(self.table.max_age)

    def _as_outputs(self, values: Sequence[Column]) -> list[Column]:
        columns = [self._visible_feature_at, *values]
        return [column.alias(name) for column, name in zip(columns, self.table.outputs, strict=True)]


@dataclass(frozen=True)
class DailyHistory(History):
    """A table of published days: a label sees one publication of one of them, and no row of any other."""

    @cached_property
    def serving_intervals(self) -> list[ServingInterval]:
        return serving.serving_intervals(self.table.published_days or (), self.as_published)

    def frame(self, until: Column | None = None) -> DataFrame:
        return self._served_rows().select(
            *self._part_names, self._served_since.alias("time"), self._daily_struct
        )

    def in_periods(self, periods: Periods) -> DataFrame:
        """k0, k1 ..., `period` and the struct: a row once per period that its publication serves."""
        spans = periods.periods_served(self.serving_intervals)
        begin, end = (self._by_interval([span[n] for span in spans], "int") for n in (0, 1))
        # tables that change at the same instants, the usual case, have one period per day
        period = begin if all(first == last for first, last in spans) else F.explode(F.sequence(begin, end))
        return self._served_rows().select(*self._part_names, period.alias("period"), self._daily_struct)

    def visible_period(self, at: Column) -> Column:
        """The number of the serving interval that a label at `at` is in, counted from 1; 0 before the first."""
        return Periods(tuple(interval.since for interval in self.serving_intervals)).of(at)

    def visible_feature_at(self, at: Column) -> Column:
        return self._feature_at_of(self.visible_period(at))

    def label_columns(self, at: Column) -> dict[str, Column]:
        """{row}_since is when the publication that the label sees began to be served."""
        period = self.visible_period(at)
        since = _look_up_instant(self._sinces, period)
        return {f"{self.row}_at": self._feature_at_of(period), f"{self.row}_since": since}

    def values(self, at: Column, keys: Sequence[Column]) -> list[Column]:
        has_day = self._is_fresh(at) & self._visible_feature_at.isNotNull()
        for key in keys:
            has_day &= key.isNotNull()
        # joined as of, the row may be of an older publication than the one that the label sees
        has_row = has_day & (F.col(self.row)["feature_at"] == F.col(f"{self.row}_since"))
        columns = zip(self.table.columns, self._value_columns(), strict=True)
        values = {name: F.when(has_row, value) for name, value in columns}
        for name, default in self.table.defaults.items():
            values[name] = values[name].when(has_day, F.lit(default).cast(self._type(name)))
        return self._as_outputs(list(values.values()))

    def _served_rows(self) -> DataFrame:
        """k0, k1 ..., the number of the `interval` that a row serves in, and its values."""
        rows = self._with_keys()
        interval, several = serving.intervals_of(
            self.table.published_days or (), self.serving_intervals, F.col("ds"), F.col("available_at")
        )
        # without the days that no label sees: a newer one could be used when they were published
        rows = rows.where(interval.isNotNull())
        number = F.explode(interval) if several else interval
        return rows.select(*self.parts, number.alias("interval"), *self._stored_values)

    def _feature_at_of(self, period: Column) -> Column:
        # from the label alone, before any row is joined: a day that has no row of the key is the answer as well
        days = [interval.day for interval in self.serving_intervals]
        midnights = [serving.to_micros(serving.midnight_after(day.ds)) if day else None for day in days]
        return _look_up_instant(midnights, period)

    @property
    def _part_names(self) -> list[str]:
        return [f"k{n}" for n in range(len(self.table.keys))]

    @property
    def _sinces(self) -> list[int]:
        return [interval.since for interval in self.serving_intervals]

    @property
    def _served_since(self) -> Column:
        return F.timestamp_micros(self._by_interval(self._sinces))

    @property
    def _daily_struct(self) -> Column:
        # by when it began to be served, not by day: of two publications of a day the later one is the greater
        values = [F.col(f"v{n}") for n in range(len(self.table.columns))]
        return F.struct(self._served_since.alias("feature_at"), *values).alias(self.row)

    def _by_interval(self, values: Sequence[int], element: str = "bigint") -> Column:
        return F.get(serving.literal_array(values, element), F.col("interval"))
