"""Erases listeners from tables, staged batches and rejected rows; says what is still held, and until when."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from expectations.verdict import Refused
from jobs import TABLES, release_tables
from jobs.arguments import add_common_arguments
from jobs.erasures import ERASURE, Erasure, ErasureNote, hash_ids
from jobs.errors import JobError, WrongUsage
from jobs.file_records import erase_paths, record_retraction
from jobs.job import Job
from jobs.pseudonyms import hash_id, read_known_key
from jobs.publishing.commits import CommitConflict, list_file_days
from jobs.publishing.part_files import find_part_file, name_part_file
from jobs.publishing.quarantine import remove_quarantine
from jobs.publishing.retention import list_unpublished, vacuum
from jobs.publishing.rewrite import Rewrite, mark_erased, rewrite_files
from jobs.publishing.warehouse import Warehouse, check_declared
from jobs.receipts import make_receipt, print_receipt, write_receipt
from jobs.user_ids import find_buckets, find_whole, join_alternatives, list_first, read_ids
from jobs.written_texts import erase_from_texts, remove_rows_of_pages
from schemas import CONTRACTS, Contract
from segue.errors import SegueError
from segue.parser import CommandParser
from segue.releases import list_releases

if TYPE_CHECKING:
    from pyspark.sql import Column

# A batch of files at a time: bounded work, and little to redo where a publisher was faster.
FILES_PER_REWRITE = 200
# A release takes seconds: others that come between so many times in a row come without end.
RELEASE_ATTEMPTS = 5


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Erases listeners from every table, from staged and from rejected rows, and writes a receipt. Older releases "
        "keep what they hold until their life ends; the receipt says until when. Files that were ingested are not "
        "Segue's: what is still in them comes back if they are ingested again."
    )
    parser.add_argument("--user", nargs="+", default=[], metavar="ID", help="ids of listeners")
    parser.add_argument("--users", metavar="FILE", help="a file with an id a line")
    missing = "ids that are in no table are no error (else: exit 1)"
    parser.add_argument("--ignore-missing", action="store_true", help=missing)
    hashed = (
        "ids are as the source has them, which was ingested with pseudonymise: they are hashed with the key"
    )
    parser.add_argument("--pseudonymise", action="store_true", help=hashed)
    add_common_arguments(parser)


def run(args: argparse.Namespace) -> int:
    job = Job("forget", args.root, args.run_id)
    ids = list_users(args, job.warehouse)
    # of a project, say: whether they hold listeners is known only where they are declared
    check_declared(job.warehouse, "listeners in there would stay")
    erasures, note = _erase_all(job, ids)
    _erase_from_records(job, ids)
    rollback = next((each for each in list_releases(args.root)[:1] if each.rollback_of), None)
    problem = _release(job)
    now = datetime.now(UTC)
    for each in erasures:
        # removes what may go by now; what older releases hold stays until their life ends
        vacuum(job.warehouse, job.warehouse.create(CONTRACTS[each.table]), each.table, now)
    receipt, missing = make_receipt(job, ids, erasures, problem, rollback, now)
    print_receipt(receipt)
    print(f"Receipt: {write_receipt(job, receipt, now)}")
    note.remove()
    if receipt["readers_see_them"]:
        print("\nReaders still see them: put right what is said of the release above, then run this again")
    if missing:
        print(
            f"\n{len(missing)} of {len(ids)} ids are in no table and in no release: {list_first(missing)}. Ids are "
            "compared letter by letter, capitals included: look at what was given. --ignore-missing takes them for "
            "listeners without plays"
        )
    return int(receipt["readers_see_them"] or (bool(missing) and not args.ignore_missing))


def list_users(args: argparse.Namespace, warehouse: Warehouse) -> list[str]:
    """The listeners to erase, by the ids that the tables have.

    Raises:
        WrongUsage: there are none, or they are to be hashed and there is no key, or one that nobody was hashed with.
    """
    ids = read_ids(args.user, args.users, "--users")
    if not ids:
        raise WrongUsage("nobody to erase; give --user ID ..., or --users FILE with an id a line")
    if not args.pseudonymise:
        return ids
    key = read_known_key(warehouse, TABLES)
    return [hash_id(key, id_) for id_ in ids]


def main(argv: Sequence[str] | None = None) -> int:
    parser = CommandParser(prog="segue forget")
    configure(parser)
    return run(parser.parse_args(argv))


def _erase_all(job: Job, ids: Sequence[str]) -> tuple[list[Erasure], ErasureNote]:
    """What became of each table, noted until there is a receipt.

    Raises:
        JobError: no table holds listeners.
    """
    names = [name for name in TABLES if CONTRACTS[name].personal and job.has(name)]
    if not names:
        raise JobError(f"no table under {job.warehouse.root} holds listeners; there is nobody to erase")
    note = ErasureNote(job.warehouse, ids)
    erasures = note.begin(names)
    # upstream tables first: whoever read one before its mark can then no longer publish what is made of it
    for each in erasures:
        _erase(job, each, ids, note.id, partial(note.write, erasures))
        each.rows = note.count_rows(each.table, each.before, each.version or each.before)
        staged = f", {len(each.staged)} staged batches" if each.staged else ""
        job.say(f"{each.table}: {each.rows:,} rows erased{staged}")
    return erasures, note


def _erase(job: Job, erasure: Erasure, ids: Sequence[str], id_: str, write_note: Callable[[], None]) -> None:
    name = erasure.table
    with job.lease(name):
        record_retraction(job, name)
        # nobody can tell whose rows they are, so all of the table's go
        remove_quarantine(job.warehouse, name)
        _drop_staged(job, erasure, write_note)
        # looked at again after each rewrite: a publisher may have brought rows of them meanwhile
        while (files := _find_files(job, ids, erasure)) is not None:
            write_note()
            for start in range(0, len(files), FILES_PER_REWRITE):
                # opened again for each chunk, for the same reason
                table = job.warehouse.create(CONTRACTS[name])
                chunk = tuple(files[start : start + FILES_PER_REWRITE])
                users = _rows_of_users(CONTRACTS[name], ids)
                rewrite_files(job, Rewrite("erase", table, name, chunk, gone=users, about={ERASURE: id_}))


def _erase_from_records(job: Job, ids: Sequence[str]) -> None:
    """Out of what is written about the tables."""
    if hidden := erase_paths(job.warehouse, ids):
        job.say(f"input files: {hidden:,} records no longer say a path, as an id was in it")
    words = f"The rows that were shown here went with an erasure on {datetime.now(UTC):%Y-%m-%d}."
    if pages := remove_rows_of_pages(job.warehouse, _may_hold_listeners, words):
        job.say(f"pages: {pages:,} no longer show rows of refused batches")
    if texts := erase_from_texts(job.warehouse, ids):
        job.say(f"logs and outcomes of steps: {texts:,} no longer name them")


def _may_hold_listeners(table: str, attempt: str) -> bool:
    # nobody can tell whose rows they are; a page of before does not even say of which table
    return not table or table not in CONTRACTS or CONTRACTS[table].personal


def _find_files(job: Job, ids: Sequence[str], erasure: Erasure) -> list[str] | None:
    """Files that hold rows of these listeners; None once there are none, and that is in the log."""
    from pyspark.sql import functions as F

    name, contract = erasure.table, CONTRACTS[erasure.table]
    table = job.warehouse.add_missing_columns(contract)
    rows = job.at(name, table.version(), buckets=find_buckets(ids, contract))
    rows_of_users = rows.where(_rows_of_users(contract, ids))
    file = find_part_file().alias("file")
    users = F.collect_set("user_id").alias("users")
    mentions = _mentions(contract, ids).alias("mentions")
    measures = (F.min("ds").alias("day"), users, mentions)
    if counts := rows_of_users.groupBy(file).agg(*measures).collect():
        names = {row["file"] for row in counts}
        erasure.users.update(hash_ids(id_ for row in counts for id_ in (*row["users"], *row["mentions"])))
        days = [row["day"] for row in counts] + ([erasure.first_day] if erasure.first_day else [])
        erasure.first_day = min(days)
        files = [(day, file) for file, day in list_file_days(table) if name_part_file(file) in names]
        # a chunk of them is of few days, of which others are not opened
        return [file for _, file in sorted(files)]
    try:
        # even where no row was found: a step that read its input before the listener went from it must not
        # publish now
        erasure.version = mark_erased(job, table, name).version
    except CommitConflict:
        # somebody published since we looked: nothing to rewrite yet, but look again
        return []
    return None


def _rows_of_users(contract: Contract, ids: Sequence[str]) -> Column:
    """Rows of these listeners. A rejected row may not say whose it is: then its text decides, too."""
    from pyspark.sql import functions as F

    # never null: its negation selects the rows that stay, and a null would drop those without a listener
    condition = F.coalesce(F.col("user_id").isin(list(ids)), F.lit(False))
    if buckets := find_buckets(ids, contract):  # of row groups that hold others no row is looked at
        return condition & F.col("bucket").isin(sorted(buckets))
    for pattern in _list_patterns(contract, ids):
        condition = condition | (_needs_text() & F.col("raw").rlike(pattern))
    return condition


def _mentions(contract: Contract, ids: Sequence[str]) -> Column:
    """Over rows of these listeners: the ids in the texts of those that do not say whose they are."""
    from pyspark.sql import functions as F

    texts = [
        F.regexp_extract_all(F.when(_needs_text(), F.col("raw")), F.lit(pattern), F.lit(0))
        for pattern in _list_patterns(contract, ids)
    ]
    return F.flatten(F.collect_set(F.concat(*texts))) if texts else F.array().cast("array<string>")


def _needs_text() -> Column:
    """Rejected rows whose `user_id` is not all: none, or, as fields of a broken line may be shifted, another's."""
    from pyspark.sql import functions as F

    from features.reasons import BROKEN_LINE

    return F.col("user_id").isNull() | F.array_contains("reasons", BROKEN_LINE)


