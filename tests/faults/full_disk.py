"""Publishes on a small disk of its own that is full at one step after the other, and has room again in between.

    python full_disk.py STEP,STEP,... DISK [TEMPLATES]

Prints for each step how the publishing failed, and then what came of it twice more, with room. DISK and,
for Spark's own files, what SPARK_LOCAL_DIRS names are file systems of a few megabytes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

from pyspark.sql import SparkSession

import jobs.job
import jobs.publishing.protocol
import jobs.publishing.staging
from faults.invariants import check
from faults.offers import OFFERS
from faults.replay import ReplayJob
from jobs.errors import first_line
from jobs.job import Job
from reference.frames import frame
from schemas.sessions import SESSIONS

# What runs on the full disk, by step; before the last two, Spark has nothing to do.
STEPS = {
    "log": (jobs.publishing.protocol, "swap"),
    "records": (jobs.job, "record"),
    "reservation": (jobs.job, "reserve"),
    "staging": (jobs.publishing.staging, "write"),
    "shuffle": (jobs.publishing.staging, "write"),
}


def main() -> None:
    steps, disk = sys.argv[1].split(","), Path(sys.argv[2])
    root = disk / "root"
    publish = make_replay_publisher(root, Path(sys.argv[3])) if sys.argv[3:] else make_spark_publisher(root)
    say(publish(OFFERS[0]))
    for step, offer in zip(steps, OFFERS[1:], strict=False):
        publish_on_a_full_disk(step, disk, lambda offer=offer: publish(offer))


def publish_on_a_full_disk(step: str, disk: Path, publish: Callable[[], str]) -> None:
    """One offer on a full disk, and twice more with room."""
    root, full = disk / "root", Path(os.environ["SPARK_LOCAL_DIRS"]) if step == "shuffle" else disk
    before = check(root, OFFERS)
    with mock.patch.object(*STEPS[step], fill_disk_before(step, full)):
        try:
            say(publish())
        except Exception as problem:
            say("failed", type(problem).__name__, len(str(problem).splitlines()), first_line(problem))
    (full / "filler").unlink()
    say("unchanged" if check(root, OFFERS) == before else "changed")
    say(publish())
    say(publish())
    check(root, OFFERS)


def make_replay_publisher(root: Path, templates: Path) -> Callable[[Any], str]:
    return lambda offer: ReplayJob(str(root), templates).offer(offer).kind


def make_spark_publisher(root: Path) -> Callable[[Any], str]:
    spark = Job("fault", str(root)).spark

    def publish(offer: Any) -> str:
        job = Job("fault", str(root), say=lambda text: None)
        return job.publish(offer.batch(job), frame(spark, offer.rows(), SESSIONS)).kind

    return publish


def fill_disk_before(step: str, full: Path) -> Callable[..., Any]:
    real = getattr(*STEPS[step])

    def faulty(*args: Any) -> Any:
        if step == "shuffle":
            # Spark removes shuffles of before when it collects garbage: later, that would make room
            spark = SparkSession.active()
            spark.sparkContext._jvm.System.gc()  # type: ignore[union-attr]
            time.sleep(1)
        fill(full)
        say("full", step, os.statvfs(full).f_bavail)
        return real(*args)

    return faulty


def fill(disk: Path) -> None:
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def say(*words: Any) -> None:
    print(*words, flush=True)


if __name__ == "__main__":
    main()
