"""What a ranker may choose from: tracks that follow what a listener heard last, and tracks that are like it.

Neighbours are found once per track, and a listener merges those of a few: ten seeds with a hundred each
are a thousand small rows. A product of all listeners with all tracks would be a million times more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.embeddings.neighbours import next_tracks
from features.embeddings.users import attentive, midnight_after, of_version, people, with_vector
from features.windows.folds import MICROS_A_DAY
from schemas.candidates import ORIGINS

NEXT, SIMILAR = ORIGINS
HEARD = "heard"
# Sums of the same scores in another order differ in the last bits; at six decimals they tie.
DECIMALS = 6


class CandidateSettingsError(ValueError):
    """Settings by which no candidates can be chosen; the text lists every fault."""


@dataclass(frozen=True)
class CandidateSettings:
    """All of them change the result."""

    per_user: int = 100  # candidates of a listener at most, 1 or more
    recent_hours: float = 24.0  # tracks played in so many hours before midnight are left out; 0 or more
    seeds: int = 10  # tracks heard last, each counted once, that bring candidates; 1 or more
    explicit: bool = True  # whether tracks that are marked explicit may be candidates
    per_artist: int = (
        5  # candidates of one artist at most, 1 or more; those of no known artist are not counted
    )
    half_life_days: float = 7.0  # a seed heard so much before the newest one weighs half of it; above 0

    def __post_init__(self) -> None:
        counts = ("per_user", "seeds", "per_artist")
        faults = [
            f"{name} is {getattr(self, name)}; it must be 1 or more"
            for name in counts
            if getattr(self, name) < 1
        ]
        if not 0 <= self.recent_hours < float("inf"):
            faults.append(f"recent_hours is {self.recent_hours}; it must be 0 or more")
        if not self.half_life_days > 0:
            faults.append(f"half_life_days is {self.half_life_days}; it must be above 0")
        if faults:
            raise CandidateSettingsError("candidates: " + "; ".join(faults))


def candidates(
    heard: DataFrame,
    embeddings: DataFrame,
    similar: DataFrame,
    tracks: DataFrame,
    day: date,
    settings: CandidateSettings | None = None,
    following: DataFrame | None = None,
) -> DataFrame:
    """Rows of `candidates`: one per listener for whom there is any.

    The seeds are the tracks with a vector that the listener played last and did not skip. A track's score of an
    origin is the sum, over the seeds that have it among their neighbours, of seed's weight x
    neighbour's score, over the sum of all the seeds' weights; scores of 0 or less bring nobody. What was
    just heard, skipped or not, and what is explicit, if that is not wanted, is taken out first. The rest is
    ranked by score per origin, and the origins take turns: first next, first similar, second next, and so
    on; a track of both stands at the better of its two places. Then artists are capped and the
    list is cut. Equal scores are in the order of track ids.

    Args:
        heard: rows of `sessions` of the days that are to count, `day` the last.
        embeddings: one day of `track_embeddings`, of one space.
        similar: rows of `similar_tracks` made of them.
        tracks: the catalogue; a track that it lacks is neither explicit nor of a known artist.
        following: rows of `next_tracks(embeddings)`, where they are at hand; made here if not.
    """
    settings = settings or CandidateSettings()
    following = next_tracks(embeddings) if following is None else following
    seeds = _seeds(heard, embeddings, day, settings)
    brought = [
        _just_heard(heard, day, settings),
        _brought(seeds, following, NEXT),
        _brought(seeds, similar, SIMILAR),
    ]
    allowed = _allowed(_scored(reduce(DataFrame.unionByName, brought)), tracks, settings)
    return of_version(_chosen(_interleaved(allowed), settings), embeddings, day)


def _seeds(heard: DataFrame, embeddings: DataFrame, day: date, settings: CandidateSettings) -> DataFrame:
    """Per listener (user_id) the last tracks (track_id), and what share each has in a score."""
    listener = Window.partitionBy("user_id")
    place = F.row_number().over(listener.orderBy(F.desc("last"), "track_id"))
    # Counted from the newest seed, not from midnight: who was away for a year has shares as well.
    age = (F.max(F.unix_micros("last")).over(listener) - F.unix_micros("last")) / MICROS_A_DAY
    weight = F.pow(F.lit(0.5), age / settings.half_life_days)
    return (
        attentive(heard, day)
        .groupBy("user_id", "track_id")
        .agg(F.max("played_at").alias("last"))
        .join(with_vector(embeddings).select("track_id"), "track_id", "left_semi")
        .withColumn("place", place)
        .where(F.col("place") <= settings.seeds)
        .withColumn("weight", weight)
        .withColumn("share", F.col("weight") / F.sum("weight").over(listener))
        .select("user_id", "track_id", "share")
    )


def _brought(seeds: DataFrame, neighbours: DataFrame, origin: str) -> DataFrame:
    lists = neighbours.select("track_id", "neighbours", "scores")
    return seeds.join(lists, "track_id").select(
        "user_id", F.lit(origin).alias("origin"), "share", "neighbours", "scores"
    )


def _just_heard(heard: DataFrame, day: date, settings: CandidateSettings) -> DataFrame:
    """In the shape of what seeds bring: so it is taken out by the sum that is made anyway, without a join."""
    since = F.unix_micros(midnight_after(day)) - int(settings.recent_hours * 3_600_000_000)
    recent = people(heard, day).where(F.unix_micros("played_at") >= since)
    return (
        recent.select("user_id", "track_id")
        .distinct()
        .select(
            "user_id",
            F.lit(HEARD).alias("origin"),
            F.lit(1.0).alias("share"),
            F.array("track_id").alias("neighbours"),
            F.array(F.lit(1.0).cast("float")).alias("scores"),
        )
    )


def _scored(brought: DataFrame) -> DataFrame:
    """Per listener and track, not just heard, the score of each origin, null where it does not bring it."""
    # Lists are shuffled whole: a tenth of the rows, and all that follows is per listener.
    pairs = F.arrays_zip(F.col("neighbours").alias("track_id"), F.col("scores").alias("score"))
    rows = brought.repartition("user_id").select("user_id", "origin", "share", F.inline(pairs))
    scores = [_score(origin).alias(origin) for origin in (*ORIGINS, HEARD)]
    return rows.where("score > 0").groupBy("user_id", "track_id").agg(*scores).where(F.col(HEARD).isNull())


def _score(origin: str) -> Column:
    of_origin = F.when(F.col("origin") == origin, F.col("share") * F.col("score"))
    return F.round(F.sum(of_origin), DECIMALS)


def _allowed(scored: DataFrame, tracks: DataFrame, settings: CandidateSettings) -> DataFrame:
    catalogue = tracks.select("track_id", "artist_id", "explicit")
    known = scored.join(catalogue, "track_id", "left")
    return known if settings.explicit else known.where(~F.coalesce("explicit", F.lit(False)))


def _interleaved(allowed: DataFrame) -> DataFrame:
    """With `place` in the listener's list, `origin` and `score` of whoever brings the track there."""
    ranked = allowed.select(
        "*", *[_place(n, origin).alias(f"{origin}_place") for n, origin in enumerate(ORIGINS)]
    )
    place = F.least(*[F.col(f"{origin}_place") for origin in ORIGINS])  # nulls are passed over
    by_next = F.col(f"{NEXT}_place") == place
    return ranked.select(
        "user_id",
        "track_id",
        "artist_id",
        place.alias("place"),
        F.when(by_next, F.lit(NEXT)).otherwise(F.lit(SIMILAR)).alias("origin"),
        F.when(by_next, F.col(NEXT)).otherwise(F.col(SIMILAR)).alias("score"),
    )


