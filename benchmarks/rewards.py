"""What the rewards of a night cost beside its partials of pairs: the newest day, and those whose horizons pass;
and the traces of its discoveries.

    python benchmarks/rewards.py                               # a few minutes
    python benchmarks/rewards.py --plays-a-day 500 --nights 1

A history of as many days as the longest horizon is made first, which is not timed. The bound is a ratio of 1.5.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

# before anything of ours is imported: declarations are read once
os.environ["SEGUE_DECLARATIONS"] = str(Path(__file__).with_name("reward_declarations.py"))

from made_up import generate_sessions
from stopwatch import Times, stopwatch

from jobs import build_discovery_traces, build_features, build_play_rewards
from jobs.job import Job
from jobs.publishing.warehouse import Warehouse
from jobs.session import open_session
from schemas import REWARD_TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FIRST = date(2025, 1, 1)
HISTORY = max(reward.days for reward in REWARD_TABLES[0].rewards) + 2
BOUND = 1.5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--plays-a-day", type=int, default=5_000)
    parser.add_argument("--nights", type=int, default=3)
    args = parser.parse_args()
    days = HISTORY + args.nights
    with tempfile.TemporaryDirectory() as folder:
        spark = open_session("rewards", Path(folder, "spark.log"))
        packages = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "delta-spark"))
        print(f"{args.plays_a_day:,} plays a day, {os.cpu_count()} cores, {packages}")
        rows = generate_sessions(spark, days * args.plays_a_day, days, f"{folder}/plays", args.users, FIRST)
        times: Times = {}
        for night, (first, last) in enumerate([(0, HISTORY), *((n, n + 1) for n in range(HISTORY, days))]):
            _run_night(f"{folder}/root", rows, first, last, times if night else {})
        spark.stop()
    _print(times)


def _run_night(root: str, rows: DataFrame, first: int, last: int, times: Times) -> None:
    _publish(root, rows, [FIRST + timedelta(days=n) for n in range(first, last)])
    build_features.main(["build-user-features", "--root", root])
    for label, step in (
        ("pair partials", lambda: build_features.main(["build-pair-partials", "--root", root])),
        ("rewards", lambda: build_play_rewards.main(["--root", root])),
    ):
        before = Warehouse(root).state("play_rewards")
        with stopwatch(times, label):
            step()
    with stopwatch(times, "traces"):
        build_discovery_traces.main(["--root", root])
    after, known = Warehouse(root).state("play_rewards"), before.day_states if before else {}
    made = [each for day, each in after.day_states.items() if each != known.get(day)] if after else []
    print(f"  to day {last}: rewards of {sum(each.rows for each in made):,} plays of {len(made)} days")


def _publish(root: str, rows: DataFrame, days: list[date]) -> None:
    from pyspark.sql import functions as F

    job = Job("benchmark", root, f"run-{days[-1]}", say=lambda text: None)
    of_days = rows.where(F.col("ds").isin(days))
    job.publish(job.batch("sessions", days, deterministic=False), of_days)
    plays = of_days.drop("session_id", "session_started_at", "position", "completion", "is_bot")
    source = {"source": F.lit("made up"), "source_session_id": F.lit(None).cast("string")}
    job.publish(job.batch("plays", days, deterministic=False), plays.withColumns(source))


def _print(times: Times) -> None:
    for label in ("rewards", "traces"):
        ratio = median(times[label]) / median(times["pair partials"])
        verdict = "" if ratio <= BOUND else f": more than {BOUND}"
        print(f"{label} of a night against its partials of pairs: {ratio:.2f}{verdict}")
    for label, each in times.items():
        print(f"  {label}: {' '.join(f'{seconds:.2f}' for seconds in each)} s")


if __name__ == "__main__":
    main()
