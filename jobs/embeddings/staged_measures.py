"""Measures, for the gate, of the very rows that would be published: a fault after the training shows here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from features.embeddings.arrays import Matrix
from features.embeddings.chance import z_of_vectors
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.tracks import PAIRS, VOCABULARY

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Three times what the gate asks for: a model that learned a third of what counting finds can be told from chance.
ENOUGH_TO_TELL = 12.0


def measure_staged(
    staged: DataFrame, scratch: Scratch, learned: int, trained: dict[str, float]
) -> dict[str, float]:
    """The measures `trained` of a training that learned so many tracks, and those of the rows to be published."""
    rows = staged.where("source = 'learned'").agg(F.count("*"), F.coalesce(F.sum("support"), F.lit(0)))
    tracks, plays = rows.collect()[0]
    vocabulary = staged.sparkSession.read.parquet(scratch.path(VOCABULARY))
    # plays of tracks learned against plays of tracks that the version before had learned, both in this window
    before = vocabulary.where("previous_plays > 0").agg(F.sum("plays")).collect()[0][0]
    return {
        **trained,
        "lost_tracks": float(learned - tracks),
        "coverage_ratio": plays / before if before else float("inf"),
        **_measure_chance(staged, scratch, trained["chance_z_possible"]),
    }


def _measure_chance(staged: DataFrame, scratch: Scratch, possible: float) -> dict[str, float]:
    pairs = scratch.table(PAIRS, ["query", "target"])
    queries, targets = pairs["query"].to_pylist(), pairs["target"].to_pylist()
    # with few plays, or plays without order, not even a perfect model would show; then nothing is refused
    measurable = possible >= ENOUGH_TO_TELL
    measures = {"chance_pairs": float(len(queries)), "chance_can_be_told": float(measurable)}
    if measurable:
        into, out = _collect_vectors(staged, {*queries, *targets})
        measures["z_over_chance"] = z_of_vectors(_stack(into, queries), _stack(out, targets))
    return measures


def _collect_vectors(
    staged: DataFrame, tracks: set[str]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """In and out vectors of some tracks."""
    # a few thousand, so they fit the driver, and the join is a broadcast
    names = staged.sparkSession.createDataFrame([(track,) for track in sorted(tracks)], "track_id string")
    vectors = staged.where("in_vector is not null and out_vector is not null").join(
        F.broadcast(names), "track_id", "left_semi"
    )
    rows = vectors.select("track_id", "in_vector", "out_vector").collect()
    return {row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows}


def _stack(vectors: dict[str, list[float]], tracks: list[str]) -> Matrix:
    """A row per track; zeros, which rank nothing, where it has no vector, or one of another size than most."""
    # a wrong size is for the expectation on dimensions to refuse, and no reason to fail here
    sizes = [len(vector) for vector in vectors.values()]
    width = max(set(sizes), key=sizes.count, default=1)
    rows: Matrix = np.zeros((len(tracks), width), np.float32)
    for place, track in enumerate(tracks):
        if len(vectors.get(track, ())) == width:
            rows[place] = vectors[track]
    return rows
