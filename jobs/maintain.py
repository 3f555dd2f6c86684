"""Keeps tables quick to read and disks from filling: compaction, vacuum, sweep, checkpoints, old log entries.

Nothing that a living release holds is touched, and no row changes. Safe beside readers and publishers.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain

from deltalake import DeltaTable

from jobs import TABLES
from jobs.arguments import add_common_arguments
from jobs.embeddings.scratch import sweep
from jobs.job import Job
from jobs.publishing.commits import list_data_files
from jobs.publishing.layout import Target, count_pieces, find_file_bytes
from jobs.publishing.quarantine import remove_quarantine
from jobs.publishing.record_tables import RECORD_TABLES, remove_old_files
from jobs.publishing.records import list_recorded_batches, record_abandoned
from jobs.publishing.retention import (
    GRACE,
    VacuumResult,
    checkpoint,
    clean_log,
    find_retention,
    last_checkpoint,
    vacuum,
)
from jobs.publishing.rewrite import Rewrite, rewrite_files
from jobs.publishing.stores import sweep_probes
from jobs.publishing.warehouse import require_tables
from jobs.written_texts import remove_rows_of_pages
from schemas import CONTRACTS, Contract
from segue.parser import CommandParser
from segue.storage import find_table, releases_uri

# A batch of this many stays minutes of work, and what a lost commit costs stays small.
PARTITIONS_PER_REWRITE = 200


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__
    add_common_arguments(parser)
    only = "only these (default: all)"
    parser.add_argument("--tables", nargs="+", metavar="TABLE", choices=TABLES, default=TABLES, help=only)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")


def run(args: argparse.Namespace) -> int:
    job, now = Job("maintain", args.root, args.run_id, dry_run=args.dry_run), datetime.now(UTC)
    require_tables(job.warehouse)
    unkept: set[str] = set()
    for name in filter(job.has, args.tables):
        # one lease at a time, so that a step waits for the work on its own table only
        with job.lease(name):
            unkept |= _maintain(job, name, now, args.dry_run)
    if unkept:
        words = f"The rows that were shown here were kept for so long, and went on {now:%Y-%m-%d}."
        pages = remove_rows_of_pages(job.warehouse, lambda _, attempt: attempt in unkept, words)
        job.say(f"rows of {len(unkept):,} refused batches removed, and from {pages:,} pages")
    would = "would be " if args.dry_run else ""
    if leftovers := sweep(job.warehouse, now, args.dry_run):
        job.say(f"scratch: {len(leftovers)} trainings that were cut off {would}swept")
    if probes := sweep_probes(job.warehouse, now, args.dry_run):
        job.say(f"root: {len(probes)} probes of the store that were cut off {would}swept")
    if not args.dry_run:
        for table in RECORD_TABLES:
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


def _maintain(job: Job, name: str, now: datetime, dry_run: bool) -> set[str]:
    """The refused attempts of which rows were kept until now."""
    file_count = _compact(job, name, now, dry_run)
    # the rewrite made a version, and the next one goes on top of it
    table = job.warehouse.create(CONTRACTS[name])
    removals, unkept = vacuum(job.warehouse, table, name, now, dry_run), set[str]()
    if not dry_run:
        _record_abandoned(job, name, removals.batches)
        # with the files that these are rows of
        unkept = remove_quarantine(job.warehouse, name, now - find_retention().refused - GRACE)
        # old entries of the log can go only where a newer checkpoint sums them up
        checkpoint(table, last_checkpoint(job.warehouse, job.warehouse.table_path(name)))
    removals.log_entries = clean_log(job.warehouse, name, now, dry_run)
    job.say(f"{name}: {_summarise(file_count, removals, dry_run)}")
    return unkept


def _summarise(file_count: int, removals: VacuumResult, dry_run: bool) -> str:
    parts = [
        f"{file_count:,} small files joined or large ones cut" if file_count else "",
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


def _compact(job: Job, name: str, now: datetime, dry_run: bool) -> int:
    """Joins, and cuts, files of one day and instant that are far from as many as their bytes need; says how many."""
    contract, settled = CONTRACTS[name], now - find_retention().releases
    # rewritten files have every column of the contract, so the table must have them first
    open_table = job.warehouse.create if dry_run else job.warehouse.add_missing_columns
    table, file_count = open_table(contract), 0
    for targets in plan_compactions(table, contract, settled):
        file_count += len(targets)
        if not dry_run:
            rewrite_files(job, Rewrite("compact", table, name, tuple(targets), targets=targets))
            # the next rewrite must start from the version that this one made
            table = job.warehouse.create(contract)
    return file_count


def plan_compactions(table: DeltaTable, contract: Contract, settled: datetime) -> Iterator[dict[str, Target]]:
    """Files to be rewritten, and what becomes of each.

    Args:
        settled: of tables that labels are not joined to, files published before it are joined across instants: an
            hourly ingest would else leave a file for ever in each day that it adds to.
    """
    partitions: dict[tuple[object, ...], dict[str, tuple[int, datetime | None]]] = defaultdict(dict)
    for file in list_data_files(table):
        instant = file.get("partition.available_at")
        is_settled = instant is not None and instant < settled and not contract.daily
        # else by instant too: joined with their day's first file, late plays would seem to have been known earlier
        partition = file.get("partition.ds"), None if is_settled else instant
        partitions[partition][file["path"]] = file["size_bytes"], instant
    plans, file_bytes = [], find_file_bytes(contract.name)
    for files in partitions.values():
        pieces = count_pieces(sum(size for size, _ in files.values()), file_bytes, contract.buckets)
        # twice as many or half: how many a day would need was estimated, and one more is no reason to write it again
        if len(files) >= max(2 * pieces, 2) or 2 * len(files) <= pieces:
            instants = {instant for _, instant in files.values() if instant}
            # the last: a row may seem to have been known later than it was, and never earlier
            newest = max(instants) if len(instants) > 1 else None
            plans.append(dict.fromkeys(files, Target(pieces, newest)))
    # partitions share a rewrite: each is a batch to stage, audit and commit
    for start in range(0, len(plans), PARTITIONS_PER_REWRITE):
        yield dict(
            chain.from_iterable(plan.items() for plan in plans[start : start + PARTITIONS_PER_REWRITE])
        )


if __name__ == "__main__":
    raise SystemExit(main())
