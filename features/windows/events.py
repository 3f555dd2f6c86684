"""Which events count for a group, and whose are others than they were."""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.windows.operations import AT, ID
from schemas.declarations import FeatureGroup
from schemas.row_hash import row_hash

# Of a label, which event it is itself, by `name_own`; see `LabelTimeFeatures.own`.
OWN: Final = "_own"


def name_own(event_id: Column) -> Column:
    # never null, as labels are joined by it; and a label that is no event is none with an id of no letters
    return F.coalesce(F.concat(F.lit("="), event_id), F.lit(""))


def plays_of_group(events: DataFrame, group: FeatureGroup) -> DataFrame:
    """The plays, or other events, that count for a group, with the columns that operations order them by.

    Args:
        events: rows of the group's source, with the columns of the catalogue that it names.
    """
    derived = {name: F.expr(f"nullif(cast({sql} as string), '')") for name, sql in group.derived_keys.items()}
    instant, key = group.events.event_time or "", group.events.key[0]
    plays = events.withColumns({AT: F.col(instant), ID: F.col(key), **derived}).where(group.where)
    for key in group.keys:
        # A play without an artist is no artist's. The planner thinks even after the filter that it may be null.
        plays = plays.where(F.col(key).isNotNull()).withColumn(key, F.coalesce(key, F.lit("")))
    return plays


def find_changed_entities(before: DataFrame, after: DataFrame, group: FeatureGroup) -> DataFrame:
    """The keys of the entities with other events in `after`.

    Args:
        before: rows of the group's source, with the same columns as `after`.
    """
    names = [name for name in after.columns if name != "available_at"]
    sides = before.select(*names).unionByName(after.select(*names))
    # no two events of a side are equal, as they have keys: in an exclusive or, pairs of equal hashes cancel out
    rows = plays_of_group(sides.withColumn("_hash", row_hash(sides, names)), group)
    hashes = rows.groupBy(*group.keys).agg(F.bit_xor("_hash").alias("_hash"))
    return hashes.where("_hash != 0").select(*group.keys)
