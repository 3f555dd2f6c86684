"""Writes what generated listeners were shown before their sessions, where a world has slates.

DIR/impressions/delivered=YYYY-MM-DD/*.csv   each on its day, once
DIR/impressions.toml                         how the files are laid out, for projects that declare impressions
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from features.synthetic.impressions import FIELDS, draw_impressions, examination_chance, select_fields
from features.synthetic.listening import generate_sessions
from features.synthetic.world import DAY_MS, World

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def write_impressions(world: World, users: DataFrame, out: str) -> dict[str, Any]:
    """The truth about them: how many, and the chances of being looked at by position, that of the first being 1."""
    impressions = draw_impressions(world, generate_sessions(world, users, range(world.days)))
    # a session that is drawn for the last day may begin after it
    impressions = impressions.where(F.col("shown_ms") < world.days * DAY_MS)
    rows = select_fields(world, impressions).repartition("delivered")
    rows.sortWithinPartitions("delivered", "shown_at", "impression_id").write.partitionBy("delivered").mode(
        "overwrite"
    ).csv(f"{out}/impressions", header=True)
    shown, taken = impressions.agg(F.count("*"), F.count_if("taken")).collect()[0]
    positions = range(1, world.slate + 1)
    return {
        "shown": shown,
        "taken": taken,
        "position_bias": [round(examination_chance(n), 6) for n in positions],
    }


def describe_source() -> str:
    """As TOML: our columns by our names."""
    columns = (f'{name} = "{name}"' for name in FIELDS)
    return "\n".join(['name = "segue-impressions"', 'format = "csv"', "", "[impressions]", *columns, ""])
