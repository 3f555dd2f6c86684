"""What the gate spends on a batch: Spark jobs and CPU seconds of an audit, against one aggregate written by hand.

    python benchmarks/gate.py                        # a million sessions of one day, three rounds: about three minutes
    python benchmarks/gate.py --no-defaults          # without Great Expectations as it comes, which takes the longest

    ours          rows, keys and content hash, and 20 or 60 expectations: all that publishing looks at
    by hand       the same 20 or 60 checks in one `DataFrame.agg`: alone; and with keys and content hash too,
                  by one aggregate for each
    as it comes   the 20 checks by Great Expectations' own expectations, with its own settings

CPU seconds are of this process, the JVM and Spark's Python workers; a round comes before those that count. All read
the same Parquet files. On two cores nothing else should run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation
    from pyspark.sql import Column, DataFrame

PACKAGES = ("pyspark", "great-expectations", "delta-spark")
SIZES = (20, 60)
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Check:
    """One check three times: as an expectation of the gate, by hand, and by Great Expectations' own means."""

    ours: Expectation
    by_hand: Column
    as_it_comes: Expectation


def make_checks(size: int) -> list[Check]:
    """Of each kind in turn. Each turn has another column or other limits, so that nothing is computed twice."""
    kinds = (check_not_null, check_set, check_limits, check_order, check_bucket)
    return [kinds[n % len(kinds)](n // len(kinds)) for n in range(size)]


def check_not_null(turn: int) -> Check:
    import great_expectations.expectations as gxe
    from pyspark.sql import functions as F

    from schemas.sessions import SESSIONS

    column = SESSIONS.names[turn]
    expectation = gxe.ExpectColumnValuesToNotBeNull(column=column)
    return Check(expectation, F.count_if(F.col(column).isNull()), expectation)


def check_set(turn: int) -> Check:
    import great_expectations.expectations as gxe
    from pyspark.sql import functions as F

    column, absent = ("play_id", "user_id", "track_id", "session_id")[turn % 4], f"absent {turn}"
    expectation = gxe.ExpectColumnValuesToNotBeInSet(column=column, value_set=[absent])
    return Check(expectation, F.count_if(F.col(column).isin(absent)), expectation)


def check_limits(turn: int) -> Check:
    import great_expectations.expectations as gxe
    from pyspark.sql import functions as F

    from expectations.contracts import expect_within

    column, low, high = ("ms_played", "track_ms", "position", "completion")[turn % 4], -1 - turn, 10**9
    is_outside = (F.col(column) < low) | (F.col(column) > high)
    return Check(
        expect_within(column, "", low, high),
        F.struct(F.count_if(is_outside), F.min(column), F.max(column)),
        gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high),
    )


def check_order(turn: int) -> Check:
    """By its own means, the same pair each turn: it has no room for the interval."""
    import great_expectations.expectations as gxe
    from pyspark.sql import functions as F

    from expectations.contracts import expect_rows

    condition = f"session_started_at <= played_at + interval {turn} seconds"
    return Check(
        expect_rows("played_at", condition, "not before its session"),
        F.count_if(~F.expr(condition)),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="played_at", column_B="session_started_at", or_equal=True
        ),
    )


def check_bucket(turn: int) -> Check:
    import great_expectations.expectations as gxe
    from pyspark.sql import functions as F

    from expectations.contracts import expect_rows

    high = 64 + turn
    return Check(
        expect_rows("bucket", f"bucket between 0 and {high}", "in its range"),
        F.count_if(~F.col("bucket").between(0, high)),
        gxe.ExpectColumnValuesToBeBetween(column="bucket", min_value=0, max_value=high),
    )


def audit(df: DataFrame, checks: Sequence[Check]) -> None:
    """As `jobs.publishing.protocol.audit` does it."""
    from expectations.gate import audit_batch
    from expectations.profile import profile
    from expectations.suite import Suite
    from jobs.session import plan_at_once
    from schemas.sessions import SESSIONS

    with plan_at_once(df.sparkSession):
        suite = Suite("sessions", tuple(check.ours for check in checks))
        verdict = audit_batch(df, suite, profile(df, SESSIONS), {})
    assert len(verdict.results) == len(checks) and not verdict.failures, verdict.failures


