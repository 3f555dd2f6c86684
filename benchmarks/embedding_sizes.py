"""How large the world of embeddings may be: what one machine trains in an hour, what a task holds, what is shuffled.

    python benchmarks/embedding_sizes.py                  # all parts
    python benchmarks/embedding_sizes.py --only hour      # some: hour memory shuffle

hour     pairs a CPU second of the trainer, and the sequences that it learns in an hour as a cold training does
memory   the most that the task which trains holds, of tracks and dimensions, each in a process of its own
shuffle  bytes that averaging listeners shuffles: a number for each track played, against its two vectors, as it
         was before; in one run, of the same plays
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from made_up import FIRST, generate_sessions

from features.embeddings.corpus import Corpus, Model
from features.embeddings.neighbours import Search
from features.embeddings.sequences import FOLDS
from features.embeddings.settings import Settings
from features.embeddings.sgns import train_epoch
from features.embeddings.tuning import MOST_EPOCHS
from features.embeddings.users import drop_without_vector
from jobs.embeddings.ceiling import search_task, training_task
from jobs.embeddings.progress import peak_bytes
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.task import Plan, run_training
from jobs.embeddings.tracks import SEQUENCES, VOCABULARY
from jobs.embeddings.vector_files import VectorFiles

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Of a session, as of real ones: 7.4 tracks.
LENGTH = 7
TRACKS, SEQUENCE_COUNT = 500_000, 1_000_000
SIZES = tuple(product((200_000, 800_000), (32, 128)))
# As many as `generate_sessions` plays.
PLAYED_TRACKS, DAYS = 50_000, 30


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--plays", type=int, default=2_000_000, help="that are averaged (%(default)s)")
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--alone", nargs=2, type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alone:
        print(_train_alone(*args.alone))
        return
    print(f"{os.cpu_count()} cores")
    for part in args.only:
        print(f"\n{part}")
        PARTS[part](args)


def part_hour(args: argparse.Namespace) -> None:
    settings = Settings(dimensions=args.dimensions, threads=os.cpu_count() or 1)
    corpus = _make_corpus(TRACKS, SEQUENCE_COUNT)
    model = Model.initialise(TRACKS, settings.dimensions, 1)
    train_epoch(_make_corpus(100, 10), Model.initialise(100, settings.dimensions, 1), settings, 0)  # compiles
    # of cores, not of the clock: others may be at work here
    start = time.process_time()
    pairs = train_epoch(corpus, model, settings, 0)
    speed = pairs / (time.process_time() - start)
    of_sequence = pairs / corpus.sequences
    sequences = 3600 * settings.threads * speed / (of_sequence * MOST_EPOCHS)
    print(f"  {TRACKS:,} tracks of {settings.dimensions}: {speed / 1e6:.2f} M pairs/s on a core")
    print(
        f"  {of_sequence:.1f} pairs a sequence; in an hour {sequences / 1e6:.1f} M sequences {MOST_EPOCHS} times"
    )


def part_memory(args: argparse.Namespace) -> None:
    peaks = {}
    for tracks, dimensions in SIZES:
        command = [sys.executable, __file__, "--alone", str(tracks), str(dimensions)]
        peaks[tracks, dimensions] = peak = int(subprocess.check_output(command).split()[-1])
        bound = training_task(tracks, dimensions).bytes
        print(
            f"  {tracks:,} x {dimensions}: {peak / 2**20:,.0f} MiB; the ceiling counts {bound / peak:.2f} x that"
        )
    (few, _), (many, _) = SIZES[0], SIZES[-1]
    for dimensions in dict.fromkeys(dimensions for _, dimensions in SIZES):
        of_track = (peaks[many, dimensions] - peaks[few, dimensions]) / (many - few)
        print(
            f"  a track of {dimensions}: {of_track:,.0f} bytes, {of_track - 8 * dimensions:,.0f} beside its vectors"
        )
    for dimensions, search in product((64, 128), (False, True)):
        most = _most_tracks(64 * 2**30, dimensions, search)
        print(
            f"  64 GiB hold {most / 1e6:.0f} M tracks of {dimensions} in {'a search' if search else 'a training'}"
        )


def _most_tracks(limit: int, dimensions: int, search: bool) -> int:
    def bytes_of(tracks: int) -> int:
        task = (
            search_task(tracks, dimensions, Search(), True) if search else training_task(tracks, dimensions)
        )
        return task.bytes

    of_track = (bytes_of(10**9) - bytes_of(0)) / 10**9
    return int((limit - bytes_of(0)) / of_track)


def part_shuffle(args: argparse.Namespace) -> None:
    from jobs.session import open_session

    with tempfile.TemporaryDirectory() as folder:
        spark = open_session("sizes", Path(folder, "spark.log"))
        sessions = generate_sessions(spark, args.plays, DAYS, f"{folder}/sessions", users=args.plays // 40)
        embeddings = _make_embeddings(spark, args.dimensions, f"{folder}/embeddings")
        day = FIRST + timedelta(days=DAYS - 1)
        files = VectorFiles(Scratch(f"{folder}/scratch"))

        def average() -> None:
            files.write(embeddings)
            _run(files.average(sessions, embeddings, day, 7.0))

        results = {
            "a number for each track": _measure(spark, average),
            "two vectors, as before": _measure(spark, lambda: _run(_shuffle_vectors(sessions, embeddings))),
        }
        for name, (shuffled, seconds) in results.items():
            print(f"  {name}: {shuffled / 2**20:,.0f} MiB shuffled, {seconds:.1f} s")
        (now, _), (before, _) = results.values()
        print(f"  {before / now:.1f} x less")


PARTS = {"hour": part_hour, "memory": part_memory, "shuffle": part_shuffle}


def _train_alone(tracks: int, dimensions: int) -> int:
    """Bytes at most; plays are few, so that what is mapped of them is nothing beside the vectors."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = _make_corpus(tracks, 2 * tracks // LENGTH)
        scratch = Scratch(folder)
        ids = pa.array([f"{n:022x}" for n in range(tracks)])
        columns: dict[str, Any] = {"number": np.arange(tracks, dtype=np.int32), "track_id": ids}
        columns |= {"plays": np.maximum(corpus.counts, 1), "previous_plays": pa.nulls(tracks, pa.int64())}
        _write(pa.table(columns), f"{folder}/{VOCABULARY}")
        tracks_of = pa.ListArray.from_arrays(corpus.offsets.astype(np.int32), corpus.tokens)
        folds = np.random.default_rng(1).integers(0, FOLDS, corpus.sequences).astype(np.int32)
        _write(pa.table({"fold": folds, "tracks": tracks_of}), f"{folder}/{SEQUENCES}")
        del corpus, columns, ids, tracks_of, folds
        settings = Settings(dimensions=dimensions, epochs=1, pairs=500, threads=os.cpu_count() or 1)
        run_training(Plan(scratch, settings, "cold", False))
    return peak_bytes()


