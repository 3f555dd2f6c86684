"""What a look-up reads and an erasure rewrites of one large day: as one file, and as files of a range of buckets each.

    python benchmarks/files.py --rows 2000000

Two tables of the same rows. The first is laid as a day was before it could be several files: one, in row groups of 128
MiB. Bytes that a look-up reads are those that this process reads; what an erasure rewrites is what the log drops. Each
is printed as a share of the day's bytes, and that of the first table against that of the second.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pyarrow as pa
from made_up import FIRST, generate_sessions
from pyspark.sql import DataFrame, SparkSession

from expectations.verdict import Verdict
from jobs import forget
from jobs.job import Job
from jobs.publishing import protocol
from jobs.session import open_session
from segue import lookup
from segue.storage import Snapshot

LAYOUTS = {"one file": (4096, 128), "ranges of buckets": (None, 16)}
COLUMNS = ["user_id", "track_id", "ms_played"]
KEYS = (1, 10, 1000)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--file-megabytes", type=int, default=16, help="of the second table")
    args = parser.parse_args()
    # what is measured are files, and the rows are right
    protocol.audit_batch = lambda *_: Verdict(())  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder:
        spark = open_session("files", Path(folder, "spark.log"))
        rows = generate_sessions(spark, args.rows, 1, f"{folder}/rows", users=args.rows // 4)
        users = [f"u{n}" for n in Random(1).sample(range(args.rows // 4), max(KEYS))]
        shares = {}
        for name, (megabytes, row_group) in LAYOUTS.items():
            os.environ["SEGUE_FILE_MEGABYTES"] = str(megabytes or args.file_megabytes)
            hadoop = spark.sparkContext._jsc.hadoopConfiguration()
            hadoop.set("parquet.block.size", str(row_group * 2**20))
            shares[name] = _measure(spark, rows, f"{folder}/{name.split()[0]}", users, args.rows)
    one, several = shares.values()
    print(f"{args.rows:,} rows, share of the day's bytes: one file, ranges of buckets, ratio")
    for label, share in one.items():
        print(f"  {label:<32}{share:>10.2%}{several[label]:>10.2%}{share / several[label]:>8.1f} x")


def _measure(
    spark: SparkSession, rows: DataFrame, root: str, users: Sequence[str], count: int
) -> dict[str, float]:
    job = Job("benchmark", root, "run-benchmark", say=lambda text: None)
    job.publish(replace(job.batch("sessions", [FIRST]), row_counts={FIRST: count}), rows)
    before = _open(job)
    size = sum(file.bytes for file in before.files)
    print(f"{root.rsplit('/', 1)[-1]}: {len(before.files)} files, {size / 2**20:.1f} MiB", flush=True)
    shares = {f"read for {n:,} listeners": _count_bytes_read(before, users[:n]) / size for n in KEYS}
    forget._erase_all(job, users[:1])
    left = {file.path for file in _open(job).files}
    gone = sum(file.bytes for file in before.files if file.path not in left)
    return shares | {"rewritten to erase one listener": gone / size}


def _open(job: Job) -> Snapshot:
    return Snapshot.at(job.warehouse.table_path("sessions"), None)  # type: ignore[arg-type]


def _count_bytes_read(snapshot: Snapshot, users: Sequence[str]) -> int:
    before = _read_by_process()
    values = {"user_id": pa.array(users)}
    rows = sum(
        each.num_rows for each in lookup._read_candidates(snapshot, values, snapshot.select(FIRST), COLUMNS)
    )
    assert rows >= len(users) / 2, "hardly a row was found: this shows nothing"
    return _read_by_process() - before


def _read_by_process() -> int:
    # by any means, its own or pyarrow's; what Linux keeps in memory counts as well
    return int(Path("/proc/self/io").read_text().split()[1])


if __name__ == "__main__":
    main()
