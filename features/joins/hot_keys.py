"""Keys with so many rows that one task would do most of the work (skew): found by a sample, cut by time.

Nothing here changes a result, only which task works it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from features.joins import reduction

# What one task sorts in a second or two. Speed only.
HOT_ROWS = 1_000_000
# A key of HOT_ROWS has ten thousand rows in the sample: enough to count it, and to cut it evenly.
SAMPLE = 0.01
MOST_BRACKETS = 256
# Fewer bytes than this cannot keep a task busy for long, so no job looks for hot keys.
SMALL = 64 << 20


@dataclass(frozen=True)
class HotKeys:
    """So few keys that every task has them all."""

    parts: tuple[str, ...]
    # key parts; `cuts`, the ascending instants at which brackets begin; `brackets` aimed at
    frame: DataFrame

    def cut_by_time(
        self,
        label_rows: DataFrame,
        history_rows: Sequence[DataFrame],
        structs: Sequence[str],
        otherwise: Column,
    ) -> list[DataFrame]:
        """Labels and histories with `bracket`, and what each bracket of a hot key starts with."""
        labels = self._assign_brackets(label_rows, otherwise)
        histories = [self._assign_brackets(history, F.lit(0)) for history in history_rows]
        seeds = self._seeds([h.where(F.col("cuts").isNotNull()) for h in histories], structs)
        return [*[frame.drop("cuts") for frame in (labels, *histories)], seeds]

    def spread_labels(self, label_rows: DataFrame) -> DataFrame:
        """Labels with `bracket`, at random where their key is hot."""
        # there is no time to cut by: within a period all labels of a key get the same row
        bracket = F.pmod(F.monotonically_increasing_id(), F.col("brackets")).cast("int")
        labels = self._join_hot_keys(label_rows, "brackets")
        return labels.withColumn("bracket", F.coalesce(bracket, F.lit(0))).drop("brackets")

    def replicate(self, history: DataFrame) -> DataFrame:
        """Rows once per bracket that `spread_labels` may have given to a label of their key."""
        brackets = F.sequence(F.lit(0), F.coalesce("brackets", F.lit(1)) - 1)
        rows = self._join_hot_keys(history, "brackets")
        return rows.withColumn("bracket", F.explode(brackets)).drop("brackets")

    def _join_hot_keys(self, frame: DataFrame, column: str) -> DataFrame:
        return frame.join(F.broadcast(self.frame.select(*self.parts, column)), list(self.parts), "left")

    def _assign_brackets(self, frame: DataFrame, otherwise: Column) -> DataFrame:
        cuts = F.col("cuts")
        bracket = F.when(cuts.isNotNull(), F.size(F.filter(cuts, lambda cut: cut <= F.col("time"))))
        return self._join_hot_keys(frame, "cuts").withColumn("bracket", F.coalesce(bracket, otherwise))

    def _seeds(self, histories: Sequence[DataFrame], structs: Sequence[str]) -> DataFrame:
        """Per bracket the greatest row of all brackets before it: it stands in for all that came before."""
        bracket = F.explode(F.sequence(F.lit(0), F.size("cuts"))).alias("bracket")
        narrow = [history.drop("cuts", "time", "side") for history in histories]
        rows = reduce(union_rows, [self.frame.select(*self.parts, bracket), *narrow])
        newest = [F.max(struct).alias(struct) for struct in structs]
        newest_rows = rows.groupBy(*self.parts, "bracket").agg(*newest)
        before = Window.partitionBy(*self.parts).orderBy("bracket").rowsBetween(Window.unboundedPreceding, -1)
        carried = [F.max(struct).over(before).alias(struct) for struct in structs]
        # null sorts first: at the head of its bracket, before every other time
        head = [F.lit(None).cast("timestamp").alias("time"), F.lit(-1).alias("side")]
        return newest_rows.select(*self.parts, "bracket", *head, *carried)


def union_rows(above: DataFrame, below: DataFrame) -> DataFrame:
    return above.unionByName(below, allowMissingColumns=True)


def find_hot_keys(frames: Sequence[DataFrame], parts: Sequence[str]) -> HotKeys | None:
    """The keys with about HOT_ROWS rows or more in `frames` together (key parts and `time`): a job that counts
    a sample, and if it finds some, a second one that cuts them.
    """
    if not frames or sum(map(reduction.size, frames)) < SMALL:
        return None
    # Keys and times alone are read: a column store leaves the wide values out.
    # A sample will do: a key at the limit gets the same rows whether it is taken for hot or not.
    sampled = [f.select(*parts, "time").dropna().sample(SAMPLE, seed=7) for f in frames]
    sample = reduce(DataFrame.unionByName, sampled)
    key_counts = sample.groupBy(*parts).agg(F.count("*").alias("n"))
    counts = key_counts.where(F.col("n") >= HOT_ROWS * SAMPLE).toArrow()
    if not counts.num_rows:
        return None
    spark = frames[0].sparkSession
    cuts = _find_cuts(sample.join(F.broadcast(spark.createDataFrame(counts)), list(parts)), parts)
    # worked out here: as a plan, each join with the hot keys would count and cut the sample again
    return HotKeys(tuple(parts), spark.createDataFrame(cuts.toArrow()))


def _find_cuts(sample: DataFrame, parts: Sequence[str]) -> DataFrame:
    # quantiles of the times, so that brackets hold about as many rows each, however unevenly a key is played
    steps = [n / MOST_BRACKETS for n in range(1, MOST_BRACKETS)]
    # Brackets of about a quarter of HOT_ROWS.
    aim = F.least(F.ceil(F.first("n") / (HOT_ROWS * SAMPLE / 4)), F.lit(MOST_BRACKETS))
    steps_of_key = sample.groupBy(*parts).agg(
        F.percentile_approx("time", steps, 1000).alias("steps"), aim.cast("int").alias("brackets")
    )
    step = F.floor(F.lit(MOST_BRACKETS) / F.col("brackets")).cast("int")
    cuts = F.filter("steps", lambda _, n: (n + 1) % step == 0)
    return steps_of_key.select(*parts, F.array_distinct(cuts).alias("cuts"), "brackets")