def _write(table: pa.Table, folder: str) -> None:
    os.makedirs(folder)
    pq.write_table(table, f"{folder}/part.parquet")


def _make_corpus(tracks: int, sequences: int) -> Corpus:
    """Every track in about as many places as any other: the fewest hits in a processor's caches."""
    tokens = np.random.default_rng(0).permutation(np.arange(sequences * LENGTH, dtype=np.int32) % tracks)
    offsets = np.arange(0, len(tokens) + 1, LENGTH)
    return Corpus(tokens, offsets, np.bincount(tokens, minlength=tracks))


def _make_embeddings(spark: SparkSession, dimensions: int, path: str) -> DataFrame:
    vector = f"transform(sequence(1, {dimensions}), n -> cast(rand(1) as float))"
    rows = spark.range(PLAYED_TRACKS).selectExpr(
        "concat('t', id) as track_id", f"{vector} as vector", f"{vector} as in_vector", f"{vector} as out_vector",
        "'v1' as version_id", "'s1' as space_id",
    )  # fmt: skip
    rows.write.parquet(path)
    return spark.read.parquet(path)


def _shuffle_vectors(sessions: DataFrame, embeddings: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    plays = sessions.groupBy("user_id", "track_id").agg(
        F.sum(F.lit(1.0)).alias("weight"), F.count("*").alias("support")
    )
    vectors = drop_without_vector(embeddings).select("track_id", "vector", "in_vector")
    return plays.join(vectors, "track_id").repartition("user_id").sortWithinPartitions("user_id", "track_id")


def _run(rows: DataFrame) -> None:
    rows.write.format("noop").mode("overwrite").save()


def _measure(spark: SparkSession, work: Any) -> tuple[int, float]:
    """Bytes written to shuffles, as Spark's executors count them, and seconds."""
    start, before = time.perf_counter(), _shuffled(spark)
    work()
    return _shuffled(spark) - before, time.perf_counter() - start


def _shuffled(spark: SparkSession) -> int:
    # the store is filled by a bus of its own
    time.sleep(1)
    store = spark.sparkContext._jsc.sc().statusStore()
    return sum(executor.totalShuffleWrite() for executor in _iterate(store.executorList(False)))


def _iterate(sequence: Any) -> list[Any]:
    return [sequence.apply(n) for n in range(sequence.size())]


if __name__ == "__main__":
    main()
