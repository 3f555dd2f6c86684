"""Listeners by a hash: where sequences are more than one machine trains, those of some listeners are learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from features.embeddings.settings import Settings

# Places of the hash. The sequences of one, a 65,536th, are the least that a sample can differ by.
PLACES = 2**16


@dataclass(frozen=True)
class Listeners:
    """Those whose place is below `cut`; they have `sequences` of the `counted`."""

    cut: int
    sequences: int
    counted: int

    def select(self, sessions: DataFrame) -> DataFrame:
        return sessions.where(_place() < self.cut)

    def describe(self) -> str:
        share = self.cut / PLACES
        return f"{share:.2%} of the listeners, about {self.sequences:,} of {self.counted:,},"


def choose_listeners(sessions: DataFrame, settings: Settings) -> Listeners:
    """As many as have no more than `max_sequences`, whole; the same ones whatever else is in the sessions.

    Sequences are counted before silence splits sessions, and tracks that are rare or repeated count.
    """
    # without a shuffle of plays: a sequence is a row at the place that makes it long enough
    at_start = F.pmod(F.col("position") - settings.min_length, F.lit(settings.max_length)) == 0
    plays = sessions.where(~F.col("is_bot") & at_start).groupBy(_place().alias("place"))
    counts = np.zeros(PLACES, np.int64)
    for place, count in plays.count().collect():
        counts[place] = count
    return cut_places(counts.tolist(), settings.max_sequences)


def cut_places(counts: Sequence[int], most: int) -> Listeners:
    """The first places, as many as hold no more than `most` together; one at least, as nothing teaches nothing."""
    sums = np.cumsum(counts)
    first = int(np.argmax(sums > 0))
    cut = max(first + 1, int(np.searchsorted(sums, most, side="right")))
    return Listeners(cut, int(sums[cut - 1]), int(sums[-1]))


def _place() -> Column:
    # with a word of its own, so that these are not the listeners of some buckets, or of somebody's experiment
    return F.pmod(F.xxhash64(F.lit("item2vec"), "user_id"), F.lit(PLACES)).cast("int")
