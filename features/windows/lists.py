"""first, last, last_k: values of the plays nearest to either end of a window."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from features.windows.aggregates import Aggregate, Value
from schemas.parts import Part


def _collect_plays(part: Part, value: Column) -> Column:
    row = F.struct(F.col("played_at").alias("at"), "play_id", value.alias("value"))
    return _nearest_k(part, F.collect_list(F.when(value.isNotNull(), row)))


def _nearest_k(part: Part, plays: Column) -> Column:
    """Structs are sorted by their fields in order: the instant, then the play's id where two are at one instant."""
    return F.slice(F.sort_array(plays, asc=part.kind == "earliest"), 1, int(part.detail))


AGGREGATES: dict[str, Aggregate] = dict.fromkeys(
    ("earliest", "latest"),
    Aggregate(_collect_plays, lambda part, column, _: _nearest_k(part, F.flatten(F.collect_list(column)))),
)


VALUES: dict[str, Value] = {
    **dict.fromkeys(("first", "last"), lambda _, totals, __: F.get(totals[0], F.lit(0))["value"]),
    "last_k": lambda _, totals, __: F.transform(totals[0], lambda play: play["value"]),
}
