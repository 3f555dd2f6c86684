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

from features.joins import as_of, hot_keys, reduction
from features.joins.feature_table import FeatureTable, PointInTimeError, PublishedDay, check
from features.joins.histories import DailyHistory, History
from features.joins.serving import Periods

__all__ = ["FeatureTable", "PointInTimeError", "PublishedDay", "point_in_time_join"]


def point_in_time_join(
    labels: DataFrame, tables: Sequence[FeatureTable], at: str = "label_at", as_published: bool = False
) -> DataFrame:
    """Every row of `labels` once, as it is, and per table the newest row of its keys at the instant `at`.

    Labels that come straight from a source are read a second time, to leave out rows that none of
    them can get; and a small job looks for keys with very many rows.

    Args:
        as_published: only rows that were available at that instant count, not all that describe it.

    Raises:
        PointInTimeError: everything that is wrong with labels or tables; before any job.
    """
    check(labels, tables, at, as_published)
    names = {name: f"l{n}" for n, name in enumerate(labels.columns)}
    plain = labels.toDF(*names.values())  # by position: a label's column may be called anything
    joined = plain
    added: dict[str, list[Column]] = {}
    for keys in dict.fromkeys(table.keys for table in tables):
        group = [
            _history(table, f"r{n}", as_published) for n, table in enumerate(tables) if table.keys == keys
        ]
        asked = LabelKeys(plain, tuple(names[key] for key in keys), names[at])
        # computed once per label, not once per column
        seen = {f"{history.row}_at": history.visible_feature_at(F.col(asked.at)) for history in group}
        joined = asked.join_histories(joined, group).withColumns(seen)
        added |= {history.row: history.values(F.col(asked.at), asked.key_columns) for history in group}
    kept = [F.col(column).alias(name) for name, column in names.items()]
    return joined.select(*kept, *[column for n in range(len(tables)) for column in added[f"r{n}"]])


def _history(table: FeatureTable, row: str, as_published: bool) -> History:
    return (History if table.published_days is None else DailyHistory)(table, row, as_published)


@dataclass(frozen=True)
class LabelKeys:
    """What the labels ask of tables with the same keys.

    Args:
        labels: as given, but for the columns' names.
        keys, at: their columns' names.
    """

    labels: DataFrame
    keys: tuple[str, ...]
    at: str

    def join_histories(self, joined: DataFrame, group: Sequence[History]) -> DataFrame:
        """`joined`, which is the labels and what was found so far, with the struct of each of `group`."""
        daily = [history for history in group if isinstance(history, DailyHistory)]
        if len(daily) == len(group):
            return self._join_daily(joined, daily)
        frames = {history.row: history.frame(self._newest_label) for history in group}
        looked_at = filter(reduction.is_rereadable, [self.label_keys, *frames.values()])
        hot = hot_keys.find_hot_keys(list(looked_at), self.parts)
        if self._rereadable:
            frames = {
                row: reduction.keep_newest_per_label(frame, self.label_keys, self.parts, row)
                for row, frame in frames.items()
            }
        return as_of.join_as_of(joined, self.keys, self.at, frames, hot)

    def _join_daily(self, joined: DataFrame, group: Sequence[DailyHistory]) -> DataFrame:
        periods = Periods(tuple(sorted({s.since for history in group for s in history.serving_intervals})))
        on = [*self.parts, "period"]
        parts = dict(zip(self.parts, self.key_columns, strict=True))
        period = as_of.spread(self.keys, otherwise=periods.of(F.col(self.at)))
        asked = joined.withColumns({**parts, "period": period})
        wanted = self.label_keys.withColumn("period", periods.of(F.col("time")))
        frames = [self._asked_for(history.in_periods(periods), wanted, on) for history in group]
        # rows are few per key and period, so it is labels alone that can make one hot
        hot = hot_keys.find_hot_keys([wanted] if self._rereadable else [], on)
        if hot is not None:
            asked, frames, on = (
                hot.spread(asked),
                [hot.replicate(frame) for frame in frames],
                [*on, "bracket"],
            )
        for frame in frames:
            asked = asked.join(frame, on, "left")
        return asked.drop(*on)

    def _asked_for(self, history: DataFrame, wanted: DataFrame, on: Sequence[str]) -> DataFrame:
        return reduction.semi_join_labels(history, wanted, on) if self._rereadable else history

    @property
    def parts(self) -> list[str]:
        return [f"k{n}" for n in range(len(self.keys))]

    @property
    def key_columns(self) -> list[Column]:
        return [F.col(key) for key in self.keys]

    @cached_property
    def _rereadable(self) -> bool:
        return reduction.is_rereadable(self.labels)

    @property
    def label_keys(self) -> DataFrame:
        """Key parts and `time` of the labels that can get something."""
        parts = [key.alias(part) for key, part in zip(self.key_columns, self.parts, strict=True)]
        return self.labels.select(*parts, F.col(self.at).alias("time")).dropna()

    @property
    def _newest_label(self) -> Column | None:
        """The newest label's instant, worked out when the join runs, before the rows are read."""
        return self.label_keys.agg(F.max("time")).scalar() if self._rereadable else None
