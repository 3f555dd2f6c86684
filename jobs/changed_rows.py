"""How many rows of days that are published again have another value than before, column by column.

Of many rows, those of some buckets are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from features.windows.reopened import ReopenedDays
from jobs.job import Job
from jobs.publishing.batches import Batch
from jobs.publishing.records import record_changes
from jobs.publishing.state import TableState
from schemas import FeatureGroup
from schemas.common import BUCKETS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


# Rows of each side that are compared: of more, those of some buckets, as a count that nothing depends on is to cost no
# more than the night that it is about.
MOST_ROWS = 1_000_000


def record_changed_rows(
    job: Job, group: FeatureGroup, batch: Batch, before: TableState, reopened: ReopenedDays | None
) -> None:
    """Of days that were published before: late plays, or a new declaration, have changed them."""
    now = job.warehouse.state(group.table)
    # by the hashes of days, so that nothing is read of one that holds what it held
    days = [
        day for day in before.days if now and not now.day_states[day].same_content_as(before.day_states[day])
    ]
    if not (now and days):
        return
    old, new = (job.at(group.table, state.version, days) for state in (before, now))
    # a column that is new has no old values to differ from
    columns = [name for f, w in group.feature_windows if (name := f.name(w)) in old.columns]
    rows = sum(now.day_states[day].rows for day in days)
    buckets = choose_buckets(rows)
    if buckets < BUCKETS:  # a file has a range of buckets, in order: of all others little is read
        old, new = (each.where(f"bucket < {buckets}") for each in (old, new))
    counts = _count_changes(old, new, group.contract().key, columns, reopened)
    of = f", of those in {buckets} of {BUCKETS} buckets" if buckets < BUCKETS else ""
    record_changes(job.warehouse, job.run_id, batch, days, rows, counts, of)
    most = sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])[:3]
    job.say(f"{len(days)} days opened again from {days[0]}; changed most: {', '.join(most) or 'nothing'}")


def choose_buckets(rows: int) -> int:
    """How many, from the first on, have about `MOST_ROWS` of the rows."""
    # keys are spread over buckets by a hash, so any of them are a sample
    return BUCKETS if rows <= MOST_ROWS else max(1, BUCKETS * MOST_ROWS // rows)


def _count_changes(
    old: DataFrame,
    new: DataFrame,
    key: Sequence[str],
    columns: Sequence[str],
    reopened: ReopenedDays | None,
) -> dict[str, int]:
    """Per column, in how many rows of either side it has another value, or is on one side alone."""
    from pyspark.sql import functions as F

    if reopened:  # nobody else's rows can differ
        old, new = (reopened.select_changed(rows) for rows in (old, new))
    # a struct per side is null where that side has no row, which a null value could not say
    sides = [rows.select(*key, F.struct(*columns).alias(side)) for rows, side in ((old, "old"), (new, "new"))]
    both = sides[0].join(sides[1], [*key], "full")
    one_sided = F.col("old").isNull() | F.col("new").isNull()
    # null-safe: with `!=`, a value that became null, or was null before, would not count
    differs = {name: ~F.col(f"old.{name}").eqNullSafe(F.col(f"new.{name}")) for name in columns}
    (row,) = both.agg(*[F.count_if(one_sided | differs[name]).alias(name) for name in columns]).collect()
    return dict(row.asDict())
