"""What it costs that an expression of a source may raise: plays read and checked, with and without it.

python benchmarks/row_faults.py --rows 2000000
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median
from time import perf_counter

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from features import ingest
from jobs.session import open_session

COLUMNS = {
    "play_id": "id",
    "user_id": "who",
    "track_id": "lower(what)",
    "played_at": "timestamp_seconds(cast(at as bigint))",
    "ms_played": "cast(seconds as bigint) * 1000",
}
ELIMINATION = "spark.sql.subexpressionElimination.enabled"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    spark = open_session("row faults")
    rows = _make_rows(spark, args.rows).persist()
    rows.count()
    seconds: dict[str, list[float]] = {"bare": [], "caught": []}
    for _ in range(args.rounds + 1):
        with _read_bare(spark):
            seconds["bare"].append(_measure(lambda: _parse(rows)))
        spark.conf.set(ELIMINATION, "false")
        seconds["caught"].append(_measure(lambda: _parse(rows)))
    # the first round compiles
    bare, caught = (median(times[1:]) for times in seconds.values())
    print(f"{args.rows:,} rows: bare {bare:.2f} s, caught {caught:.2f} s, {caught / bare:.2f} x")
    spark.stop()


def _make_rows(spark: SparkSession, count: int) -> DataFrame:
    texts = {
        "id": "concat('p', id)",
        "who": "concat('u', id % 5000)",
        "what": "concat('T', id % 20000)",
        "at": "cast(1793527200 + id % 864000 as string)",
        "seconds": "cast(id % 300 as string)",
        ingest.RAW: "concat('p', id)",
        ingest.FILE: "'f.csv'",
        ingest.BROKEN: "false",
        ingest.IS_HEADER: "false",
    }
    return spark.range(count).selectExpr(*[f"{sql} as {name}" for name, sql in texts.items()])


def _parse(rows: DataFrame) -> DataFrame:
    return ingest.parse_and_validate_plays(rows, COLUMNS, "test", datetime(2026, 12, 1, tzinfo=UTC))


def _measure(make: Callable[[], DataFrame]) -> float:
    started = perf_counter()
    make().write.format("noop").mode("overwrite").save()
    return perf_counter() - started


@contextmanager
def _read_bare(spark: SparkSession) -> Iterator[None]:
    """Expressions as they stand: one that raises ends the job."""
    caught = ingest.attempt

    def attempt(expression: str) -> Column:
        return F.coalesce(F.expr(expression).cast("string"), F.lit(""))

    spark.conf.set(ELIMINATION, "true")
    ingest.attempt = attempt
    try:
        yield
    finally:
        ingest.attempt = caught


if __name__ == "__main__":
    main()
