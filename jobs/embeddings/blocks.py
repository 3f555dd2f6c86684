"""Training in blocks on Spark: each round of `features.embeddings.blocks` is one job, the model lies in the scratch.

    blocks/sequences            what is learned from, numbered
    blocks/tracks/B/vocabulary  of each block its tracks
    blocks/pairs/EPOCH/N.arrow  pairs of the sequences from number N on, a record batch per stratum
    blocks/model/ROUND/...      both halves of each block, as they are before that round
    blocks/done.json            rounds done

A task reads files of its round and writes files of the next; only when all are there does the driver note
the round as done. A task that failed is repeated, a training that was cut off goes on at that note.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from features.embeddings.settings import Settings
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.tracks import VOCABULARY

if TYPE_CHECKING:
    from pyspark.resource import ResourceProfile
    from pyspark.sql import DataFrame, SparkSession

    from jobs.embeddings.block_tasks import Task, Tasks

# What every task gives back: a number.
COUNT = "n bigint"
DONE = "blocks/done.json"
SEQUENCES = "blocks/sequences"


def train_in_blocks(
    spark: SparkSession,
    scratch: Scratch,
    sequences: DataFrame,
    settings: Settings,
    start: str = "cold",
    profile: ResourceProfile | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Leaves `learned.parquet` in the scratch, a folder with a file per block; goes on where one was cut off.

    The vocabulary lies in the scratch already. No task ever holds more than two halves of a block, and each
    round reads and writes the whole model once: ten million tracks of 128 numbers are ten gigabytes.

    Args:
        sequences: `tracks`, numbers of the vocabulary, without what is held out. The same rows in the same
            partitions and order give the same model.
        start: warm takes the vectors that the vocabulary holds.
        profile: resources of a task that trains, with `settings.threads` threads.
    """
    from jobs.embeddings.block_tasks import Tasks

    training = _Training(spark, Tasks(scratch, settings, start == "warm"), profile, say)
    if scratch.read_json(DONE) is None:
        training.begin(sequences)
    training.learn()
    training.finish()


@dataclass(frozen=True)
class _Training:
    spark: SparkSession
    tasks: Tasks
    profile: ResourceProfile | None
    say: Callable[[str], None]

    def begin(self, sequences: DataFrame) -> None:
        """Sequences get numbers, blocks their tracks and first vectors."""
        path, blocks = self.tasks.scratch.path, self.tasks.settings.blocks
        numbered = sequences.select(F.monotonically_increasing_id().alias("sequence"), "tracks")
        numbered.write.mode("overwrite").parquet(path(SEQUENCES))
        heard = self._sequences().select(F.explode("tracks").alias("number")).distinct()
        often = F.col("plays") >= self.tasks.settings.min_plays
        tracks = self.spark.read.parquet(path(VOCABULARY)).where(often)
        told = tracks.withColumn("block", F.col("number") % blocks).join(
            heard.withColumn("heard", F.lit(True)), "number", "left"
        )
        # A block without tracks has a row of nulls, so that its files are written too.
        every = self.spark.range(blocks).select(F.col("id").cast("int").alias("block"))
        mine = told.unionByName(every, allowMissingColumns=True).repartitionById(blocks, "block")
        _counted(mine.sortWithinPartitions("number").mapInArrow(self.tasks.begin, COUNT))
        self._note(0)

    def learn(self) -> None:
        from features.embeddings.blocks import rounds

        done = self.tasks.scratch.read_json(DONE)["rounds"]
        for number in range(done, rounds(self.tasks.settings, self.tasks.epochs)):
            self._round(number)

    def finish(self) -> None:
        self._on_each_block(self.tasks.finish)

    def _round(self, number: int) -> None:
        from features.embeddings.blocks import place_of

        epoch, part, turn = place_of(self.tasks.settings, number)
        pairs = sum(self._on_each_block(self.tasks.learn(number, self._drawn(epoch))))
        self._note(number + 1)
        self.tasks.scratch.remove(f"blocks/model/{number}")
        self.say(f"epoch {epoch + 1}, part {part + 1}, round {turn + 1}: {pairs:,} pairs")

    def _drawn(self, epoch: int) -> list[int]:
        """Names of the files with the epoch's pairs, written by its first round; those of the one before go."""
        scratch, note = self.tasks.scratch, f"blocks/pairs/{epoch}.json"
        if scratch.read_json(note) is None:
            scratch.remove(f"blocks/pairs/{epoch - 1}")
            rows = self._sequences().mapInArrow(self.tasks.draw(epoch), COUNT)
            scratch.write_json(note, {"chunks": sorted(_counted(rows))})
        found: list[int] = scratch.read_json(note)["chunks"]
        return found

    def _sequences(self) -> DataFrame:
        return self.spark.read.parquet(self.tasks.scratch.path(SEQUENCES))

    def _on_each_block(self, task: Task) -> list[int]:
        blocks = self.tasks.settings.blocks
        return _counted(self.spark.range(0, blocks, 1, blocks).mapInArrow(task, COUNT, profile=self.profile))

    def _note(self, rounds: int) -> None:
        self.tasks.scratch.write_json(DONE, {"rounds": rounds})


def _counted(rows: DataFrame) -> list[int]:
    return [row["n"] for row in rows.collect()]
