"""What a day's features cost with a short and a long history, and what a backfill saves.

    python benchmarks/windows.py                     # both, about half an hour
    python benchmarks/windows.py --only history --rounds 1
    python benchmarks/windows.py --only merges       # counts rows, without Spark

Whole steps are measured as they run at night, audits and commits included: `build-user-features` on a day
that just came in. Every case has a root of its own; medians are printed with versions, rows and cores.
A backfill and the daily runs are compared row by row before their figure is printed.

merges: of partials that are made at once, for each day that an entity plays, the rows that there are; those that are
merged, as each tile is made of days; and those that would be if each were made of its two halves, level by level.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from made_up import generate_sessions

from features.windows.tiles import Tile, tiles_ending_on
from jobs import build_features
from jobs.job import Job
from jobs.session import open_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LAST = date(2025, 12, 31)
SHORT, LONG, BACKFILL = 30, 365, 30


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("history", "backfill", "merges"))
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--plays-a-day", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if args.only in (None, "merges"):
        _count_merges()
    if args.only == "merges":
        return
    with tempfile.TemporaryDirectory() as folder:
        spark = open_session("windows", Path(folder, "spark.log"))
        packages = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "delta-spark"))
        print(
            f"{args.users:,} listeners, {args.plays_a_day:,} plays a day, {os.cpu_count()} cores, {packages}"
        )
        if args.only != "backfill":
            _history(spark, args, folder)
        if args.only != "history":
            _backfill(spark, args, folder)


def _count_merges() -> None:
    draw = random.Random(1)
    for days in (SHORT, LONG, 3 * LONG):
        tiles = [tile for day in _calendar(days) for tile in tiles_ending_on(day)]
        for every in (1, 10, 100):
            entities = [
                {day for day in _calendar(days) if draw.random() * every < 1}
                for _ in range(10 if every > 1 else 1)
            ]
            active = sum(map(len, entities))
            made, from_days, from_halves = (
                sum(each) / active
                for each in zip(*[_count_tiles(tiles, each) for each in entities], strict=True)
            )
            print(
                f"{days:5} days, a day in {every:3} with plays: {made:.1f} rows, {from_days:.1f} merged, "
                f"{from_halves:.1f} level by level"
            )


def _count_tiles(tiles: Sequence[Tile], played: Collection[date]) -> tuple[int, int, int]:
    """Of an entity's tiles that are not empty: how many, of how many days, and of how many halves that are not."""
    days_in = {tile: sum(tile.first <= day <= tile.ds for day in played) for tile in tiles}
    filled = [tile for tile in tiles if days_in[tile]]
    # a half that ends before the first day of all is no tile of these
    halves = (
        1 if tile.span == 1 else sum(days_in.get(half, 0) > 0 for half in tile.halves()) for tile in filled
    )
    return len(filled), sum(days_in[tile] for tile in filled), sum(halves)


def _history(spark: SparkSession, args: argparse.Namespace, folder: str) -> None:
    """The last day, after as many days as each case has."""
    roots = {}
    for days in (SHORT, LONG):
        rows = _generate_plays(spark, args, days, folder)
        roots[days] = f"{folder}/history-{days}"
        _publish(roots[days], rows, _calendar(days)[:-1])
        _build(roots[days], _calendar(days)[-2])  # all partials, and the features of one day
        _publish(roots[days], rows, [LAST])
    seconds: dict[int, list[float]] = {SHORT: [], LONG: []}
    for turn in range(-1, args.rounds):  # the first warms up, and does not count
        for days, root in roots.items():
            copy = shutil.copytree(root, f"{folder}/turn")
            elapsed = _build(copy, LAST)
            if turn >= 0:
                seconds[days].append(elapsed)
            shutil.rmtree(copy)
        print(f"  round {turn + 1} of {args.rounds} done", file=sys.stderr)
    _say(f"a day's features after {LONG} days against after {SHORT}", seconds[LONG], seconds[SHORT])


def _backfill(spark: SparkSession, args: argparse.Namespace, folder: str) -> None:
    rows = _generate_plays(spark, args, BACKFILL, folder)
    one, many, daily = f"{folder}/at-once", f"{folder}/daily", []
    _publish(one, rows, _calendar(BACKFILL))
    for day in _calendar(BACKFILL):
        _publish(many, rows, [day])
        daily.append(_build(many))
    at_once = [_build(shutil.copytree(one, f"{folder}/turn-{n}")) for n in range(args.rounds)]
    _check_same(f"{folder}/turn-0", many)
    _say(f"{BACKFILL} daily runs against one backfill of {BACKFILL} days", [sum(daily)], at_once)


def _generate_plays(spark: SparkSession, args: argparse.Namespace, days: int, folder: str) -> DataFrame:
    first = _calendar(days)[0]
    return generate_sessions(
        spark, days * args.plays_a_day, days, f"{folder}/plays-{days}", args.users, first
    )


def _calendar(days: int) -> list[date]:
    return [LAST - timedelta(days=n) for n in reversed(range(days))]


def _publish(root: str, rows: DataFrame, days: Sequence[date]) -> None:
    from pyspark.sql import functions as F

    job = Job("benchmark", root, "run-benchmark", say=lambda text: None)
    job.publish(job.batch("sessions", days, deterministic=False), rows.where(F.col("ds").isin(list(days))))


def _build(root: str, day: date | None = None) -> float:
    start = time.perf_counter()
    build_features.main(["build-user-features", "--root", root, *(["--day", str(day)] if day else [])])
    return time.perf_counter() - start


def _check_same(root: str, other: str) -> None:
    """The same features by both ways, days and integers bit for bit; doubles that fade may differ at the end."""
    from pyspark.sql import functions as F

    tables = [Job("benchmark", each, "run").read("user_features") for each in (root, other)]
    exact = [
        f.name for f in tables[0].schema if f.dataType.typeName() != "double" and f.name != "available_at"
    ]
    left, right = (table.select(*exact) for table in tables)
    differ = left.exceptAll(right).count() + right.exceptAll(left).count()
    assert not differ, (
        f"{differ} rows of a backfill are not those of daily runs; look at features/windows/daily.py"
    )
    rows = tables[0].agg(F.count("*")).collect()[0][0]
    print(f"  {rows:,} rows are the same by both ways in {len(exact)} columns")


def _say(what: str, above: Sequence[float], below: Sequence[float]) -> None:
    times = ["; ".join(f"{each:.1f}" for each in seconds) for seconds in (above, below)]
    print(f"  {what}: {median(above) / median(below):.2f}   ({times[0]} s against {times[1]} s)")


if __name__ == "__main__":
    main()
