"""What exact distinct counts of a night cost: a row per value with a bit a day, against births and deaths.

    PYTHONPATH=. python benchmarks/distinct_counts.py
    PYTHONPATH=. python benchmarks/distinct_counts.py --plays-a-day 100000 --only masks --rounds 1
    PYTHONPATH=. python benchmarks/distinct_counts.py --only sets

Three worlds of as many plays: `dense` listeners come back to few tracks, `sparse` ones play once or twice a day
and never the same, and in `uneven` one track has 5 % of the plays and one listener 1 %. In each, the counts of
listeners and of tracks on one day, as of a night, and on eight, as of a night with late plays. Printed are seconds that
tasks held a core and CPU, shuffled bytes, and the largest task against the median where they are farthest apart. Both
ways are compared row by row before. As many shuffle partitions as --partitions, which nothing coalesces.

sets, without Spark: of the tracks of listeners, the plays that a night reads for its longest window, against the values
in daily sets, and in sets of tiles of 1, 2, 4 … days, had these been kept; and what it would write of each, on average.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from made_up import generate_sessions

from features.windows import distinct
from features.windows.events import plays_of_group
from features.windows.tiles import cover
from jobs.session import open_session
from jobs.sizing.stages import count_jobs, find_task_cpus, read_stages, sum_stages
from schemas.declarations import SPANS, FeatureGroup
from schemas.track_features import TRACK_FEATURE_GROUP
from schemas.user_features import USER_FEATURE_GROUP

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LAST, WINDOW = date(2025, 12, 31), 30
NIGHTS = {"a night": 1, "eight days": 8}
WAYS = {"masks": distinct.count_by_masks, "changes": distinct.count_by_changes}
# Of which the worlds differ: listeners per thousand plays a day, and tracks that a listener chooses from.
WORLDS = {"dense": (50, 40), "sparse": (800, 50_000), "uneven": (200, 50_000)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plays-a-day", type=int, default=20_000)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2, help="the first one warms up, and is not counted")
    parser.add_argument("--only", choices=(*WAYS, "sets"))
    parser.add_argument("--world", choices=WORLDS, nargs="+", default=list(WORLDS))
    args = parser.parse_args()
    for world in ("dense", "sparse"):
        _count_set_rows(world, args.plays_a_day)
    if args.only == "sets":
        return
    with tempfile.TemporaryDirectory() as folder:
        spark = open_session("distinct-counts", Path(folder, "spark.log"))
        spark.conf.set("spark.sql.shuffle.partitions", args.partitions)
        spark.conf.set("spark.sql.adaptive.coalescePartitions.enabled", False)
        packages = f"pyspark {version('pyspark')}"
        print(
            f"{args.plays_a_day:,} plays a day, {WINDOW} days and 7 before, {os.cpu_count()} cores, {packages}"
        )
        for world in args.world:
            plays = _make_world(spark, world, args.plays_a_day, folder)
            _compare_ways(spark, world, plays, args)


def _make_world(spark: SparkSession, world: str, plays_a_day: int, folder: str) -> DataFrame:
    from pyspark.sql import functions as F

    listeners, tracks = WORLDS[world]
    days = WINDOW + max(NIGHTS.values()) - 1
    first = LAST - timedelta(days=days - 1)
    path = f"{folder}/{world}"
    rows = generate_sessions(
        spark, days * plays_a_day, days, path, max(1, plays_a_day * listeners // 1000), first
    )
    of_listener = F.pmod(F.xxhash64("user_id", F.pmod(F.xxhash64("play_id"), F.lit(tracks))), F.lit(50_000))
    rows = rows.withColumn("track_id", F.concat(F.lit("t"), of_listener))
    if world == "uneven":
        share = F.pmod(F.xxhash64("play_id", F.lit(1)), F.lit(100))
        rows = rows.withColumn("track_id", F.when(share < 5, F.lit("hit")).otherwise(F.col("track_id")))
        rows = rows.withColumn("user_id", F.when(share == 50, F.lit("bot")).otherwise(F.col("user_id")))
    rows.write.parquet(f"{path}-plays")
    return spark.read.parquet(f"{path}-plays")


def _compare_ways(spark: SparkSession, world: str, plays: DataFrame, args: argparse.Namespace) -> None:
    ways = {name: way for name, way in WAYS.items() if args.only in (None, name)}
    for group in (USER_FEATURE_GROUP, TRACK_FEATURE_GROUP):
        for night, count in NIGHTS.items():
            days = [LAST - timedelta(days=n) for n in reversed(range(count))]
            costs: dict[str, list[Mapping[str, Any]]] = {name: [] for name in ways}
            for _ in range(args.rounds):
                for name, way in ways.items():
                    costs[name].append(_measure(spark, _count(way, plays, group, days)))
            if len(ways) > 1:
                _check_same([_count(way, plays, group, days) for way in ways.values()])
            for name, runs in costs.items():
                print(
                    f"{world:7} {group.table:15} {night:10} {name:8} {_describe(runs[1:] or runs)}",
                    flush=True,
                )


def _count(
    way: Callable[..., DataFrame], plays: DataFrame, group: FeatureGroup, days: Sequence[date]
) -> DataFrame:
    rows = plays_of_group(plays, group).where(f"ds > date'{days[0] - timedelta(days=WINDOW)}'")
    return way(rows, group.keys, distinct.list_counts(group.feature_windows), days)


def _measure(spark: SparkSession, rows: DataFrame) -> Mapping[str, Any]:
    context, before = spark.sparkContext, count_jobs(spark.sparkContext)
    name = f"jobs from {before}"
    context.setJobGroup(name, name)
    rows.write.format("noop").mode("overwrite").save()
    stages, _ = read_stages(context, name, before)
    return sum_stages(stages, find_task_cpus(context, stages))


def _check_same(sides: Sequence[DataFrame]) -> None:
    from pyspark.sql import functions as F

    # an entity without a value in any window has zeros, or no row
    names = [name for name in sides[0].columns if "_distinct_" in name]
    columns = [*[name for name in sides[0].columns if name not in names], *names]
    rows = [side.select(*columns).na.fill(0, names).where(F.greatest(F.lit(0), *names) > 0) for side in sides]
    differ = rows[0].exceptAll(rows[1]).count() + rows[1].exceptAll(rows[0]).count()
    assert not differ, f"{differ} rows of distinct counts differ; look at features/windows/distinct.py"


def _describe(runs: Sequence[Mapping[str, Any]]) -> str:
    core, cpu, shuffled = (
        median(run[name] for run in runs) for name in ("core_seconds", "cpu_seconds", "shuffle_bytes")
    )
    largest, middle = runs[-1]["largest_task_seconds"], runs[-1]["median_task_seconds"]
    ratio = largest / middle if middle else float("nan")
    return (
        f"{core:6.1f} s of cores, {cpu:6.1f} s of CPU, {shuffled / 2**20:7.1f} MiB shuffled, "
        f"largest task {largest:.2f} s: {ratio:.1f} x the median"
    )


def _count_set_rows(world: str, plays_a_day: int) -> None:
    """Of the tracks of listeners drawn like those of `_make_world`, a row for each value of a set."""
    listeners, tracks = WORLDS[world]
    draw, plays = np.random.default_rng(1), WINDOW * plays_a_day
    day = np.arange(plays) % WINDOW
    # a number for each listener and track
    value = draw.integers(plays_a_day * listeners // 1000, size=plays) * tracks + draw.integers(
        tracks, size=plays
    )
    days = [LAST - timedelta(days=n) for n in reversed(range(WINDOW))]

    def count_rows(part_of_day: Sequence[int]) -> int:
        return len(np.unique(value * WINDOW + np.unique(part_of_day, return_inverse=True)[1][day]))

    tiles = list(cover(LAST, f"{WINDOW}d"))
    of_tiles = count_rows([next(n for n, t in enumerate(tiles) if t.first <= each <= t.ds) for each in days])
    numbers = [(each - date(1970, 1, 1)).days for each in days]
    of_spans = [count_rows([n // span for n in numbers]) for span in SPANS if span <= WINDOW]
    print(
        f"{world:7} tracks of listeners: a night reads {plays:,} plays, {of_spans[0]:,} rows of daily sets or "
        f"{of_tiles:,} of tiles; it writes {of_spans[0] / WINDOW:,.0f} or {sum(of_spans) / WINDOW:,.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
