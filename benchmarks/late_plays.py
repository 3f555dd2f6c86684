"""What a night costs if 1 % of its plays are late, of the seven days before, against a night without any.

    PYTHONPATH=. python benchmarks/late_plays.py                             # 2,000 listeners, 10,000 plays a day
    PYTHONPATH=. python benchmarks/late_plays.py --plays-a-day 100000 --users 20000

A night is the ingest of one more day, its sessions and features of listeners; training and neighbours, which cost the
same either way, are left out. Both nights go on from copies of one root and take turns, each in a process of its own,
as a scheduler starts them; with --warm, in one that has done such nights before. The first of each is not counted.
Printed are seconds, CPU seconds of JVM and Python from their start, and bytes written, with their ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median

from made_up_files import SOURCE
from pyspark.sql import SparkSession

from jobs import build_features, build_sessions, ingest_plays
from jobs.publishing.warehouse import Warehouse
from jobs.session import open_session

# With 30 days before, the night's day ends two tiles, and the eight days that late plays touch end sixteen: as many as
# days do on average. Around 2026-01-27, which ends a tile of 4,096 days, they end twenty-four.
FIRST = date(2026, 1, 15)
LATE_DAYS = 7
NAMES = ("seconds", "CPU seconds", "MiB written")

Cost = tuple[float, float, float]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--plays-a-day", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=30, help="that are there before the night")
    parser.add_argument("--late-share", type=float, default=0.01)
    parser.add_argument("--rounds", type=int, default=3, help="the first one is not counted")
    parser.add_argument("--warm", action="store_true", help="nights one after the other in one process")
    parser.add_argument("--night", nargs=3, metavar=("ROOT", "FOLDER", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.night:
        root, *paths = args.night
        folder, file = map(Path, paths)
        spark = open_session("night", folder / "night.log")
        _, _, mib = _measure_night(spark, root, folder, file)
        print(json.dumps((_count_cpu_seconds(spark), mib)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spark = open_session("late-plays", folder / "spark.log")
        packages = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "delta-spark", "deltalake"))
        print(
            f"{args.users:,} listeners, {args.plays_a_day:,} plays a day, {args.days} days before, {os.cpu_count()} "
            f"cores, {packages}"
        )
        nights = _lay_files(folder, args)
        _live(f"{folder}/before", folder, sorted((folder / "history").iterdir()))
        costs: dict[str, list[Cost]] = {each: [] for each in nights}
        for turn in range(args.rounds):
            for each, path in nights.items():
                root = shutil.copytree(f"{folder}/before", f"{folder}/{each}-{turn}")
                measure = _measure_night if args.warm else _measure_fresh_night
                costs[each].append(measure(spark, root, folder, path))
                _describe(root, each, costs[each][-1])
        _compare(costs)


def _lay_files(folder: Path, args: argparse.Namespace) -> dict[str, Path]:
    """A file for each day of before; and for the night one without and one with late plays."""
    (folder / "source.toml").write_text(SOURCE)
    (folder / "history").mkdir()
    draw = random.Random(1)
    for n in range(args.days):
        (folder / "history" / f"{n:03}.csv").write_text("".join(_make_lines(draw, args, n, args.plays_a_day)))
    lines = list(_make_lines(draw, args, args.days, args.plays_a_day))
    count = round(args.plays_a_day * args.late_share)
    # in place of as many of the day's own: both nights have the same number of plays
    late = [
        line
        for n in range(count)
        for line in _make_lines(draw, args, args.days - 1 - n % LATE_DAYS, 1, f"late-{n}-")
    ]
    files = {"none": lines, "late": lines[count:] + late}
    for name, of_file in files.items():
        (folder / f"{name}.csv").write_text("".join(of_file))
    return {name: folder / f"{name}.csv" for name in files}


def _make_lines(
    draw: random.Random, args: argparse.Namespace, day: int, count: int, prefix: str = ""
) -> Iterator[str]:
    midnight = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC) + timedelta(days=day)
    for n in range(count):
        at = (midnight + timedelta(seconds=draw.randrange(86_400))).strftime("%Y-%m-%dT%H:%M:%SZ")
        track = int(draw.paretovariate(0.7)) % 50_000
        user, ms = draw.randrange(args.users), draw.randrange(240_000)
        yield f"{day:04}-{prefix}{n:07},u{user},t{track},a{track % 9000},{at},{ms},240000\n"


def _live(root: str, folder: Path, files: Sequence[Path]) -> None:
    inputs = ["--source", f"{folder}/source.toml", "--input", *map(str, files)]
    assert ingest_plays.main(["--root", root, *inputs]) == 0
    assert build_sessions.main(["--root", root]) == 0
    assert build_features.main(["build-user-features", "--root", root]) == 0


def _measure_fresh_night(_: SparkSession, root: str, folder: Path, file: Path) -> Cost:
    command = [sys.executable, __file__, "--night", root, str(folder), str(file)]
    started = time.perf_counter()
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - started, *json.loads(printed.splitlines()[-1])


def _measure_night(spark: SparkSession, root: str, folder: Path, file: Path) -> Cost:
    before, started = (_count_cpu_seconds(spark), _count_bytes(root)), time.perf_counter()
    _live(root, folder, [file])
    seconds = time.perf_counter() - started
    return seconds, _count_cpu_seconds(spark) - before[0], (_count_bytes(root) - before[1]) / 2**20


def _count_cpu_seconds(spark: SparkSession) -> float:
    pid = spark.sparkContext._jvm.ProcessHandle.current().pid()  # type: ignore[union-attr]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK") + time.process_time()


def _count_bytes(root: str) -> int:
    return sum(path.stat().st_size for path in Path(root, "tables").rglob("*.parquet"))


def _describe(root: str, name: str, cost: Cost) -> None:
    states = {table: Warehouse(root).state(table) for table in ("plays", "sessions", "user_features")}
    rows = ", ".join(f"{state.rows:,} {table}" for table, state in states.items() if state)
    print(f"  {name}: {cost[0]:.1f} s, {cost[1]:.1f} s of CPU, {cost[2]:.1f} MiB written; {rows}", flush=True)


def _compare(costs: dict[str, list[Cost]]) -> None:
    for n, name in enumerate(NAMES):
        none, late = (median(cost[n] for cost in costs[each][1:]) for each in ("none", "late"))
        print(f"{name}: {none:.1f} without late plays, {late:.1f} with them: {late / none:.2f} x")


if __name__ == "__main__":
    main()
