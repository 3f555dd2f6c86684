"""distinct, of windows that begin at a label's own instant, for all labels of an entity in one pass over its events.

A value that is there at s, and before that at r, is first there at s for whoever looks on from (r, s]. A window of w
from t on has it if s < t + w. So it counts at labels after max(r, s - w), up to s: one birth and one death, as in
`distinct.py`, and the count at a label is the running sum. That is linear in events and labels, however many of both
an entity has.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from features.windows.distinct import (
    CHANGE,
    CHANGED_AT,
    LENGTH,
    SOURCE,
    VALUE,
    DistinctCount,
    change_at,
    select_values,
    sum_changes,
)
from features.windows.events import OWN, name_own
from features.windows.operations import AT, ID, INSTANT
from schemas.common import MICROS_A_DAY

# An instant in microseconds: timestamps have no finer ones, so after an instant is one more.
_MICROS = "_micros"


def count_distinct_ahead(
    labels: DataFrame, plays: DataFrame, counts: Sequence[DistinctCount], keys: Sequence[str]
) -> DataFrame:
    """`labels` (keys, `INSTANT`, perhaps `OWN`) with these counts; null for none.

    Args:
        plays: those that count for the group, at least of all windows.
    """
    of_labels = plays.join(labels.select(*keys).distinct(), [*keys], "left_semi")
    values = _values_by_instant(of_labels, counts, keys)
    until_label = Window.partitionBy(*keys).orderBy(_MICROS)
    running = {count.name: F.sum(count.name).over(until_label) for count in counts}
    instants = labels.select(*keys, INSTANT, F.unix_micros(INSTANT).alias(_MICROS)).distinct()
    rows = instants.unionByName(_changes(values, counts, keys), allowMissingColumns=True).withColumns(running)
    by = [*keys, INSTANT]
    counted = labels.join(rows.where(F.col(INSTANT).isNotNull()).select(*by, *running), by, "left")
    # a label's own event may be the only one with its value
    return _leave_own_out(counted, values, counts, keys) if OWN in labels.columns else counted


def _values_by_instant(plays: DataFrame, counts: Sequence[DistinctCount], keys: Sequence[str]) -> DataFrame:
    """Per value and instant: when the entity has it before and after, and the id of the event if there is one only."""
    rows = select_values(plays, counts, [*keys, AT, ID]).repartition(*keys)
    only = F.when(F.count("*") == 1, F.min(ID)).alias("_only")
    instants = rows.groupBy(*keys, SOURCE, VALUE, F.unix_micros(AT).alias(_MICROS)).agg(only)
    of_value = Window.partitionBy(*keys, SOURCE, VALUE).orderBy(_MICROS)
    return instants.withColumns(
        {"_before": F.lag(_MICROS).over(of_value), "_after": F.lead(_MICROS).over(of_value)}
    )


def _changes(values: DataFrame, counts: Sequence[DistinctCount], keys: Sequence[str]) -> DataFrame:
    """Per entity and instant, how much each count rises or falls there; null where it does not."""
    # a death, which all windows share, of length 0; and a birth per window. greatest() passes over a null `_before`
    changes = [change_at(F.col(_MICROS) + 1, 0, -1)]
    for days in sorted({count.days for count in counts}):
        birth = F.greatest("_before", F.col(_MICROS) - days * MICROS_A_DAY) + 1
        changes.append(change_at(birth, days, 1))
    events = values.select(*keys, SOURCE, F.inline(F.array(*changes))).withColumnRenamed(CHANGED_AT, _MICROS)
    return sum_changes(events, counts, [*keys, _MICROS])


def _leave_own_out(
    labels: DataFrame, values: DataFrame, counts: Sequence[DistinctCount], keys: Sequence[str]
) -> DataFrame:
    """One less where the label's own event is all that the window has of its value."""
    # the same births and deaths, of an instant: counts rise by each value that one event has there, and no later one
    changes = [change_at(F.col(_MICROS), days, 1) for days in sorted({count.days for count in counts})]
    alone = values.where(F.col("_only").isNotNull()).select(
        *keys, name_own(F.col("_only")).alias(OWN), SOURCE, "_after", F.inline(F.array(*changes))
    )
    alone = alone.where(
        F.col("_after").isNull() | (F.col("_after") >= F.col(CHANGED_AT) + F.col(LENGTH) * MICROS_A_DAY)
    )
    instant = F.timestamp_micros(CHANGED_AT).alias(INSTANT)
    by = [*keys, INSTANT, OWN]
    own = sum_changes(alone.select(*keys, instant, OWN, SOURCE, LENGTH, CHANGE), counts, by)
    own = own.withColumnsRenamed({count.name: f"_own_{count.name}" for count in counts})
    less = {c.name: F.col(c.name) - F.coalesce(F.col(f"_own_{c.name}"), F.lit(0)) for c in counts}
    return labels.join(own, by, "left").withColumns(less).drop(*own.columns[len(by) :])
