"""Keeps tables quick to read and disks from filling: compaction, vacuum, sweep, checkpoints, old log entries.

Nothing that a living release holds is touched, and no row changes. Safe beside readers and publishers.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from math import ceil

from deltalake import DeltaTable

from jobs import TABLES
from jobs.arguments import add_common_arguments
from jobs.embeddings.scratch import sweep
from jobs.job import Job
from jobs.publishing.commits import list_data_files
from jobs.publishing.record_tables import FILES, RESULTS, remove_old_files
from jobs.publishing.records import list_recorded_batches, record_abandoned
from jobs.publishing.retention import VacuumResult, checkpoint, clean_log, last_checkpoint, vacuum
from jobs.publishing.rewrite import Rewrite, rewrite_files
from schemas import CONTRACTS
from segue.parser import CommandParser
from segue.storage import find_table, releases_uri

# What Spark reads as one task and a look-up can still fetch a row group of.
TARGET_BYTES = 128 * 2**20
# A batch of this many stays minutes of work, and what a lost commit costs stays small.
PARTITIONS_PER_REWRITE = 200


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__
    add_common_arguments(parser)
    only = "only these (default: all)"
    parser.add_argument("--tables", nargs="+", metavar="TABLE", choices=TABLES, default=TABLES, help=only)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def run(args: argparse.Namespace) -> int:
    job, now = Job("maintain", args.root, args.run_id), datetime.now(UTC)
    for name in args.tables:
        # one lease at a time, so that a step waits for the work on its own table only
        with job.lease(name):
            if job.has(name):
                _maintain(job, name, now, args.dry_run)
    if leftovers := sweep(job.warehouse, now, args.dry_run):
        would = "would be" if args.dry_run else ""
        job.say(f"scratch: {len(leftovers)} trainings that were cut off {would} swept")
    if not args.dry_run:
        for table in (RESULTS, FILES):
            table.compact(job.warehouse)
        _vacuum_releases(args.root)
    return 0


def _vacuum_releases(root: str) -> None:
    """Removes files of the table of releases that were joined a week ago."""
    if table := find_table(releases_uri(root)):
        # whoever reads this table is done in some 50 ms: a week is longer than any of them takes
        remove_old_files(table, days=7)


def main(argv: Sequence[str] | None = None) -> int:
    parser = CommandParser(prog="segue maintain")
    configure(parser)
    return run(parser.parse_args(argv))


def _maintain(job: Job, name: str, now: datetime, dry_run: bool) -> None:
    file_count = _compact(job, name, dry_run)
    # the rewrite made a version, and the next one goes on top of it
    table = job.warehouse.create(CONTRACTS[name])
    removals = vacuum(job.warehouse, table, name, now, dry_run)
    if not dry_run:
        _record_abandoned(job, name, removals.batches)
        # old entries of the log can go only where a newer checkpoint sums them up
        checkpoint(table, last_checkpoint(job.warehouse, job.warehouse.table_path(name)))
    removals.log_entries = clean_log(job.warehouse, name, now, dry_run)
    job.say(f"{name}: {_summarise(file_count, removals, dry_run)}")


def _summarise(file_count: int, removals: VacuumResult, dry_run: bool) -> str:
    parts = [
        f"{file_count:,} small files joined" if file_count else "",
        f"{removals.files:,} files ({removals.bytes / 2**20:,.1f} MiB) removed" if removals.files else "",
        f"{len(removals.batches):,} unfinished or refused batches swept" if removals.batches else "",
        f"{removals.log_entries:,} log entries removed" if removals.log_entries else "",
    ]
    work = ", ".join(filter(None, parts))
    return f"would have {work}" if work and dry_run else work or "nothing to do"


def _record_abandoned(job: Job, name: str, batches: Sequence[str]) -> None:
    # a refused batch has a record of its audit; one whose step was killed earlier has none, and is gone now
    recorded = list_recorded_batches(job.warehouse, name)
    for batch in batches:
        if batch not in recorded:
            record_abandoned(job.warehouse, job.run_id, name, batch)


def _compact(job: Job, name: str, dry_run: bool) -> int:
    """Joins files of one day and instant that are more than their bytes need; says how many there were."""
    # rewritten files have every column of the contract, so the table must have them first
    open_table = job.warehouse.create if dry_run else job.warehouse.add_missing_columns
    table, file_count = open_table(CONTRACTS[name]), 0
    for pieces, files in plan_compactions(table):
        file_count += len(files)
        if not dry_run:
            rewrite_files(job, Rewrite("compact", table, name, tuple(files), pieces=pieces))
            # the next rewrite must start from the version that this one made
            table = job.warehouse.create(CONTRACTS[name])
    return file_count


def plan_compactions(table: DeltaTable) -> Iterator[tuple[int, list[str]]]:
    """Files to be rewritten, by how many each partition should have."""
    size_by_path: dict[tuple[object, ...], dict[str, int]] = defaultdict(dict)
    for file in list_data_files(table):
        # by `available_at` too: joined with their day's first file, late plays would seem to have been known earlier
        partition = file.get("partition.ds"), file.get("partition.available_at")
        size_by_path[partition][file["path"]] = file["size_bytes"]
    paths_by_pieces: dict[int, list[list[str]]] = defaultdict(list)
    for sizes in size_by_path.values():
        pieces = max(1, ceil(sum(sizes.values()) / TARGET_BYTES))
        if len(sizes) > pieces:
            paths_by_pieces[pieces].append(list(sizes))
    # partitions that need equally many files share a rewrite: each is a batch to stage, audit and commit
    for pieces, partitions in sorted(paths_by_pieces.items()):
        for start in range(0, len(partitions), PARTITIONS_PER_REWRITE):
            yield pieces, list(chain(*partitions[start : start + PARTITIONS_PER_REWRITE]))


if __name__ == "__main__":
    raise SystemExit(main())