def audit_by_hand(df: DataFrame, checks: Sequence[Check]) -> None:
    df.agg(*[check.by_hand for check in checks]).collect()


def audit_and_profile_by_hand(df: DataFrame, checks: Sequence[Check]) -> None:
    """With keys and a hash of each day's rows: what a batch is refused by, and known by."""
    from pyspark.sql import functions as F

    audit_by_hand(df, checks)
    hash_of_row = F.xxhash64(*[name for name in df.columns if name != "available_at"])
    df.groupBy("ds").agg(F.count("*"), F.sum(F.pmod(hash_of_row, F.lit(2**31)))).collect()
    df.agg(F.count_distinct(F.xxhash64("play_id"))).collect()


def audit_as_it_comes(df: DataFrame, checks: Sequence[Check]) -> None:
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_spark("spark").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": df})
    suite = gx.ExpectationSuite("suite", expectations=[check.as_it_comes for check in checks])
    assert batch.validate(suite).success
    # it caches the batch, and never lets go of it
    df.sparkSession.catalog.clearCache()


def measure(df: DataFrame, label: str, run: Callable[[], None], rounds: int) -> tuple[float, int]:
    """Median CPU seconds, and Spark jobs of one round."""
    context, seconds, jobs = df.sparkSession.sparkContext, [], 0
    for _ in range(rounds + 1):
        # of its own each time: Spark counts all jobs of a group, whenever they ran
        group = str(uuid4())
        context.setJobGroup(group, "")
        before = read_cpu_seconds()
        run()
        seconds.append(read_cpu_seconds() - before)
        jobs = len(context.statusTracker().getJobIdsForGroup(group))
    counted = ", ".join(f"{each:.1f}" for each in seconds[1:])
    print(f"  {label:<46}{jobs:>5} jobs {median(seconds[1:]):>8.1f} s CPU   ({counted})", flush=True)
    return median(seconds[1:]), jobs


def read_cpu_seconds() -> float:
    """Of this process and of all below it, those that ended included."""
    parents: dict[int, tuple[int, int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            # parent; user, system, and the same of children that ended
            parents[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    below, ticks = [os.getpid()], 0
    while below:
        pid = below.pop()
        ticks += parents[pid][1] if pid in parents else 0
        below += [child for child, (parent, _) in parents.items() if parent == pid]
    return ticks / TICKS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-defaults", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        compare(args, Path(folder))


def compare(args: argparse.Namespace, folder: Path) -> None:
    from made_up import generate_sessions

    from jobs.session import open_session
    from schemas.sessions import SESSIONS

    spark = open_session("segue-gate", folder / "spark.log")
    generate_sessions(spark, args.rows, args.days, str(folder / "made up")).write.partitionBy("ds").parquet(
        str(folder / "rows")
    )
    # with the schema, as the gate reads staged files
    df = spark.read.schema(SESSIONS.struct()).parquet(str(folder / "rows")).select(*SESSIONS.names)
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    print(
        f"{args.rows:,} rows, {len(SESSIONS.names)} columns, {args.days} days; {os.cpu_count()} cores, {packages}"
    )
    for size in SIZES:
        checks = make_checks(size)
        print(f"\n{size} checks", flush=True)
        ours, _ = measure(df, "ours", lambda checks=checks: audit(df, checks), args.rounds)
        for label, by_hand in (
            ("by hand: checks", audit_by_hand),
            ("by hand: checks, keys and content hash", audit_and_profile_by_hand),
        ):
            seconds, _ = measure(
                df, label, lambda by_hand=by_hand, checks=checks: by_hand(df, checks), args.rounds
            )
            print(f"  {'':<46}ours costs {ours / seconds:.2f} of it")
    if not args.no_defaults:
        print(f"\nGreat Expectations as it comes, {SIZES[0]} checks")
        checks = make_checks(SIZES[0])
        measure(df, "as it comes", lambda: audit_as_it_comes(df, checks), args.rounds)
    spark.stop()


if __name__ == "__main__":
    main()
