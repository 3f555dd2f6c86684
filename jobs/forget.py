"""Erases listeners from tables, staged batches and rejected rows; says what is still held, and until when."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from expectations.verdict import Refused
from jobs import FLOW, TABLES, release_tables
from jobs.arguments import add_common_arguments
from jobs.errors import JobError
from jobs.graph import downstream
from jobs.job import Job
from jobs.publishing.commits import CommitConflict, list_file_days
from jobs.publishing.retention import GRACE, list_unpublished, vacuum
from jobs.publishing.rewrite import Rewrite, mark_erased, rewrite_files
from jobs.user_ids import read_ids
from schemas import CONTRACTS, Contract
from segue import show
from segue.buckets import bucket
from segue.errors import SegueError
from segue.releases import RELEASE_LIFE, list_releases, select_unexpired
from segue.storage import Snapshot, table_uri

if TYPE_CHECKING:
    from pyspark.sql import Column

# A batch of files at a time: bounded work, and little to redo where a publisher was faster.
FILES_PER_REWRITE = 200
# One regular expression of more names than this gets slow to compile.
IDS_PER_PATTERN = 500
# A wrong file can hold millions of lines that are no ids.
MISSING_SHOWN = 10
# Made of many listeners' plays: nobody can be taken out of them again.
AGGREGATES = tuple(
    name for name in TABLES if name in downstream(FLOW, "plays") and not CONTRACTS[name].personal
)


@dataclass
class Erasure:
    """What became of one table."""

    table: str
    rows: int = 0
    version: int | None = None
    first_day: date | None = None
    users: set[str] = field(default_factory=set)
    staged: list[str] = field(default_factory=list)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Erases listeners from every table, from staged and from rejected rows, and writes a receipt. Older releases "
        "keep what they hold until their life ends; the receipt says until when. Files that were ingested are not "
        "Segue's: what is still in them comes back if they are ingested again."
    )
    parser.add_argument("--user", nargs="+", default=[], metavar="ID", help="ids of listeners")
    parser.add_argument("--users", metavar="FILE", help="a file with an id a line")
    parser.add_argument(
        "--ignore-missing", action="store_true", help="ids that are in no table are no error (else: exit 1)"
    )
    add_common_arguments(parser)


def run(args: argparse.Namespace) -> int:
    ids = read_ids(args.user, args.users)
    job = Job("forget", args.root, args.run_id)
    erased = [_erase(job, name, ids) for name in TABLES if CONTRACTS[name].personal and job.has(name)]
    if not erased:
        raise JobError(f"no table under {args.root} holds listeners; there is nobody to erase")
    released = _release(job)
    now = datetime.now(UTC)
    for each in erased:
        vacuum(job.warehouse, job.warehouse.create(CONTRACTS[each.table]), each.table, now)
    receipt, missing = _make_receipt(job, ids, erased, released, now)
    _print_receipt(receipt)
    print(f"Receipt: {_write_receipt(job, receipt)}")
    if missing:
        some = ", ".join(missing[:MISSING_SHOWN]) + (", …" if len(missing) > MISSING_SHOWN else "")
        print(
            f"\n{len(missing)} of {len(ids)} ids are in no table and in no release: {some}. Ids are compared letter by "
            "letter, capitals included: look at what was given. --ignore-missing takes them for listeners without plays"
        )
    return int(bool(missing) and not args.ignore_missing)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="segue forget")
    configure(parser)
    return run(parser.parse_args(argv))


def _erase(job: Job, name: str, ids: Sequence[str]) -> Erasure:
    """Tables come in the order in which they are made of each other: see `mark_erased`."""
    with job.lease(name):
        done = Erasure(name, staged=_drop_staged(job, name))
        while (files := _find_files(job, name, ids, done)) is not None:
            _rewrite(job, name, ids, files)
        job.say(
            f"{name}: {done.rows:,} rows erased"
            + (f", {len(done.staged)} staged batches" if done.staged else "")
        )
    return done


def _rewrite(job: Job, name: str, ids: Sequence[str], files: Sequence[str]) -> None:
    for start in range(0, len(files), FILES_PER_REWRITE):
        # opened again for each chunk: a publisher may have come in between
        table = job.warehouse.create(CONTRACTS[name])
        some = tuple(files[start : start + FILES_PER_REWRITE])
        rewrite_files(job, Rewrite("erase", table, name, some, gone=_rows_of_users(CONTRACTS[name], ids)))


def _find_files(job: Job, name: str, ids: Sequence[str], done: Erasure) -> list[str] | None:
    """Files that hold rows of these listeners; None once there are none, and that is in the log.

    The mark is committed even where no row was found: a step that read its input before the
    listener went from it must not publish now.
    """
    from pyspark.sql import functions as F

    table = job.warehouse.add_missing_columns(CONTRACTS[name])
    rows_of_users = job.at(name, table.version()).where(_rows_of_users(CONTRACTS[name], ids))
    path = F.element_at(F.split("_metadata.file_path", "/"), -1)
    found = (
        rows_of_users.groupBy(path.alias("file"))
        .agg(
            F.count("*").alias("rows"),
            F.min("ds").alias("day"),
            F.collect_set("user_id").alias("users"),
            _mentions(CONTRACTS[name], ids).alias("mentions"),
        )
        .collect()
    )
    if found:
        names = {row["file"] for row in found}
        done.rows += sum(row["rows"] for row in found)
        done.users.update(id_ for row in found for id_ in (*row["users"], *row["mentions"]))
        done.first_day = min([row["day"] for row in found] + ([done.first_day] if done.first_day else []))
        return [file for file, _ in list_file_days(table) if file.rsplit("/", 1)[-1] in names]
    try:
        done.version = mark_erased(job, table, name).version
    except CommitConflict:
        return []
    return None


def _rows_of_users(contract: Contract, ids: Sequence[str]) -> Column:
    """Rows of these listeners. A rejected row may not say whose it is: then its text decides."""
    from pyspark.sql import functions as F

    condition = F.coalesce(F.col("user_id").isin(list(ids)), F.lit(False))
    if contract.entity == "user_id":  # the log knows buckets, and no names: files without them are not read
        return condition & F.col("bucket").isin(sorted({bucket(id_, contract.buckets) for id_ in ids}))
    for pattern in _patterns(contract, ids):
        condition = condition | (F.col("user_id").isNull() & F.col("raw").rlike(pattern))
    return condition


def _mentions(contract: Contract, ids: Sequence[str]) -> Column:
    """Over rows of these listeners: the ids in the texts of those that do not say whose they are."""
    from pyspark.sql import functions as F

    nameless = F.when(F.col("user_id").isNull(), F.col("raw")) if "raw" in contract.names else F.lit(None)
    texts = [F.regexp_extract_all(nameless, F.lit(p), F.lit(0)) for p in _patterns(contract, ids)]
    return F.flatten(F.collect_set(F.concat(*texts))) if texts else F.array().cast("array<string>")


def _patterns(contract: Contract, ids: Sequence[str]) -> list[str]:
    """Regular expressions for the ids in a rejected row's text: none is a part of a longer one."""
    if "raw" not in contract.names:
        return []
    chunks = (ids[start : start + IDS_PER_PATTERN] for start in range(0, len(ids), IDS_PER_PATTERN))
    return [rf"(?<![\w-])(?:{'|'.join(map(re.escape, chunk))})(?![\w-])" for chunk in chunks]


