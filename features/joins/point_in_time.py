"""Point-in-time joins: beside every label, what was true (or had been published) of its keys at its instant.

Tables with the same keys share one shuffle of the labels. A table of which every day is published as
a whole (`published_days`) is looked up by day, any other as of the label's instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.joins import as_of, few_labels, hot_keys, reduction
from features.joins.feature_table import FeatureTable, PointInTimeError, PublishedDay, check
from features.joins.histories import DailyHistory, History
from features.joins.serving import Periods

__all__ = ["FeatureTable", "PointInTimeError", "PublishedDay", "point_in_time_join"]


def point_in_time_join(
    labels: DataFrame, tables: Sequence[FeatureTable], at: str = "label_at", as_published: bool = False
) -> DataFrame:
    """Every row of `labels` once, as it is, and per table the newest row of its keys at the instant `at`.

    Labels that come straight from a source are read twice, and a small job looks for keys with very many rows.

    Args:
        as_published: only rows that were available at that instant count, not all that describe it.

    Raises:
        PointInTimeError: everything that is wrong with labels or tables; before any job.
    """
    check(labels, tables, at, as_published)
    names = {name: f"l{n}" for n, name in enumerate(labels.columns)}
    # by position: a label's column may be called anything, also what a column of a history is called
    plain = joined = labels.toDF(*names.values())
    outputs: dict[str, list[Column]] = {}
    # The shuffle of the labels is what costs: tables with the same keys share one.
    for keys in dict.fromkeys(table.keys for table in tables):
        group = [
            (History if table.published_days is None else DailyHistory)(table, f"r{n}", as_published)
            for n, table in enumerate(tables)
            if table.keys == keys
        ]
        label_keys = LabelKeys(plain, tuple(names[key] for key in keys), names[at])
        instant = F.col(label_keys.at)
        # computed once per label, not once per column
        label_columns = {
            name: column for history in group for name, column in history.label_columns(instant).items()
        }
        joined = label_keys.join_histories(joined, group).withColumns(label_columns)
        outputs |= {history.row: history.values(instant, label_keys.key_columns) for history in group}
    given = [F.col(column).alias(name) for name, column in names.items()]
    # tables were joined by their keys; their columns come in the order in which they were given
    return joined.select(*given, *[column for n in range(len(tables)) for column in outputs[f"r{n}"]])


@dataclass(frozen=True)
class LabelKeys:
    """Labels, and names of their columns: the keys and the instant by which tables are joined to them."""

    labels: DataFrame
    keys: tuple[str, ...]
    at: str

    def join_histories(self, joined: DataFrame, group: Sequence[History]) -> DataFrame:
        """`joined`, which is the labels and what was joined so far, with the struct of each of `group`."""
        daily = [history for history in group if isinstance(history, DailyHistory)]
        # one that is not would need the sort by time anyway, which serves the others at no further shuffle
        if len(daily) == len(group):
            return self._join_daily(joined, daily)
        instants = few_labels.read_instants(self.instants, len(group)) if self._rereadable else None
        if instants is None:
            return self._join_as_of(joined, group)
        newest = F.timestamp_micros(F.lit(instants.newest).cast("bigint"))
        frames = {history.row: history.frame(newest) for history in group}
        return few_labels.join_by_place(joined, self.keys, self.at, frames, instants)

    def _join_as_of(self, joined: DataFrame, group: Sequence[History]) -> DataFrame:
        # worked out when the join runs, before the rows are read
        newest_label = self.instants.agg(F.max("time")).scalar() if self._rereadable else None
        frames = {history.row: history.frame(newest_label) for history in group}
        sampled = filter(reduction.is_rereadable, [self.instants, *frames.values()])
        hot = hot_keys.find_hot_keys(list(sampled), self.parts)
        return as_of.join_as_of(joined, self.keys, self.at, frames, hot)

    def _join_daily(self, joined: DataFrame, group: Sequence[DailyHistory]) -> DataFrame:
        periods = Periods(tuple(sorted({s.since for history in group for s in history.serving_intervals})))
        on = [*self.parts, "period"]
        parts = dict(zip(self.parts, self.key_columns, strict=True))
        period = as_of.spread_keyless(self.keys, otherwise=periods.of(F.col(self.at)))
        labels = joined.withColumns({**parts, "period": period})
        frames = [history.in_periods(periods) for history in group]
        hot = None
        if self._rereadable:
            periods_of_labels = self.instants.withColumn("period", periods.of(F.col("time")))
            frames = reduction.semi_join_labels(frames, periods_of_labels, on)
            # rows are few per key and period, so it is labels alone that can make one hot
            hot = hot_keys.find_hot_keys([periods_of_labels], on)
        if hot is not None:
            labels, on = hot.spread_labels(labels), [*on, "bracket"]
            frames = [hot.replicate(frame) for frame in frames]
        for frame in frames:
            labels = labels.join(frame, on, "left")
        return labels.drop(*on)

    @property
    def parts(self) -> list[str]:
        return [f"k{n}" for n in range(len(self.keys))]

    @property
    def key_columns(self) -> list[Column]:
        return [F.col(key) for key in self.keys]

    @cached_property
    def _rereadable(self) -> bool:
        # once: each question to the planner is some calls to the JVM
        return reduction.is_rereadable(self.labels)

    @property
    def instants(self) -> DataFrame:
        """Key parts and `time` of the labels that can get something."""
        parts = [key.alias(part) for key, part in zip(self.key_columns, self.parts, strict=True)]
        # Null is equal to nothing, neither as a key nor as an instant.
        return self.labels.select(*parts, F.col(self.at).alias("time")).dropna()
