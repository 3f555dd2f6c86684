"""Days that are published and stale for a few entities: theirs are computed anew, the rows of all others are kept.

A late play changes its listener's rows of its day, and of all days whose tiles or windows reach back to it, but nobody
else's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

# Whether a row is of an entity that is computed anew.
CHANGED = "_changed"


@dataclass(frozen=True)
class ReopenedDays:
    """Of `days`, the rows of `entities` (the group's keys) are computed, and those of all others are `published`."""

    days: Sequence[date]
    entities: DataFrame
    published: DataFrame

    def mark(self, rows: DataFrame) -> DataFrame:
        """With CHANGED."""
        marks = self.entities.withColumn(CHANGED, F.lit(True))
        # few beside all that there are, so no row is shuffled for it
        rows = rows.join(F.broadcast(marks), self.entities.columns, "left")
        return rows.withColumn(CHANGED, F.coalesce(CHANGED, F.lit(False)))

    def select_events(self, events: DataFrame) -> DataFrame:
        """Those that rows are computed of: of these days, the entities' alone."""
        needed = F.col(CHANGED) | ~F.col("ds").isin(list(self.days))
        return self.mark(events).where(needed).drop(CHANGED)

    def select_changed(self, rows: DataFrame) -> DataFrame:
        """Rows of the entities."""
        return rows.join(F.broadcast(self.entities), self.entities.columns, "left_semi")

    def add_others(self, computed: DataFrame) -> DataFrame:
        """With the rows that are kept."""
        keys, others = self.entities.columns, self.published.where(F.col("ds").isin(list(self.days)))
        others = others.join(F.broadcast(self.entities), keys, "left_anti")
        return computed.unionByName(others.select(*computed.columns))