def _place(number: int, origin: str) -> Column:
    """Even numbers for the first origin, odd ones for the second: no two of them are equal."""
    order = Window.partitionBy("user_id").orderBy(F.desc_nulls_last(origin), "track_id")
    return F.when(F.col(origin).isNotNull(), F.row_number().over(order) * len(ORIGINS) + number)


def _chosen(interleaved: DataFrame, settings: CandidateSettings) -> DataFrame:
    of_artist = F.row_number().over(Window.partitionBy("user_id", "artist_id").orderBy("place"))
    capped = interleaved.withColumn("of_artist", of_artist).where(
        F.col("artist_id").isNull() | (F.col("of_artist") <= settings.per_artist)
    )
    rows = F.sort_array(F.collect_list(F.struct("place", "track_id", "score", "origin")))
    listed = capped.groupBy("user_id").agg(F.slice(rows, 1, settings.per_user).alias("rows"))
    return listed.select(
        "user_id",
        _column("track_id", "track_ids", "string"),
        _column("score", "scores", "float"),
        _column("origin", "origins", "string"),
    )


def _column(field: str, name: str, kind: str) -> Column:
    values = F.col(f"rows.{field}").cast(f"array<{kind}>")
    return F.coalesce(values, F.array().cast(f"array<{kind}>")).alias(name)
