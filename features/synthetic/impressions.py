"""What generated listeners are shown before their sessions, and what they take of it.

Each place of a slate has candidates of its own. The policy draws one of them, those of the session's cluster likelier
than others, and logs the chance. A listener looks at a place with a chance that falls from place to place, and takes
what is looked at, likelier if it is of the cluster. So places, taste and policy are mixed up as in any log; weighted
with 1 / propensity they come apart.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.synthetic import catalogue
from features.synthetic.world import DAY_MS, World

POLICY = "known-chances-1"
CANDIDATES = 5
# Of candidates, besides those that are of it by chance; and how much likelier the policy draws one.
OF_CLUSTER_SHARE, PREFERENCE = 0.4, 3.0
# The chance that a place is looked at is place ** -EXAMINED_FALL.
EXAMINED_FALL = 0.7
TAKE_CHANCE, TAKE_CHANCE_OFF_TASTE = 0.5, 0.15
# Sessions begin a quarter of an hour after their slate; in between is what was taken of it.
LEAD_MS = 900_000
PLACE_MS = 45_000

FIELDS = (
    "impression_id", "request_id", "user_id", "shown_at", "surface", "position", "item_type", "item_id", "policy_id",
    "propensity", "candidate_count", "seen",
)  # fmt: skip


def examination_chance(position: int) -> float:
    """That a listener looks at a place, from 1; the position bias of the log."""
    return float(position**-EXAMINED_FALL)


def draw_impressions(world: World, sessions: DataFrame) -> DataFrame:
    """One row per place of the slate before each session.

    Columns: user, slot, cluster, position, track (number), propensity, seen, taken, shown_ms and taken_ms (from day 0
    on).

    Args:
        sessions: user, slot, cluster and start_ms of each.
    """
    key = (F.col("user"), F.col("slot"), F.col("position"))
    places = F.explode(F.sequence(F.lit(1), F.lit(world.slate)))
    shown_ms = F.greatest(F.col("start_ms") - LEAD_MS, F.lit(0)).alias("shown_ms")
    slates = sessions.select("user", "slot", "cluster", shown_ms, places.alias("position"))
    chosen = _draw_candidates(world, slates, *key)
    examined = world.uniform("examined", *key) < F.pow("position", F.lit(-EXAMINED_FALL))
    chance = F.when(F.col("in_taste"), TAKE_CHANCE).otherwise(TAKE_CHANCE_OFF_TASTE)
    delay = F.col("position") * PLACE_MS + world.randbelow(PLACE_MS, "delay of taken", *key)
    taken = examined & (world.uniform("taken", *key) < chance)
    return chosen.withColumns({"seen": examined, "taken": taken, "taken_ms": F.col("shown_ms") + delay}).drop(
        "in_taste"
    )


def _draw_candidates(world: World, slates: DataFrame, *key: Column) -> DataFrame:
    """With track, in_taste and propensity of the candidate that the policy drew for each place."""
    candidates = F.array(*(_candidate(world, F.lit(n), *key) for n in range(CANDIDATES)))
    rows = slates.withColumn("candidates", candidates)
    total = F.expr("aggregate(candidates, 0D, (sum, x) -> sum + x.weight)")
    rows = rows.withColumn("total", total)
    # by inversion: the first whose weight, with those before it, the draw is below
    rows = rows.withColumn("draw", world.uniform("policy", *key) * F.col("total"))
    sums = "aggregate(slice(candidates, 1, n + 1), 0D, (sum, y) -> sum + y.weight)"
    chosen = F.element_at(F.expr(f"filter(candidates, (x, n) -> draw < {sums})"), 1).alias("chosen")
    rows = rows.select("user", "slot", "cluster", "shown_ms", "position", "total", chosen)
    propensity = (F.col("chosen.weight") / F.col("total")).alias("propensity")
    return rows.select("*", propensity, "chosen.track", "chosen.in_taste").drop("chosen", "total")


def _candidate(world: World, number: Column, *key: Column) -> Column:
    of_session = world.uniform("candidate of cluster", *key, number) < OF_CLUSTER_SHARE
    other = world.randbelow(world.clusters, "candidate cluster", *key, number)
    cluster = F.when(of_session, F.col("cluster")).otherwise(other)
    size = catalogue.cluster_size(world, world.tracks, cluster)
    track = catalogue.track_at(world, cluster, 1 + world.randbelow(size, "candidate", *key, number))
    is_out = catalogue.is_released(world, track, F.floor(F.col("shown_ms") / DAY_MS))
    in_taste = cluster == F.col("cluster")
    return F.struct(
        # as in sessions, the cluster's first stands in for what is not out
        F.when(is_out, track).otherwise(cluster).alias("track"),
        in_taste.alias("in_taste"),
        F.when(in_taste, F.lit(PREFERENCE)).otherwise(F.lit(1.0)).alias("weight"),
    )


def select_fields(world: World, impressions: DataFrame) -> DataFrame:
    """`FIELDS`, and `delivered`, the day on which it was shown."""
    request = F.lower(F.hex(world.hash("request", F.col("user"), F.col("slot"))))
    at = F.timestamp_millis(F.col("shown_ms") + world.epoch_ms)
    values = {
        "impression_id": F.concat_ws("-", request, "position"),
        "request_id": request,
        "user_id": catalogue.format_id("u", 6, F.col("user")),
        "shown_at": F.date_format(at, "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"),
        "surface": F.lit("home"),
        "item_type": F.lit("track"),
        "item_id": catalogue.track_id(F.col("track")),
        "policy_id": F.lit(POLICY),
        "candidate_count": F.lit(CANDIDATES),
        "delivered": F.to_date(at),
    }
    return impressions.withColumns(values).select(*FIELDS, "delivered")
