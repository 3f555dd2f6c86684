"""What a feature costs that is declared later, against making its group again, for a group with a history.

    python benchmarks/feature_addition.py                       # 120 days, a few minutes
    python benchmarks/feature_addition.py --users 300 --plays-a-day 1000

Whole steps are measured as they run at night, audits and commits included. CPU is that of the JVM and of this process;
bytes are those read from files, shuffled, and written to files. Both ways must end with equal content hashes before
a figure is printed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

from made_up import FIRST, generate_sessions
from pyspark.sql import SparkSession

import jobs.build_features
from expectations import feature_groups, lineage
from jobs.job import Job
from jobs.publishing.warehouse import Warehouse
from jobs.session import open_session
from schemas import CONTRACTS, FeatureGroup
from schemas.declarations import Feature
from schemas.user_features import USER_FEATURE_GROUP

ADDED = {
    # all that it needs is there
    "a window more": Feature("plays", "count", "play_id", "plays", ("14d",)),
    "a part more": Feature("longest", "max", "ms_played", "longest play", ("7d", "30d")),
}


@dataclass(frozen=True)
class Cost:
    """Of one step."""

    seconds: float
    cpu_seconds: float
    read: int
    shuffled: int
    written: int

    @property
    def bytes(self) -> int:
        return self.read + self.shuffled + self.written

    def __str__(self) -> str:
        megabytes = [f"{each / 2**20:.1f}" for each in (self.read, self.shuffled, self.written)]
        return (
            f"{self.seconds:.1f} s, {self.cpu_seconds:.1f} s of CPU, MiB read, shuffled, written: "
            f"{', '.join(megabytes)}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--plays-a-day", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument("--only", choices=ADDED)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        spark = open_session("feature-addition", Path(folder, "spark.log"))
        packages = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "delta-spark"))
        print(
            f"{args.users:,} listeners, {args.plays_a_day:,} plays a day, {args.days} days, {os.cpu_count()} cores, "
            f"{packages}"
        )
        plays, before = f"{folder}/plays", f"{folder}/before"
        _publish_plays(spark, plays, args, f"{folder}/made-up")
        shutil.copytree(plays, before)
        # it warms up the JVM as well
        print(f"  the group as it was: {_build(spark, before, USER_FEATURE_GROUP)}")
        for what in [args.only] if args.only else ADDED:
            _compare(spark, folder, what, USER_FEATURE_GROUP.extend(ADDED[what]))


def _compare(spark: SparkSession, folder: str, what: str, group: FeatureGroup) -> None:
    roots = [
        shutil.copytree(f"{folder}/{name}", f"{folder}/{name}-{time.time_ns()}")
        for name in ("before", "plays")
    ]
    added, whole = (_build(spark, root, group) for root in roots)
    hashes = [
        [Warehouse(root).state(table).content_hash for table in group.tables]  # type: ignore[union-attr]
        for root in roots
    ]
    assert hashes[0] == hashes[1], f"{what}: the two ways end with other values: {hashes}"
    state = Warehouse(roots[0]).state(group.table)
    assert state
    print(f"  {what}: {added}\n    the group again: {whole}")
    print(
        f"    {state.rows:,} rows of {len(group.feature_windows)} features, equal hashes: "
        f"{whole.cpu_seconds / added.cpu_seconds:.1f} x less CPU, {whole.bytes / added.bytes:.1f} x less bytes"
    )
    for root in roots:
        shutil.rmtree(root)


def _publish_plays(spark: SparkSession, root: str, args: argparse.Namespace, path: str) -> None:
    rows = generate_sessions(spark, args.days * args.plays_a_day, args.days, path, args.users)
    days = [FIRST + timedelta(days=n) for n in range(args.days)]
    job = Job("benchmark", root, "run-benchmark", say=lambda text: None)
    job.publish(job.batch("sessions", days, deterministic=False), rows)


def _build(spark: SparkSession, root: str, group: FeatureGroup) -> Cost:
    with _declare(group):
        started, before, written = time.perf_counter(), _measure(spark), _count_bytes(root)
        jobs.build_features.main(["build-user-features", "--root", root])
        seconds, after = time.perf_counter() - started, _measure(spark)
    used = [now - then for now, then in zip(after, before, strict=True)]
    return Cost(seconds, used[0], int(used[1]), int(used[2]), _count_bytes(root) - written)


@contextmanager
def _declare(group: FeatureGroup) -> Iterator[None]:
    """As a project does, for one step of this process."""
    modules = (jobs.build_features, feature_groups, lineage)
    groups = feature_groups.FEATURE_GROUPS
    tables = {each.name: each for each in (group.partials_contract(), group.contract())}
    contracts = {name: CONTRACTS[name] for name in tables}
    declared = tuple(group if each.table == group.table else each for each in groups)
    try:
        for module in modules:
            module.FEATURE_GROUPS = declared  # type: ignore[attr-defined]
        CONTRACTS.update(tables)
        yield
    finally:
        for module in modules:
            module.FEATURE_GROUPS = groups  # type: ignore[attr-defined]
        CONTRACTS.update(contracts)


def _measure(spark: SparkSession) -> tuple[float, int, int]:
    """CPU seconds so far, bytes read from files and bytes shuffled."""
    context = spark.sparkContext
    # from Linux: the bean that has it is of a class that py4j may not call
    fields = (
        Path(f"/proc/{context._jvm.ProcessHandle.current().pid()}/stat")
        .read_text()
        .rpartition(")")[2]
        .split()
    )  # type: ignore[union-attr]
    cpu = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK") + time.process_time()
    # the store is filled by a bus of its own
    time.sleep(1)
    executors = context._jsc.sc().statusStore().executorList(False)
    all_of = [executors.apply(n) for n in range(executors.size())]
    return cpu, sum(e.totalInputBytes() for e in all_of), sum(e.totalShuffleWrite() for e in all_of)


def _count_bytes(root: str) -> int:
    return sum(path.stat().st_size for path in Path(root, "tables").rglob("*.parquet"))


if __name__ == "__main__":
    main()
