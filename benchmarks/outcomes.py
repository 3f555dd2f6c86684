"""What outcomes cost beside the same features looking back, for the same labels of the same plays.

    python benchmarks/outcomes.py                              # a few minutes
    python benchmarks/outcomes.py --plays-a-day 2000 --rounds 1

Labels are plays in the middle of the history, so that both ways have plays on all days. Before anything is timed,
outcomes of labels are compared with features of the same labels, moved on by the horizon: these are of one window.
Rounds take turns, the first of which warms up; rows are made and written nowhere. The bound is a ratio of 1.2.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from made_up import generate_sessions
from stopwatch import Times, stopwatch

from features.windows.label_time import LabelTimeFeatures, label_time_features
from jobs import build_features
from jobs.group_events import find_events
from jobs.job import Job
from jobs.session import open_session
from schemas.outcomes import Outcome, outcome_groups
from schemas.pair_features import USER_TRACK_FEATURE_GROUP as GROUP

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FIRST, HORIZON, LABEL_DAYS = date(2025, 1, 1), 30, 14
DAYS = HORIZON + LABEL_DAYS + HORIZON
COLUMNS = ("plays_count_7d", "plays_count_30d", "completion_mean_30d", "skips_rate_30d")
BOUND = 1.2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--plays-a-day", type=int, default=30_000)
    parser.add_argument("--labels", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spark = open_session("outcomes", Path(folder, "spark.log"))
        packages = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "delta-spark"))
        print(f"{args.plays_a_day:,} plays a day on {DAYS} days, {os.cpu_count()} cores, {packages}")
        rows = generate_sessions(spark, DAYS * args.plays_a_day, DAYS, f"{folder}/plays", args.users, FIRST)
        job = _publish(f"{folder}/root", rows)
        labels = _make_labels(rows, args.labels, f"{folder}/labels")
        _check_same(job, labels)
        _compare(job, labels, args.rounds)
        spark.stop()


def _publish(root: str, rows: DataFrame) -> Job:
    job = Job("benchmark", root, "run-benchmark", say=lambda text: None)
    job.publish(job.batch("sessions", _days(0, DAYS), deterministic=False), rows)
    build_features.main(["build-pair-partials", "--root", root])
    return Job("benchmark", root, "run-labels", say=lambda text: None)


def _days(first: int, last: int) -> list[date]:
    return [FIRST + timedelta(days=n) for n in range(first, last)]


def _make_labels(rows: DataFrame, count: int, path: str) -> DataFrame:
    from pyspark.sql import functions as F

    plays = rows.where(F.col("ds").isin(_days(HORIZON, HORIZON + LABEL_DAYS)))
    labels = plays.select("user_id", "track_id", "play_id", F.col("played_at").alias("label_at"))
    labels.orderBy(F.xxhash64("play_id")).limit(count).write.parquet(path)
    return rows.sparkSession.read.parquet(path)


def _join(
    job: Job, labels: DataFrame, columns: Sequence[str], days: Sequence[date], ahead: bool
) -> DataFrame:
    group = GROUP
    if ahead:
        (group,) = outcome_groups([Outcome.parse(f"{GROUP.table}:{name}") for name in columns], [GROUP])
    request = LabelTimeFeatures(group, tuple(columns), tuple(days), ahead)
    partials = job.read(GROUP.partials_table, request.partial_days)
    plays = find_events(job, GROUP, request.play_days).rows()
    return label_time_features(labels, partials, plays, request, "label_at")


def _check_same(job: Job, labels: DataFrame) -> None:
    """Of labels that do not say which play they are: outcomes leave that one out."""
    from pyspark.sql import functions as F

    label_days = (HORIZON, HORIZON + LABEL_DAYS)
    keys = labels.select("user_id", "track_id", "label_at")
    moved = keys.withColumn("label_at", F.col("label_at") + F.expr(f"interval {24 * HORIZON} hours"))
    name = f"{GROUP.table}__plays_count"
    outcomes = _join(job, keys, ["plays_count_30d"], _days(*label_days), True)
    features = _join(job, moved, ["plays_count_30d"], _days(*(n + HORIZON for n in label_days)), False)
    totals = [
        rows.agg(F.sum(column), F.sum(F.col(column) * F.col(column))).collect()[0]
        for rows, column in ((outcomes, f"{name}_next_30d"), (features, f"{name}_30d"))
    ]
    assert totals[0] == totals[1] and totals[0][0], f"{totals}: look at features/windows/label_time.py"
    print(f"  outcomes are the features of {HORIZON} days later: {totals[0][0]:,} plays of the labels' pairs")


def _compare(job: Job, labels: DataFrame, rounds: int) -> None:
    times: Times = {}
    days = _days(HORIZON, HORIZON + LABEL_DAYS)
    for turn in range(-1, rounds):  # the first warms up, and does not count
        for label, ahead in (("back", False), ("ahead", True)):
            with stopwatch(times if turn >= 0 else {}, label):
                _join(job, labels, COLUMNS, days, ahead).write.format("noop").mode("overwrite").save()
    ratio = median(times["ahead"]) / median(times["back"])
    seconds = [" ".join(f"{each:.2f}" for each in times[label]) for label in ("ahead", "back")]
    verdict = "" if ratio <= BOUND else f": more than {BOUND}"
    print(f"  {labels.count():,} labels, outcomes against features: {ratio:.2f}{verdict}")
    print(f"  {seconds[0]} s against {seconds[1]} s")


if __name__ == "__main__":
    main()
