"""How generated listeners listen.

A day has six slots of four hours, moved by up to four hours per listener. In a slot a listener has one session or
none, in one of three tastes (clusters). A play of it is, by chance, off taste (any cluster, then a rank); a repeat
(the listener's favourite of the session's cluster, or its first track until that is out); else a rank in the
session's cluster. A track that is not out yet is drawn again once; then the cluster's first track stands in.
Where a world says so, weekends differ from other days, sessions run in the background, and tracks are discovered.
`features/synthetic/perfect_recommender.py` knows these rules too: change both.
"""

from __future__ import annotations

import math

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.synthetic import catalogue
from features.synthetic.discoveries import (
    BACKGROUND_SAVE,
    draw_discoveries,
    is_background,
    play_discoveries,
    week_factor,
)
from features.synthetic.impressions import draw_impressions
from features.synthetic.world import DAY_MS, World

HOUR_MS = 3_600_000
# Share of a listener's sessions per slot. Listeners start 0 to 5 hours into a slot: evening peak.
SLOT_SHARES = (0.04, 0.10, 0.18, 0.20, 0.30, 0.18)
SLOT_MS = DAY_MS // len(SLOT_SHARES)
# The longest session, 30 of the longest tracks, ends half an hour before the next slot can start.
LATEST_START_MS = HOUR_MS
LONGEST_SESSION = 30
TASTE_SHARES = (0.6, 0.3, 0.1)
SKIP_CHANCE, SKIP_CHANCE_OFF_TASTE, SKIP_CHANCE_FAVOURITE = 0.12, 0.45, 0.03
SAVE_CHANCE = 0.03
# Of a chance to skip, what is left of it in the background.
BACKGROUND_SKIP = 0.4
FULLY_PLAYED_SHARE = 0.85

# A bot runs for three days, and keeps each track just past the half minute that counts as a play.
BOT_DAYS = 3
BOT_PLAYS_PER_DAY = 2_400
BOT_PERIOD_MS = 31_500


def generate_plays(world: World, users: DataFrame, days: range | None = None) -> DataFrame:
    """Every play of the users numbered in `id`, as it happened: no row late, twice or broken.

    Columns: those of the source (play_id … saved) and what only the generator knows: play and
    track (numbers), cluster (the session's), position, day (of the play), session_day, is_bot.
    `days` narrows the sessions; a session of a day can begin, and end, on the next one.
    """
    days = days or range(world.days)
    # Repartitioned early: the running sum below then sorts each part, and only sessions travel, not plays.
    started = generate_sessions(world, users, days).repartition("user", "slot")
    plays = _add_play_times(_draw_plays(world, started)).unionByName(_generate_bot_plays(world, users, days))
    if world.slate:
        plays = plays.unionByName(_play_taken(world, draw_impressions(world, started)))
    if world.discoveries:
        plays = plays.unionByName(play_discoveries(world, draw_discoveries(world, started, len(SLOT_SHARES))))
    # a session of the last evening may go on after the world's end
    return _select_columns(world, plays.where(F.col("at_ms") < world.days * DAY_MS))


def generate_sessions(world: World, users: DataFrame, days: range) -> DataFrame:
    """One row per session: user, slot (from day 0 on), cluster, favourite (rank), start_ms, length."""
    user, slot = F.col("user"), F.col("slot")
    slots = _explode_range(F.lit(days.start * len(SLOT_SHARES)), F.lit(days.stop * len(SLOT_SHARES) - 1))
    # the index that a uniform draw picks of shares that add up to 1
    draw = world.uniform("taste", user, slot)
    limits = [sum(TASTE_SHARES[:n]) for n in range(1, len(TASTE_SHARES))]
    taste = sum(((draw >= limit).cast("int") for limit in limits), F.lit(0))
    shift = world.randbelow(SLOT_MS, "hours", user) + world.randbelow(LATEST_START_MS, "start", user, slot)
    # A geometric length, by inversion of its distribution; 1e-9 keeps a mean of 1 away from log(0).
    more = F.log(1 - world.uniform("length", user, slot)) / math.log(1 - 1 / (world.plays_per_session + 1e-9))
    start_ms = (slot * SLOT_MS + shift).alias("start_ms")
    chance = _session_chance(F.col("activity"), slot % len(SLOT_SHARES))
    if world.weekend != 1:
        chance = chance * week_factor(world, _day_of(slot))
    return (
        users.where(~_is_bot(world, F.col("id")))
        .select(F.col("id").alias("user"), _activity(world, F.col("id")).alias("activity"))
        .select("user", "activity", slots.alias("slot"))
        .where(world.uniform("session", user, slot) < chance)
        .select("user", "slot", _taste(world, user, taste).alias("cluster"), start_ms, more.alias("more"))
        .withColumn("favourite", _favourite(world, user, F.col("cluster")))
        .withColumn("length", F.least(F.floor("more") + 1, F.lit(LONGEST_SESSION)))
    )


