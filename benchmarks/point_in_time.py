"""What a point-in-time join costs beside Feast on Spark and DuckDB's ASOF JOIN, on the same Parquet files.

    python benchmarks/point_in_time.py --feast-python path/to/python --only even

Feast and DuckDB live in a Python of their own (feast[spark], duckdb, pyspark of our version). Rows are
compared by checksum before anything is timed; then rounds take turns, the first of which warms up and
does not count. Each side gets two cores and the same session settings; medians are printed,
of seconds and of CPU seconds, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from gate import read_cpu_seconds

from features.joins.point_in_time import FeatureTable, PublishedDay, point_in_time_join

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FIRST = date(2026, 1, 1)
DAYS = 30
SPAN = (DAYS + 1) * 86400 * 1_000_000  # labels lie within, so some come before the first row
COLUMNS = tuple(f"f{n}" for n in range(10))
# Features are whole numbers, so that their weighted sums are the same in whatever order they are added.
CHECK = ["CAST(count(*) AS DOUBLE)"] + [
    f"CAST(sum(coalesce({column}, -1) * ((label_id + {n}) % 1009)) AS DOUBLE)"
    for n, column in enumerate(COLUMNS)
]
SETTINGS = {
    "spark.master": "local[2]",
    "spark.driver.memory": "4g",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "8",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # as in our own sessions: else what makes a wide row is interpreted, as the JVM compiles no method of its length
    "spark.driver.extraJavaOptions": "-XX:-DontCompileHugeMethods",
    # else each column that is made asks the JVM several times
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.sql.dataFrameQueryContext.enabled": "false",
}
Run = Callable[[], float]


def main() -> None:
    args = _parse_arguments()
    settings = SETTINGS | ({"spark.driver.memory": "2g"} if args.large else {})
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        spark = _session(settings)
        bench = Bench(spark, Path(folder), args, _peer(args, settings, folder))
        for name in ["large"] if args.large else args.only or ["even", "hot", "eight", "half"]:
            print(f"\n{name}: {CASES[name].__doc__}", flush=True)
            CASES[name](bench)
        spark.stop()


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=sorted(set(CASES) - {"large"}))
    parser.add_argument("--large", action="store_true", help="30 M rows, 3 M labels, driver of 2 GiB")
    parser.add_argument("--scale", type=float, default=1.0, help="of users and labels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--feast-python", help="without it, only our own cases are compared")
    parser.add_argument("--feast-timeout", type=float, default=600.0, help="seconds for one run")
    parser.add_argument("--folder", help="where files go; removed at the end")
    return parser.parse_args()


def _session(settings: dict[str, str]) -> SparkSession:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("point-in-time")
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


# --- the other Python


class Peer:
    """Feast and DuckDB, at the other end of a pipe."""

    def __init__(self, python: str, settings: dict[str, str], folder: str, timeout: float) -> None:
        self.command = [
            python,
            str(Path(__file__).with_name("point_in_time_feast.py")),
            folder,
            json.dumps(settings),
        ]
        self.timeout = timeout
        self._start()

    def _start(self) -> None:
        log = os.open(Path(self.command[2], "peer.log"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
        os.close(log)
        self.versions = self._answer(120)

    def ask(self, **order: Any) -> dict[str, Any] | None:
        """The answer, or None if there is none in time; the next order goes to a new process then."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        answer = self._answer(self.timeout)
        if answer is None:
            self.process.kill()
            self.process.wait()
            self._start()
        return answer

    def _answer(self, seconds: float) -> dict[str, Any] | None:
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready and self.process.stdout else b""
        if ready and not line:
            raise SystemExit(f"the peer died:\n{Path(self.command[2], 'peer.log').read_text()[-3000:]}")
        return json.loads(line) if line else None


def _peer(args: argparse.Namespace, settings: dict[str, str], folder: str) -> Peer | None:
    peer = Peer(args.feast_python, settings, folder, args.feast_timeout) if args.feast_python else None
    versions = {"pyspark": version("pyspark"), "cores": os.cpu_count(), "load": os.getloadavg()}
    print({**versions, "peer": peer.versions if peer else None})
    return peer


# --- data


