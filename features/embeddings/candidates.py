"""Candidates for a ranker: tracks that follow what a listener played last, and tracks similar to it.

Neighbours are searched once per track, and a listener merges those of a few: ten seeds with a hundred each of
either kind are two thousand scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from features.embeddings.settings import CandidateSettings
from features.embeddings.users import (
    add_version_columns,
    drop_without_vector,
    midnight_after,
    not_skipped,
    number_in_order,
    select_human_plays,
)
from schemas.candidates import CANDIDATES

if TYPE_CHECKING:  # compiled code is loaded in the tasks that choose, not where plans are made
    from features.embeddings.candidate_arrays import Pool

_CHOSEN = StructType(
    [field for field in CANDIDATES.struct() if field.name in ("user_id", "track_ids", "scores", "origins")]
)


def number_tracks(embeddings: DataFrame, catalogue: DataFrame) -> DataFrame:
    """One row per track with a vector: `number` (from 0, in the order of ids), track_id, artist_id, explicit.

    Args:
        embeddings: one day of `track_embeddings`, of one space.
        catalogue: of the table `tracks`; a track that it lacks is neither explicit nor of a known artist.
    """
    content = catalogue.select("track_id", "artist_id", "explicit")
    rows = drop_without_vector(embeddings).select("track_id").join(content, "track_id", "left")
    explicit = F.coalesce("explicit", F.lit(False)).alias("explicit")
    # equal scores go by number
    return number_in_order(rows).select("number", "track_id", "artist_id", explicit)


def number_neighbours(neighbours: DataFrame, open_ids: Callable[[], pa.Array]) -> DataFrame:
    """Rows of `similar_tracks` as number (int), tracks (array<int>) and scores (array<float>).

    Args:
        open_ids: gives a task the ids of `number_tracks`, in the order of their numbers.

    Raises:
        StaleNeighboursError: in the task, for neighbours that have no number.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from features.embeddings.candidate_arrays import number_lists

        ids = open_ids()
        yield from (number_lists(batch, ids) for batch in batches if batch.num_rows)

    lists = neighbours.select("track_id", "neighbours", "scores")
    return lists.mapInArrow(run, "number int, tracks array<int>, scores array<float>")


def choose_candidates(
    sessions: DataFrame,
    embeddings: DataFrame,
    tracks: DataFrame,
    day: date,
    settings: CandidateSettings,
    open_pool: Callable[[], Pool],
) -> DataFrame:
    """Rows of `candidates`: one per listener for whom there is any.

    The seeds are the tracks with a vector that the listener played last and did not skip. A track's score of
    an origin is the sum, over the seeds that have it among their neighbours, of seed's weight x neighbour's
    score, over the sum of all the seeds' weights; scores of 0 or less are left out. What was just played, skipped
    or not, and what is explicit, if those are excluded, is taken out first. The origins take turns: first next,
    first similar, second next, and so on; a track of both stands at the better of its two places. Then
    artists are capped and the list is cut. Equal scores, at six decimals, are in the order of track ids.

    Args:
        sessions: rows of `sessions` of the days that are to count, `day` the last.
        tracks: as `number_tracks` gives them; `open_pool` gives a task these and their neighbours, as arrays.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from features.embeddings.candidate_arrays import choose

        pool = open_pool()  # mapped, so tasks of an executor share one copy
        for batch in batches:
            yield from choose(batch, pool, settings)

    # only numbers of the tracks played are shuffled, once; the task has the lists as arrays by track number.
    # Lists of ids that are shuffled with the seeds, as rows, took twenty times as long
    rows = collect_plays(sessions, tracks, day, settings).mapInArrow(run, _CHOSEN)
    return add_version_columns(rows, embeddings, day)


def collect_plays(
    sessions: DataFrame, tracks: DataFrame, day: date, settings: CandidateSettings
) -> DataFrame:
    """Per listener (user_id) `plays`: each track once, its number, when it was `last` played and not skipped
    (microseconds, null: never), and whether it is so `recent` that it is no candidate."""
    since = F.unix_micros(midnight_after(day)) - int(settings.recent_hours * 3_600_000_000)
    at = F.unix_micros("played_at")
    plays = select_human_plays(sessions, day).join(tracks.select("track_id", "number"), "track_id")
    return (
        plays.select("user_id", "number", at.alias("at"), F.when(not_skipped(), at).alias("last"))
        .repartition("user_id")  # both groups are then made where the rows are
        .groupBy("user_id", "number")
        .agg(F.max("last").alias("last"), (F.max("at") >= since).alias("recent"))
        # skipped each time, and not lately: such a track is no seed, and may be a candidate
        .where(F.col("last").isNotNull() | F.col("recent"))
        .groupBy("user_id")
        .agg(F.collect_list(F.struct("number", "last", "recent")).alias("plays"))
    )