def expected_tastes(world: World, users: DataFrame) -> DataFrame:
    """Expected sessions by taste: cluster, favourite (track number), weight.

    `weight` is the sessions a day to expect of all listeners with that favourite in that cluster.
    """
    user, cluster = F.col("id"), F.col("cluster")
    activity = _activity(world, user)
    expected = sum((_session_chance(activity, F.lit(s)) for s in range(len(SLOT_SHARES))), F.lit(0.0))
    each = [
        F.struct(_taste(world, user, F.lit(i)).alias("cluster"), (expected * share).alias("weight"))
        for i, share in enumerate(TASTE_SHARES)
    ]
    favourite = catalogue.track_at(world, cluster, _favourite(world, user, cluster))
    return (
        users.where(~_is_bot(world, user))
        .select("id", F.inline(F.array(*each)))
        .groupBy("cluster", favourite.alias("favourite"))
        .agg(F.sum("weight").alias("weight"))
    )


def _explode_range(first: Column, last: Column) -> Column:
    """One row per number."""
    # bigint, as milliseconds counted in int overflow after 24 days
    return F.explode(F.sequence(first.cast("bigint"), last.cast("bigint")))


def _is_bot(world: World, user: Column) -> Column:
    # every so manieth user, so that there are exactly `world.bot_count`
    return F.floor((user + 1) * world.bots) > F.floor(user * world.bots)


def _activity(world: World, user: Column) -> Column:
    """Sessions a day: Weibull, so the busiest of 2,000 listeners has about 16 times the mean."""
    weibull = F.pow(-F.log(1 - world.uniform("activity", user)), F.lit(1.5)) / math.gamma(2.5)
    return weibull * world.sessions_per_day


def _session_chance(activity: Column, slot_of_day: Column) -> Column:
    share = F.element_at(F.array(*map(F.lit, SLOT_SHARES)), slot_of_day.cast("int") + 1)
    return F.least(activity * share, F.lit(1.0))


def _taste(world: World, user: Column, index: Column) -> Column:
    return world.randbelow(world.clusters, "cluster", user, index)


def _favourite(world: World, user: Column, cluster: Column) -> Column:
    return _rank(world, cluster, world.uniform("favourite", user, cluster))


def _rank(world: World, cluster: Column, u: Column) -> Column:
    # P(rank <= k) = log(k + 1) / log(n + 1), inverted. So P(rank = k) is close to Zipf's law, and a draw is one power:
    # Zipf's own sums would have to be searched.
    size = catalogue.cluster_size(world, world.tracks, cluster)
    return F.least(F.floor(F.pow(size + 1, u)), size)


def _draw_plays(world: World, sessions: DataFrame) -> DataFrame:
    """One row per play: which track, how long, skipped and saved or not."""
    key = (F.col("user"), F.col("slot"), F.col("position"))
    track, cluster = F.col("track"), F.col("cluster")
    in_taste = catalogue.cluster_of(world, track) == cluster
    is_favourite = track == catalogue.track_at(world, cluster, F.col("favourite"))
    skip_chance = F.when(~in_taste, SKIP_CHANCE_OFF_TASTE).when(is_favourite, SKIP_CHANCE_FAVOURITE)
    skip_chance, save_chance = skip_chance.otherwise(SKIP_CHANCE), F.lit(SAVE_CHANCE)
    if world.background:
        background = is_background(world, *key[:2])
        skip_chance *= F.when(background, BACKGROUND_SKIP).otherwise(1.0)
        save_chance *= F.when(background, BACKGROUND_SAVE).otherwise(1.0)
    skipped = world.uniform("skipped", *key) < skip_chance
    plays = sessions.withColumn("position", _explode_range(F.lit(1), F.col("length")))
    return (
        _draw_tracks(world, plays, *key)
        .withColumn("skipped", skipped)
        .withColumn("saved", in_taste & ~F.col("skipped") & (world.uniform("saved", *key) < save_chance))
        .withColumn("track_ms", catalogue.track_ms(world, track))
        .withColumn("ms_played", _ms_played(world.uniform("ms_played", *key)))
        .withColumn("pause_ms", world.randbelow(8_000, "pause", *key))
        .withColumn("is_bot", F.lit(False))
    )


def _draw_tracks(world: World, plays: DataFrame, user: Column, slot: Column, position: Column) -> DataFrame:
    """With `track`, by the rules at the top of this file."""
    key, day, why, first = (user, slot, position), _day_of(slot), F.col("why"), F.col("first")
    is_repeat = (why >= world.off_taste) & (why < world.off_taste + world.repeats)
    any_cluster = world.randbelow(world.clusters, "off taste", *key)
    among = F.when(why < world.off_taste, any_cluster).otherwise(F.col("cluster"))

    def at(rank: Column) -> Column:
        return catalogue.track_at(world, F.col("among"), rank)

    ranks = [_rank(world, F.col("among"), world.uniform(draw, *key)) for draw in ("rank", "second rank")]
    has_second = ~is_repeat & catalogue.is_released(world, at(ranks[1]), day)
    second = F.when(has_second, at(ranks[1])).otherwise(at(F.lit(1)))
    # step by step: as one expression, the draws would be written out, and computed, several times
    return (
        plays.withColumn("why", world.uniform("why", *key))
        .withColumn("among", among)
        .withColumn("first", at(F.when(is_repeat, F.col("favourite")).otherwise(ranks[0])))
        .withColumn("track", F.when(catalogue.is_released(world, first, day), first).otherwise(second))
        .drop("why", "among", "first")
    )