def _drop_staged(job: Job, name: str) -> list[str]:
    """Removes what is staged and unpublished, whoever is in it: a write that was killed left files without a log.

    Where no lease keeps others away, one of them may lose the batch that it is making; it then says so.
    """
    known = list_unpublished(job.warehouse, job.warehouse.create(CONTRACTS[name]), name)
    for id_, path in known.items():
        if id_ in list_unpublished(job.warehouse, job.warehouse.create(CONTRACTS[name]), name):
            job.warehouse.remove(path)
    return sorted(known)


def _release(job: Job) -> str:
    """What readers get by default must not hold them any more; the tables may not be ready for a release."""
    before = list_releases(job.warehouse.root)[:1]
    try:
        release_tables.main(["--root", job.warehouse.root, "--run-id", job.run_id])
    except (JobError, Refused, SegueError) as problem:  # a release may have been made without some tables
        if list_releases(job.warehouse.root)[:1] == before:
            return f"not made, so the release before still holds them: {problem}"
    return list_releases(job.warehouse.root)[0].release_id


def _make_receipt(
    job: Job, ids: Sequence[str], erased: Sequence[Erasure], released: str, now: datetime
) -> tuple[dict[str, Any], list[str]]:
    """The receipt, and the ids that were nowhere. In it they are hashes: else it would have to be erased too."""
    held, in_releases = _find_remaining(job, ids, erased, now)
    users = in_releases.union(*(each.users for each in erased))
    missing = [id_ for id_ in ids if id_ not in users]
    first_day = min((e.first_day for e in erased if e.first_day), default=None)
    receipt = {
        "run": job.run_id,
        "erased_at": now,
        "sha256_of_ids": _hash_ids(ids),
        "sha256_of_missing_ids": _hash_ids(missing),
        "tables": [{k: v for k, v in asdict(each).items() if k != "users"} for each in erased],
        "release": released,
        "still_held": held,
        "trained_with_them": _aggregates_since(job, first_day),
    }
    return receipt, missing


