"""Whether what came of a label is known: its window [t, t + h) against what there is of the events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.joins.feature_table import output_name
from features.joins.serving import to_micros
from schemas.common import MICROS_A_DAY, quote_name
from schemas.declarations import window_days

# Known; not yet; and never, as events of the window are not there and will not come.
RIPE, UNRIPE, CENSORED = STATUSES = ("ripe", "unripe", "censored")
# The labels' column with the instant of the erasure of their listener, while statuses are computed.
_ERASED_AT = "erased at"


@dataclass(frozen=True)
class Observation:
    """What there is of the events that outcomes of a table are made of, and for which horizons these are requested."""

    table: str
    horizons: tuple[str, ...]
    # the first midnight of their first day, and the last of their last
    begin: datetime
    end: datetime
    # all before it were delivered, and are in the partials
    through: datetime
    # by the SHA-256 of the listener's id, the last instant before which their events were erased; empty where the
    # table is not of listeners
    erased: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, str]:
        """By horizon, the column with the status."""
        return {horizon: status_name(self.table, horizon) for horizon in self.horizons}

    def add_statuses(self, labels: DataFrame, at: str) -> DataFrame:
        """`labels` with a status for each horizon; a label without the key of a listener counts as of nobody erased."""
        instant, erased_at = F.unix_micros(F.col(quote_name(at))), F.lit(None).cast("bigint")
        rows = labels
        if self.erased:
            rows, erased_at = add_erasures(labels, self.erased)
        statuses = {name: self._status(instant, h, erased_at) for h, name in self.columns.items()}
        return rows.withColumns(statuses).drop(_ERASED_AT)

    def _status(self, instant: Column, horizon: str, erased_at: Column) -> Column:
        end = instant + window_days(horizon) * MICROS_A_DAY
        # false zeros on both sides: of before the first event nothing is known, and an erasure took what there was
        lost = (instant < to_micros(self.begin)) | F.coalesce(instant < erased_at, F.lit(False))
        return (
            F.when(lost, CENSORED)
            .when(end > to_micros(self.through), UNRIPE)
            # delivered, by its source, and yet without events to the end: the data stop before the clock does
            .when(end > to_micros(self.end), CENSORED)
            .otherwise(RIPE)
        )


def status_name(table: str, horizon: str) -> str:
    """The labels' column that says whether outcomes of a table are known for a horizon."""
    return output_name(table, f"status_next_{horizon}")


def add_erasures(labels: DataFrame, erased: Mapping[str, datetime]) -> tuple[DataFrame, Column]:
    """`labels` with the instant, in microseconds, of the erasure of their listener; and that column.

    Args:
        erased: by the SHA-256 of the listener's id.
    """
    # a row per erasure, of which there are few
    erasures = [(id_, to_micros(instant)) for id_, instant in erased.items()]
    rows = labels.sparkSession.createDataFrame(erasures, f"`erased id` string, `{_ERASED_AT}` bigint")
    is_of_listener = F.sha2(F.col("user_id"), 256) == F.col("erased id")
    joined = labels.join(F.broadcast(rows), is_of_listener, "left").drop("erased id")
    return joined, F.col(_ERASED_AT)
