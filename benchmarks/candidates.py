"""What candidates cost: neighbours numbered and laid down as arrays, then chosen from for every listener.

    python benchmarks/candidates.py --root ROOT                       # the newest embeddings of a Segue root
    python benchmarks/candidates.py --listeners 1000000 --plays 8     # made-up plays of 50,000 tracks

Both steps are measured as the job runs them, Spark included, without the search for next tracks and without
publishing; and the arrays alone, in this process on one core, which says what the choice itself costs.
Rounds are medians, the first does not count.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from made_up import FIRST, generate_sessions

from features.embeddings.candidate_arrays import choose
from features.embeddings.candidates import collect_plays
from features.embeddings.neighbours import find_next_tracks
from features.embeddings.settings import CandidateSettings
from jobs.embeddings.candidate_files import TRACKS, CandidateFiles
from jobs.embeddings.scratch import Scratch
from jobs.embeddings.steps import TABLE, configure_search, days_ending
from jobs.job import Job
from jobs.session import open_session
from schemas import CONTRACTS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

GENERATED_TRACKS = 50_000  # as many as `generate_sessions` plays
DAYS = 30


@dataclass(frozen=True)
class Inputs:
    sessions: DataFrame
    embeddings: DataFrame
    catalogue: DataFrame
    following: DataFrame
    similar: DataFrame
    day: date


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", help="of Segue; without it, plays are made up")
    parser.add_argument("--listeners", type=int, default=100_000)
    parser.add_argument("--plays", type=int, default=8, help="of a listener, made up")
    parser.add_argument("-k", type=int, default=100, help="neighbours of a track")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spark = open_session("candidates", Path(folder, "spark.log"))
        print(f"{os.cpu_count()} cores; pyspark {version('pyspark')}, numba {version('numba')}")
        inputs = _read_root(args, folder) if args.root else _generate_inputs(spark, args, folder)
        _measure(inputs, CandidateFiles(Scratch(f"{folder}/scratch")), args.rounds)


def _measure(inputs: Inputs, files: CandidateFiles, rounds: int) -> None:
    settings = CandidateSettings()
    spark = inputs.sessions.sparkSession
    list_seconds = median(
        _time_rounds(
            rounds, lambda: files.write(inputs.embeddings, inputs.catalogue, inputs.following, inputs.similar)
        )
    )
    plays = collect_plays(
        inputs.sessions, spark.read.parquet(files.scratch.path(TRACKS)), inputs.day, settings
    )
    rows = files.choose(inputs.sessions, inputs.embeddings, inputs.day, settings)
    choice_seconds = median(_time_rounds(rounds, lambda: rows.write.format("noop").mode("overwrite").save()))
    batches, pool = plays.toArrow().to_batches(20_000), files.open()
    array_seconds = median(
        _time_rounds(rounds, lambda: [sum(1 for _ in choose(b, pool, settings)) for b in batches])
    )
    listeners = sum(batch.num_rows for batch in batches)
    neighbours = sum(len(each.tracks) for each in (pool.following, pool.similar))
    print(
        f"{listeners:,} listeners, {len(pool.ids):,} tracks with {neighbours:,} neighbours, {neighbours * 8:,} bytes"
    )
    print(f"neighbours numbered and written: {list_seconds:.1f} s")
    print(
        f"candidates of all listeners in Spark: {choice_seconds:.1f} s, {listeners / choice_seconds:,.0f} listeners/s"
    )
    print(f"the arrays alone, one core: {array_seconds:.1f} s, {listeners / array_seconds:,.0f} listeners/s")


def _time_rounds(rounds: int, run: Callable[[], object]) -> list[float]:
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def _read_root(args: argparse.Namespace, folder: str) -> Inputs:
    """Next tracks are searched for once, before the measurement."""
    job = Job("benchmark", args.root)
    day = job.source(TABLE).days[-1]
    embeddings = job.read(TABLE, [day])
    find_next_tracks(embeddings, args.k, configure_search(job)).write.parquet(f"{folder}/following")
    empty = CONTRACTS["tracks"].struct()
    return Inputs(
        job.read("sessions", days_ending(day, DAYS)),
        embeddings,
        job.read("tracks") if job.has("tracks") else job.spark.createDataFrame([], empty),
        job.spark.read.parquet(f"{folder}/following"),
        job.read("similar_tracks", [day]),
        day,
    )


def _generate_inputs(spark: SparkSession, args: argparse.Namespace, folder: str) -> Inputs:
    sessions = generate_sessions(
        spark, args.listeners * args.plays, DAYS, f"{folder}/sessions", users=args.listeners
    )
    tracks = spark.range(GENERATED_TRACKS).selectExpr(
        "concat('t', id) as track_id",
        "concat('a', id % 9000) as artist_id",
        "false as explicit",
        "array(1f) as vector",
        "array(1f) as in_vector",
        "array(1f) as out_vector",
        "'v1' as version_id",
        "'s1' as space_id",
    )
    lists = []
    for seed in (1, 2):
        neighbour_lists = spark.range(GENERATED_TRACKS).selectExpr(
            "concat('t', id) as track_id",
            f"transform(sequence(1, {args.k}), n -> concat('t', pmod(xxhash64(id, n, {seed}), {GENERATED_TRACKS}))) "
            "as neighbours",
            f"transform(sequence(1, {args.k}), n -> cast(1 - n / {args.k + 1} as float)) as scores",
        )
        neighbour_lists.write.parquet(f"{folder}/lists-{seed}")
        lists.append(spark.read.parquet(f"{folder}/lists-{seed}"))
    return Inputs(sessions, tracks, tracks, *lists, FIRST + timedelta(days=DAYS - 1))


if __name__ == "__main__":
    main()