def _hash_ids(ids: Sequence[str]) -> list[str]:
    return sorted(hashlib.sha256(id_.encode()).hexdigest() for id_ in ids)


def _find_remaining(
    job: Job, ids: Sequence[str], erased: Sequence[Erasure], now: datetime
) -> tuple[list[dict[str, Any]], set[str]]:
    """Where they still are, and who: in releases, by looking; in other old versions, by how long those are kept."""
    known = list_releases(job.warehouse.root)
    looked: dict[tuple[str, int], set[str]] = {}
    held = []
    for release in select_unexpired(known, now):
        versions = [(e.table, release.tables[e.table].version) for e in erased if e.table in release.tables]
        for each in versions:
            # versions that several releases name are read once
            looked[each] = looked[each] if each in looked else _users_of_version(job, *each, ids)
        if tables := sorted(name for name, version in versions if looked[name, version]):
            until = "a newer release is made" if release is known[0] else release.expires_at + GRACE
            held.append({"by": f"release {release.release_id}", "tables": tables, "until": until})
    if held or any(each.rows for each in erased):
        tables = sorted(each.table for each in erased)
        held.append({"by": "versions in no release", "tables": tables, "until": now + RELEASE_LIFE + GRACE})
    return held, set().union(*looked.values())


def _users_of_version(job: Job, name: str, version: int, ids: Sequence[str]) -> set[str]:
    """Those of the ids that have rows."""
    # without Spark, which refuses to travel as far back as a release may reach
    snapshot = Snapshot.at(table_uri(job.warehouse.root, name), version)
    contract = CONTRACTS[name]
    buckets = {bucket(id_, contract.buckets) for id_ in ids} if contract.entity == "user_id" else None
    files = snapshot.select(buckets=buckets)
    rows = snapshot.read(files, ["user_id"], pc.field("user_id").isin(list(ids)))
    return set(pc.unique(rows["user_id"]).to_pylist())


def _aggregates_since(job: Job, first: date | None) -> list[dict[str, Any]]:
    """Aggregates and models of many listeners, from the first day that these played on."""
    found = []
    for name in AGGREGATES:
        state = job.warehouse.state(name)
        days = [day for day in state.days if first and day >= first] if state else []
        if days:
            found.append({"table": name, "first_ds": days[0], "last_ds": days[-1], "days": len(days)})
    return found


def _write_receipt(job: Job, receipt: dict[str, Any]) -> str:
    # a second erasure under one --run-id must not write over what says that the first was done
    name = f"forget-{job.run_id}-{receipt['erased_at']:%Y%m%dT%H%M%S%f}.json"
    path = job.warehouse.path("quality", "receipts", name)
    job.warehouse.write(path, json.dumps(receipt, default=str, indent=2))
    return path


def _print_receipt(receipt: dict[str, Any]) -> None:
    erased = [(t["table"], t["rows"], t["version"], len(t["staged"])) for t in receipt["tables"]]
    print(show.format_table(("table", "rows erased", "version", "staged batches dropped"), erased))
    print(f"\nrelease without them: {receipt['release']}")
    for held in receipt["still_held"]:
        print(f"still held by {held['by']} ({', '.join(held['tables'])}) until {str(held['until'])[:16]}")
    for made in receipt["trained_with_them"]:
        print(f"made with their plays, and kept: {made['table']}, {made['days']} days to {made['last_ds']}")


if __name__ == "__main__":
    raise SystemExit(main())