class Bench:
    """Files of this run, written when first asked for, and the two ways to time a run over them."""

    def __init__(
        self, spark: SparkSession, folder: Path, args: argparse.Namespace, peer: Peer | None
    ) -> None:
        self.spark, self.folder, self.args, self.peer = spark, folder, args, peer

    def rows(self, users: int, hot: float = 0.0, table: int = 0) -> str:
        """Users x 30 days at midnight; with `hot`, that share of as many rows is user 0, at any time.

        Each `table` has other values.
        """
        users = int(users * self.args.scale)
        size = users * DAYS
        path = self.folder / f"rows-{users}-{hot}-{table}"
        if not path.exists():
            at = _micros_of_hot_key(size, hot, f"(id div {users} + 1) * 86400000000")
            seeds = {name: 100 * table + n + 9 for n, name in enumerate(COLUMNS)}
            self._write(size, hot, users, f"id % {users}", at, "feature_at", seeds, path)
        return str(path)

    def labels(self, users: int, size: int, hot: float = 0.0) -> str:
        users, size = int(users * self.args.scale), int(size * self.args.scale)
        path = self.folder / f"labels-{users}-{size}-{hot}"
        if not path.exists():
            at = _micros_of_hot_key(size, hot, f"pmod(xxhash64(id, 1), {SPAN})")
            self._write(size, hot, users, f"pmod(xxhash64(id), {users})", at, "label_at", {}, path)
        return str(path)

    def _write(
        self,
        size: int,
        hot: float,
        users: int,
        user: str,
        at: str,
        name: str,
        seeds: Mapping[str, int],
        path: Path,
    ) -> None:
        from pyspark.sql import functions as F

        rows = self.spark.range(size).select(
            *([] if seeds else [F.col("id").alias("label_id")]),
            F.expr(f"if(id < {int(size * hot)}, 0, {user})").alias("user_id"),
            F.expr(f"timestamp_micros({_micros(FIRST)} + {at})").alias(name),
            *[
                F.expr(f"cast(pmod(xxhash64(id, {seed}), 1048576) as double)").alias(column)
                for column, seed in seeds.items()
            ],
        )
        if seeds:
            rows = rows.withColumn("ds", F.date_sub(F.to_date(name), 1))
        rows.write.parquet(str(path))

    # --- runs

    def ours(self, labels: str, *rows: str, daily: bool = False) -> DataFrame:
        """The labels with a table for each of the `rows`."""
        read = self.spark.read.parquet
        days = tuple(_published_day(n) for n in range(DAYS)) if daily else None
        tables_of_labels = [
            FeatureTable(f"t{n}", read(path), ("user_id",), COLUMNS, published_days=days)
            for n, path in enumerate(rows)
        ]
        return point_in_time_join(read(labels), tables_of_labels)

    def time_ours(self, labels: str, *rows: str, **options: Any) -> Run:
        def run() -> float:
            start = time.perf_counter()
            self.ours(labels, *rows, **options).write.format("noop").mode("overwrite").save()
            return time.perf_counter() - start

        return run

    def time_reading(self, *rows: str) -> Run:
        """All that these files hold, decoded and nothing more: what no join of them can be faster than."""

        def run() -> float:
            start = time.perf_counter()
            for path in rows:
                self.spark.read.parquet(path).write.format("noop").mode("overwrite").save()
            return time.perf_counter() - start

        return run

    def time_peer(self, what: str, labels: str, rows: str) -> Run:
        def run() -> float:
            answer = self._ask(what, labels, rows, [])
            return answer["seconds"] if answer else float("inf")

        return run

    def _ask(self, what: str, labels: str, rows: str, check: list[str]) -> dict[str, Any] | None:
        assert self.peer
        return self.peer.ask(what=what, labels=labels, rows=rows, columns=COLUMNS, check=check)

    def against_peers(self, labels: str, rows: str, ours: dict[str, dict[str, Any]]) -> None:
        """Checksums first; then ours and theirs in turns."""
        sums = {name: self._sums(self.ours(labels, rows, **options)) for name, options in ours.items()}
        runs = {name: self.time_ours(labels, rows, **options) for name, options in ours.items()}
        for what in ("feast", "duckdb") if self.peer else ():
            if not self.peer.versions[what]:
                continue
            answer = self._ask(what, labels, rows, CHECK)
            sums |= {what: answer["result"]} if answer else {}
            runs |= {what: self.time_peer(what, labels, rows)} if answer else {what: lambda: float("inf")}
        assert len({tuple(each) for each in sums.values()}) == 1, f"not the same rows: {sums}"
        print(f"  same rows: {', '.join(sums)}; {int(next(iter(sums.values()))[0]):,} labels", flush=True)
        self.take_turns(runs)

    def _sums(self, joined: DataFrame) -> list[float]:
        from pyspark.sql import functions as F

        plain = joined.select("label_id", *[F.col(f"t0__{column}").alias(column) for column in COLUMNS])
        return [float(value) for value in plain.agg(*[F.expr(text) for text in CHECK]).first()]

    def take_turns(self, runs: dict[str, Run]) -> None:
        times: dict[str, list[float]] = defaultdict(list)
        cpu_times: dict[str, list[float]] = defaultdict(list)
        for turn in range(-1, self.args.rounds):
            for name, run in runs.items():
                before, seconds = read_cpu_seconds(), run()
                if turn >= 0:
                    times[name].append(seconds)
                    cpu = read_cpu_seconds() - before
                    cpu_times[name].append(cpu if seconds < float("inf") else seconds)
            print(
                f"    round {turn + 1} of {self.args.rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr
            )
        self._print(times)
        print("  CPU:")
        self._print(cpu_times)

    def _print(self, times: dict[str, list[float]]) -> None:
        (first, base), *others = times.items()
        print(f"  {first:<28}{median(base):>8.2f} s   ({', '.join(f'{each:.2f}' for each in base)})")
        for name, seconds in others:
            ratios = [other / ours for ours, other in zip(base, seconds, strict=True)]
            if max(ratios) == float("inf"):
                least = self.args.feast_timeout
                print(f"  {name:<28} did not end within {least:.0f} s (ratio > {least / median(base):.0f})")
                continue
            every = ", ".join(f"{each:.2f}" for each in seconds)
            print(f"  {name:<28}{median(seconds):>8.2f} s   ({every}), {median(ratios):.2f} times {first}")
        sys.stdout.flush()


