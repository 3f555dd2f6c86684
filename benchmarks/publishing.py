"""What a gated, atomic, reversible publication costs beside a plain Delta write of the same rows.

    python benchmarks/publishing.py --rows 10000000

Rounds take turns, each on a table of its own; medians are printed with versions, rows and cores. The
plain write is measured twice: as the rows come, and laid out as Segue lays them out (by day and
bucket, sorted), which is what a look-up needs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import TYPE_CHECKING

from made_up import FIRST, generate_sessions
from stopwatch import Times, stopwatch, time_functions

import jobs.job as job_module
from expectations.profile import profile_days
from jobs.job import Job
from jobs.publishing import protocol, staging
from jobs.publishing.batches import folder as folder_of
from jobs.publishing.batches import reserve
from jobs.publishing.layout import plan_layout
from jobs.session import open_session
from schemas.sessions import SESSIONS
from segue.releases import TableVersion, append_release, list_releases

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--releases", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spark = open_session("publishing", Path(folder, "spark.log"))
        rows = generate_sessions(spark, args.rows, args.days, f"{folder}/rows")
        times: Times = defaultdict(list)
        for turn in range(-1, args.rounds):  # the first warms up, and does not count
            _run_round(spark, rows, folder, {} if turn < 0 else times)
            print(f"  round {turn + 1} of {args.rounds} done", file=sys.stderr)
        _time_releases(folder, args.releases, times)
    _print(args, times)


def _run_round(spark: SparkSession, rows: DataFrame, folder: str, times: Times) -> None:
    _write_plain(rows, f"{folder}/plain", times, "plain Delta write")
    root = f"{folder}/root"
    job = Job("benchmark", root, "run-benchmark", say=lambda text: None)
    days = [FIRST + timedelta(days=n) for n in range(rows.select("ds").distinct().count())]
    batch = job.batch("sessions", days, deterministic=False)
    layout = plan_layout(None, batch)
    _write_plain(
        staging._cluster_by_bucket(rows, SESSIONS, layout),
        f"{folder}/laid-out",
        times,
        "plain Delta write, laid out",
    )
    with stopwatch(times, "stage"):
        batch = reserve(job.warehouse, batch)
        staging.write(staging._cluster_by_bucket(rows, SESSIONS, layout), folder_of(job.warehouse, batch))
    with stopwatch(times, "content hash"):
        profile_days(spark.read.format("delta").load(folder_of(job.warehouse, batch)), SESSIONS)
    parts: dict[str, tuple[ModuleType, str]] = {
        "audit: expectations": (protocol, "audit_batch"),
        "audit: keys and content hash": (protocol, "profile"),
        "commit": (job_module, "commit"),
    }
    with time_functions(parts, times), stopwatch(times, "whole publication"):
        job.publish(job.batch("sessions", days, deterministic=False), rows)
    with stopwatch(times, "rerun with nothing to do"):
        rerun = Job("benchmark", root, "run-again", say=lambda text: None)
        assert rerun.publish(rerun.batch("sessions", days, deterministic=False), rows).kind == "unchanged"
    shutil.rmtree(root)


def _write_plain(rows: DataFrame, path: str, times: Times, name: str) -> None:
    from pyspark.sql import functions as F

    columns = [name for name in rows.columns if name != "available_at"]
    with stopwatch(times, name):
        rows.select(*columns).withColumn("bucket", F.col("bucket")).write.format("delta").partitionBy(
            "ds"
        ).save(path)
    shutil.rmtree(path)


def _time_releases(folder: str, count: int, times: Times) -> None:
    """The commands, as a person calls them, where many releases were made."""
    root = f"{folder}/many"
    shutil.copytree(_create_table(folder), f"{root}/tables/sessions")
    for n in range(count):
        append_release(root, FIRST + timedelta(days=n // 3), {"sessions": TableVersion(0, 0, "0" * 16)})
    oldest = list_releases(root)[-1].release_id
    for _ in range(5):
        for arguments in (["releases"], ["rollback", oldest]):
            with stopwatch(times, f"segue {arguments[0]}, {count:,} releases"):
                command = [sys.executable, "-m", "segue.command", *arguments, "--root", root]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            oldest = list_releases(root)[1].release_id


def _create_table(folder: str) -> str:
    from jobs.publishing.warehouse import Warehouse

    warehouse = Warehouse(f"{folder}/one")
    warehouse.create(SESSIONS)
    return warehouse.table_path("sessions")


def _print(args: argparse.Namespace, times: Times) -> None:
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "delta-spark", "deltalake"))
    print(
        f"\n{args.rows:,} rows, {args.days} days, {os.cpu_count()} cores, {packages}; medians of {args.rounds}\n"
    )
    medians = {name: median(seconds) for name, seconds in times.items()}
    for name, seconds in times.items():
        print(f"  {name:<34}{medians[name]:>8.2f} s   ({', '.join(f'{each:.2f}' for each in seconds)})")
    ours = medians["stage"] + medians["content hash"] + medians["commit"]
    for peer in ("plain Delta write", "plain Delta write, laid out"):
        print(f"\n  stage + content hash + commit / {peer}: {ours / medians[peer]:.2f}")
    audit = medians["audit: expectations"] + medians["audit: keys and content hash"]
    print(f"  the whole audit / plain Delta write: {audit / medians['plain Delta write']:.2f}")


if __name__ == "__main__":
    main()