def _list_patterns(contract: Contract, ids: Sequence[str]) -> list[str]:
    return [find_whole(each) for each in join_alternatives(ids)] if "raw" in contract.names else []


def _drop_staged(job: Job, erasure: Erasure, write_note: Callable[[], None]) -> None:
    """Removes what is staged and unpublished, whoever is in it: a write that was killed left files without a log.

    Where no lease keeps others away, one of them may lose the batch that it is making; it then says so.
    """
    name = erasure.table

    def list_staged() -> dict[str, str]:
        return list_unpublished(job.warehouse, job.warehouse.create(CONTRACTS[name]), name)

    batches = list_staged()
    erasure.staged = sorted({*erasure.staged, *batches})
    write_note()
    for id_, path in batches.items():
        # listed again before each: it may have been published since, and then readers would lose its files
        if id_ in list_staged():
            job.warehouse.remove(path)


def _release(job: Job) -> str | None:
    """What readers get by default must not hold them any more; says why there is none, if so."""
    for _ in range(RELEASE_ATTEMPTS):
        before, problem = list_releases(job.warehouse.root)[:1], _try_release(job)
        # one that was made meanwhile may hold versions from before the erasure
        is_overtaken = isinstance(problem, SegueError) and list_releases(job.warehouse.root)[:1] != before
        if not is_overtaken:
            break
    return str(problem) if problem else None


def _try_release(job: Job) -> Exception | None:
    try:
        release_tables.main(["--root", job.warehouse.root, "--run-id", job.run_id])
    except (JobError, Refused, SegueError) as problem:  # a release may have been made without some tables
        return problem
    return None


if __name__ == "__main__":
    raise SystemExit(main())