def _micros_of_hot_key(size: int, hot: float, otherwise: str) -> str:
    """Microseconds after the first midnight: of user 0 evenly over all days, no two the same."""
    return f"if(id < {int(size * hot)}, id * {SPAN // max(1, int(size * hot))} + 1, {otherwise})"


def _micros(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def _published_day(n: int) -> PublishedDay:
    ds = FIRST + timedelta(days=n)
    return PublishedDay(ds, datetime(ds.year, ds.month, ds.day, tzinfo=UTC) + timedelta(days=1))


# --- cases


def even(bench: Bench) -> None:
    """120,000 users x 30 days x 10 features, 300,000 labels."""
    rows, labels = bench.rows(120_000), bench.labels(120_000, 300_000)
    bench.against_peers(labels, rows, {"by day": {"daily": True}, "as of": {}})


def hot(bench: Bench) -> None:
    """The same, but 5 % of both sides are one user's, at any time."""
    rows, labels = bench.rows(120_000, 0.05), bench.labels(120_000, 300_000, 0.05)
    bench.against_peers(labels, rows, {"as of": {}})


def eight(bench: Bench) -> None:
    """Eight such tables, of other values each, beside one; and all eight read, without a join."""
    labels = bench.labels(120_000, 300_000)
    rows = [bench.rows(120_000, table=n) for n in range(8)]
    for daily, name in ((True, "by day"), (False, "as of")):
        joins = {f"{n} {name}": bench.time_ours(labels, *rows[:n], daily=daily) for n in (1, 8)}
        bench.take_turns({**joins, "8 read alone": bench.time_reading(*rows)})


def half(bench: Bench) -> None:
    """As many rows and labels, half of both one user's, beside the even ones."""
    runs = {
        name: bench.time_ours(bench.labels(120_000, 300_000, share), bench.rows(120_000, share))
        for name, share in (("even", 0.0), ("half on one key", 0.5))
    }
    bench.take_turns(runs)


def large(bench: Bench) -> None:
    """1,000,000 users x 30 days, 3,000,000 labels."""
    rows, labels = bench.rows(1_000_000), bench.labels(1_000_000, 3_000_000)
    bench.take_turns(
        {
            name: bench.time_ours(labels, rows, daily=daily)
            for name, daily in (("by day", True), ("as of", False))
        }
    )


CASES: dict[str, Callable[[Bench], None]] = {case.__name__: case for case in (even, hot, eight, half, large)}


if __name__ == "__main__":
    main()
