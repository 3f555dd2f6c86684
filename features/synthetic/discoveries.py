"""Tracks that listeners discover, and how often they come back: what lasts of a track, known for each.

A session can be preceded by a discovery: a track of the whole catalogue. Its lasting quality is the chance that the
listener plays it again on the next day; it falls from day to day, and is halved where music ran in the background.
There, nearly all is played to its end, so that a completed play says little. `features/synthetic/perfect_rewards.py`
knows these rules too: change both.
"""

from __future__ import annotations

from typing import TypeVar

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.synthetic import catalogue
from features.synthetic.world import DAY_MS, World

# Days after a discovery on which a listener can come back: those that a stickiness of 59 days counts.
RETURN_DAYS = 59
QUALITIES, QUALITY_SHARES = (0.02, 0.12, 0.4), (0.6, 0.3, 0.1)
# The chance of day n is that of the first day times n ** -RETURN_FALL.
RETURN_FALL = 0.35
BACKGROUND_RETURN = 0.5
# By quality, of discoveries: the share that is played to its end, and of these the share that is saved.
COMPLETED_CHANCES, SAVED_CHANCES = (0.4, 0.65, 0.9), (0.02, 0.1, 0.4)
COMPLETED_CHANCE_BACKGROUND, BACKGROUND_SAVE = 0.9, 0.25
# Before the session, and before what is taken of its slate.
LEAD_MS = 1_200_000
# Returns are up to half a day earlier in the day than the discovery: so day n is one by the calendar and by hours.
LATEST_MS = DAY_MS // 2
# Plays of a session and of a slate have lower numbers.
POSITION = 100

Number = TypeVar("Number", Column, float)


def return_chance(quality: Number, day: Number) -> Number:
    """That a listener comes back on a day after the discovery, from 1, on a day of the week that is as any."""
    return quality * day**-RETURN_FALL


def is_background(world: World, user: Column, slot: Column) -> Column:
    """The intent of a session, which no field says."""
    return world.uniform("intent", user, slot) < world.background


def week_factor(world: World, day: Column) -> Column:
    """How many sessions and returns there are on a day, as a share of those of the busiest days of a week."""
    weekday = (F.lit(world.first_day.weekday()) + day) % 7
    return _choose(world.week, weekday.cast("int"))


def quality_level(world: World, track: Column) -> Column:
    """The place of a track's lasting quality in `QUALITIES`."""
    draw = world.uniform("lasting quality", track)
    limits = [sum(QUALITY_SHARES[:n]) for n in range(1, len(QUALITY_SHARES))]
    return sum(((draw >= limit).cast("int") for limit in limits), F.lit(0))


def quality_of(level: Column) -> Column:
    return _choose(QUALITIES, level)


def draw_discoveries(world: World, sessions: DataFrame, slots_a_day: int) -> DataFrame:
    """One row per discovery.

    Columns: user, slot, cluster (of the session), track, at_ms (from day 0 on), day (of the session), level (of the
    quality), background, completed, saved.

    Args:
        sessions: user, slot, cluster and start_ms of each.
    """
    key = (F.col("user"), F.col("slot"))
    day, track = F.floor(F.col("slot") / slots_a_day), world.randbelow(world.tracks, "discovered", *key)
    drawn = sessions.where(world.uniform("discovery", *key) < world.discoveries).select(
        *key,
        "cluster",
        F.greatest(F.col("start_ms") - LEAD_MS, F.lit(0)).alias("at_ms"),
        day.alias("day"),
        track.alias("track"),
        is_background(world, *key).alias("background"),
    )
    known = drawn.where(catalogue.is_released(world, F.col("track"), F.col("day")))
    completed, saved = (world.uniform(f"discovery {name}", *key) for name in ("completed", "saved"))
    return (
        known.withColumn("level", quality_level(world, F.col("track")))
        .withColumn("completed", completed < _completed_chance())
        .withColumn("saved", F.col("completed") & (saved < _saved_chance()))
    )


def play_discoveries(world: World, discoveries: DataFrame) -> DataFrame:
    """Plays of discoveries and of returns to them, with the columns of other plays before they have ids."""
    key = (F.col("user"), F.col("slot"))
    found = discoveries.withColumn("position", F.lit(POSITION))
    cut = 1_000 + F.floor(world.uniform("discovery ms", *key) * 27_000)
    found = found.withColumn("skipped", ~F.col("completed"))
    returns = _draw_returns(world, discoveries).withColumns({"skipped": F.lit(False), "saved": F.lit(False)})
    plays = found.drop("completed").unionByName(returns.drop("completed"))
    return (
        plays.withColumn("track_ms", catalogue.track_ms(world, F.col("track")))
        .withColumn("ms_played", F.when(F.col("skipped"), cut).otherwise(F.col("track_ms")))
        .withColumn("is_bot", F.lit(False))
        .drop("day", "level", "background")
    )


def _draw_returns(world: World, discoveries: DataFrame) -> DataFrame:
    """One row per day on which a listener comes back."""
    number = F.col("number")
    key = (F.col("user"), F.col("slot"), number)
    usual = return_chance(quality_of(F.col("level")), number)
    factor = F.when(F.col("background"), BACKGROUND_RETURN).otherwise(F.lit(1.0))
    chance = usual * factor * week_factor(world, F.col("day") + number)
    latest = F.least(F.col("at_ms") % DAY_MS, F.lit(LATEST_MS))
    earlier = world.randbelow(latest + 1, "return ms", *key)
    return (
        discoveries.withColumn("number", F.explode(F.sequence(F.lit(1), F.lit(RETURN_DAYS))))
        .where(world.uniform("return", *key) < chance)
        .withColumn("at_ms", F.col("at_ms") + number * F.lit(DAY_MS).cast("bigint") - earlier)
        .withColumn("position", POSITION + number)
        .drop("number")
    )


def _completed_chance() -> Column:
    usual = _choose(COMPLETED_CHANCES, F.col("level"))
    return F.when(F.col("background"), COMPLETED_CHANCE_BACKGROUND).otherwise(usual)


def _saved_chance() -> Column:
    factor = F.when(F.col("background"), BACKGROUND_SAVE).otherwise(F.lit(1.0))
    return _choose(SAVED_CHANCES, F.col("level")) * factor


def _choose(values: tuple[float, ...], place: Column) -> Column:
    return F.element_at(F.array(*map(F.lit, values)), place + 1)
