"""Publishes two batches on a cluster, slowly: the first in its shuffle, the second in its write.

    python cluster_driver.py ROOT MARKERS

Master and workers of its cluster live in its own JVM, each executor in one of its own. Each slow task
leaves a file in MARKERS/<phase>, named by the process of its executor, when it begins and when it ends.
Prints, for each batch, the content hash that its rows have when nothing is lost. No gate judges them: that
would be more tasks, of which none is to be lost.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jobs.publishing.protocol
import jobs.publishing.staging
from expectations.gate_settings import GateSettings
from expectations.profile import profile
from faults.offers import Offer
from jobs.job import Job
from jobs.session import CORRECTNESS, SETTINGS_VARIABLE, parse_settings_file
from reference.clusters import cluster_settings
from reference.frames import frame
from reference.staged import PASSED
from schemas.sessions import SESSIONS

SLOW_S = 1.0
SHUFFLED = Offer("shuffled", {0: 300, 1: 200, 2: 100})
WRITTEN = Offer("written", {0: 250, 1: 150, 2: 50})


def main() -> None:
    root, markers = sys.argv[1:]
    GateSettings.suite_of = lambda gate, table: None  # type: ignore[method-assign,assignment,return-value]
    jobs.publishing.protocol.audit_batch = lambda *_: PASSED
    spark = open_cluster_session()
    cluster = jobs.publishing.staging._cluster_by_bucket
    input_rows = frame(spark, SHUFFLED.rows(), SESSIONS)
    publish(spark, root, SHUFFLED, slow_down(input_rows, Path(markers, "shuffle")))
    jobs.publishing.staging._cluster_by_bucket = lambda rows, *how: slow_down(
        cluster(rows, *how), Path(markers, "write")
    )
    publish(spark, root, WRITTEN, frame(spark, WRITTEN.rows(), SESSIONS))
    spark.stop()


def open_cluster_session() -> Any:
    from pyspark.sql import SparkSession

    settings = {
        **parse_settings_file(Path(os.environ[SETTINGS_VARIABLE])),
        **CORRECTNESS,
        **cluster_settings(),
        "spark.ui.showConsoleProgress": "false",
        "spark.default.parallelism": "8",
        "spark.sql.shuffle.partitions": "4",
    }
    builder = SparkSession.builder.master("local-cluster[2,1,512]").appName("executors to lose")
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def publish(spark: Any, root: str, offer: Offer, rows: Any) -> None:
    print(
        "expected",
        profile(frame(spark, offer.rows(), SESSIONS).coalesce(1), SESSIONS).content_hash,
        flush=True,
    )
    job = Job("fault", root)
    job.spark = spark
    print(job.publish(offer.batch(job), rows).kind, offer.label, flush=True)


def slow_down(rows: Any, markers: Path) -> Any:
    """The same rows, after a while in each task that has any."""
    markers.mkdir(parents=True)

    def slow(batches: Iterator[Any]) -> Iterator[Any]:
        daemon = Path(f"/proc/{os.getppid()}/stat").read_text()
        executor = daemon.rpartition(")")[2].split()[1]
        for batch in batches:
            half = batch.num_rows // 2
            yield batch.slice(0, half)
            (markers / f"began-{executor}-{uuid.uuid4().hex}").touch()
            time.sleep(SLOW_S)
            yield batch.slice(half)
            (markers / f"ended-{executor}-{uuid.uuid4().hex}").touch()

    return rows.mapInArrow(slow, rows.schema)


if __name__ == "__main__":
    main()