def _play_taken(world: World, impressions: DataFrame) -> DataFrame:
    """The plays of what was taken of slates: before the session's own, and numbered after them."""
    key = (F.col("user"), F.col("slot"), F.col("position"))
    return (
        impressions.where("taken")
        .withColumn("position", F.col("position") + LONGEST_SESSION)
        .withColumn("skipped", world.uniform("skipped", *key) < SKIP_CHANCE)
        .withColumn("track_ms", catalogue.track_ms(world, F.col("track")))
        .withColumn("ms_played", _ms_played(world.uniform("ms_played", *key)))
        .withColumns({"saved": F.lit(False), "is_bot": F.lit(False)})
        .withColumnRenamed("taken_ms", "at_ms")
        .drop("propensity", "seen", "taken", "shown_ms")
    )


def _day_of(slot: Column) -> Column:
    return F.floor(slot / len(SLOT_SHARES))


def _ms_played(u: Column) -> Column:
    """Skips take 1 to 28 s; the rest is played to its end, or for more than half."""
    part = 0.55 + 0.4 * (u - FULLY_PLAYED_SHARE) / (1 - FULLY_PLAYED_SHARE)
    return (
        F.when(F.col("skipped"), 1_000 + F.floor(u * 27_000))
        .when(u < FULLY_PLAYED_SHARE, F.col("track_ms"))
        .otherwise(F.floor(F.col("track_ms") * part))
    )


def _add_play_times(plays: DataFrame) -> DataFrame:
    """A play begins when the one before is over, and a pause: `at_ms` counts from day 0."""
    before = Window.partitionBy("user", "slot").orderBy("position").rowsBetween(Window.unboundedPreceding, -1)
    elapsed = F.coalesce(F.sum(F.col("ms_played") + F.col("pause_ms")).over(before), F.lit(0))
    timed = plays.withColumn("at_ms", F.col("start_ms") + elapsed)
    return timed.drop("start_ms", "more", "length", "favourite", "pause_ms")


def _generate_bot_plays(world: World, users: DataFrame, days: range) -> DataFrame:
    """Bots play one artist all day, without taste and without sessions."""
    user, day, turn = F.col("user"), F.col("day"), F.col("position")
    cluster = world.randbelow(world.clusters, "bot cluster", user)
    # The artist of the cluster's first track: that one is out on any day.
    artists = catalogue.cluster_size(world, world.artists, cluster)
    titles = F.ceil(catalogue.cluster_size(world, world.tracks, cluster) / artists)
    rank = 1 + artists * world.randbelow(titles, "bot track", user, day, turn)
    track = catalogue.track_at(world, cluster, rank)
    first = world.randbelow(max(1, world.days - BOT_DAYS + 1), "bot day", user)
    constants = {"skipped": False, "saved": False, "is_bot": True}
    return (
        users.where(_is_bot(world, F.col("id")))
        .withColumnRenamed("id", "user")
        .withColumn("day", _explode_range(first, first + BOT_DAYS - 1))
        .where(day.between(days.start, days.stop - 1))
        .withColumn("position", _explode_range(F.lit(1), F.lit(BOT_PLAYS_PER_DAY)))
        .select(
            "user",
            (day * len(SLOT_SHARES)).alias("slot"),
            "position",
            cluster.alias("cluster"),
            F.when(catalogue.is_released(world, track, day), track).otherwise(cluster).alias("track"),
            (day * DAY_MS + (turn - 1) * BOT_PERIOD_MS).alias("at_ms"),
            (31_000 + world.randbelow(500, "ms_played", user, day, turn)).alias("ms_played"),
            *[F.lit(value).alias(name) for name, value in constants.items()],
        )
        .withColumn("track_ms", catalogue.track_ms(world, F.col("track")))
    )


def _select_columns(world: World, plays: DataFrame) -> DataFrame:
    track, play = F.col("track"), world.hash("play", F.col("user"), F.col("slot"), F.col("position"))
    unchanged = ("ms_played", "track_ms", "skipped", "saved", "play", "track", "cluster", "position")
    return plays.withColumn("play", play).select(
        format_play_id(F.col("play")).alias("play_id"),
        catalogue.format_id("u", 6, F.col("user")).alias("user_id"),
        catalogue.track_id(track).alias("track_id"),
        catalogue.artist_id(catalogue.artist_of(world, track)).alias("artist_id"),
        F.timestamp_millis(F.col("at_ms") + world.epoch_ms).alias("played_at"),
        *unchanged,
        F.floor(F.col("at_ms") / DAY_MS).alias("day"),
        _day_of(F.col("slot")).alias("session_day"),
        "is_bot",
    )


def format_play_id(play: Column) -> Column:
    return F.lower(F.hex(play))
