"""Receipts: what an erasure did, what still holds the listeners, and until when; the file of each receipt."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date, datetime
from functools import cache
from typing import Any

import pyarrow.compute as pc

from jobs import FLOW, TABLES
from jobs.erasures import Erasure, hash_ids
from jobs.graph import downstream
from jobs.job import Job
from jobs.publishing.retention import GRACE, find_retention
from jobs.publishing.warehouse import Warehouse
from jobs.user_ids import find_buckets, find_whole, join_alternatives
from schemas import CONTRACTS, EVENT_TABLES
from segue import show
from segue.releases import Release, list_releases, select_unexpired
from segue.storage import Snapshot, table_uri

# Made of many listeners' plays and other events: nobody can be taken out of them again.
_EVENTS = ("plays", *(table.name for table in EVENT_TABLES if table.contract.personal))
AGGREGATES = tuple(
    name
    for name in TABLES
    if any(name in downstream(FLOW, events) for events in _EVENTS) and not CONTRACTS[name].personal
)


# The newest release has no end, so as to be there when nothing newer could be made.
_UNTIL_NEWER = "a newer release is made"


def write_receipt(job: Job, receipt: dict[str, Any], now: datetime) -> str:
    """The file's path, which has the names of job and run in it."""
    # a second erasure under one --run-id must not write over what says that the first was done
    path = job.warehouse.path("quality", "receipts", f"{job.name}-{job.run_id}-{now:%Y%m%dT%H%M%S%f}.json")
    job.warehouse.write(path, json.dumps(receipt, default=str, indent=2))
    return path


def make_receipt(
    job: Job,
    ids: Sequence[str],
    erasures: Sequence[Erasure],
    problem: str | None,
    rollback: Release | None,
    now: datetime,
) -> tuple[dict[str, Any], list[str]]:
    """The receipt, and the ids that were nowhere.

    Args:
        problem: of the release without them, if any.
        rollback: the newest release before it, if that took another back.
    """
    releases = list_releases(job.warehouse.root)
    remaining, users = _find_remaining(job, ids, erasures, releases, now)
    # by looking, whatever became of the release: it may have gone back to older versions, or be another's
    is_seen = any(each["until"] == _UNTIL_NEWER for each in remaining)
    known = {*hash_ids(users)}.union(*(each.users for each in erasures))
    missing = [id_ for id_ in ids if known.isdisjoint(hash_ids([id_]))]
    first_day = min((each.first_day for each in erasures if each.first_day), default=None)
    receipt = {
        "run": job.run_id,
        "erased_at": now,
        "sha256_of_ids": hash_ids(ids),
        "sha256_of_missing_ids": hash_ids(missing),
        "tables": [each.describe() for each in erasures],
        "release": _describe_newest(releases, is_seen, problem),
        "readers_see_them": is_seen,
        "ended_rollback": rollback.release_id if rollback and rollback != releases[0] else None,
        "still_held": remaining,
        "trained_with_them": _aggregates_since(job, first_day),
    }
    return receipt, missing


def _describe_newest(releases: Sequence[Release], is_seen: bool, problem: str | None) -> str:
    if not releases:
        return f"none: {problem}"
    newest = releases[0].release_id
    return f"none, so release {newest} still holds them: {problem}" if is_seen else newest


def find_erased(warehouse: Warehouse, table: str, version: int) -> dict[str, datetime]:
    """By the hash of its id, each listener that a version of a table is without, and when it was erased last."""
    folder, erased = warehouse.path("quality", "receipts"), dict[str, datetime]()
    for name in sorted(warehouse.list_files(folder)):
        with warehouse.files.open_input_stream(warehouse.inner(f"{folder}/{name}")) as file:
            receipt = json.loads(file.read())
        if "sha256_of_ids" not in receipt:  # of another command
            continue
        # a version from before an erasure has what went with it
        if not any(each["table"] == table and each["version"] <= version for each in receipt["tables"]):
            continue
        erased_at = datetime.fromisoformat(receipt["erased_at"])
        # who was in no table lost nothing
        for id_ in set(receipt["sha256_of_ids"]) - set(receipt["sha256_of_missing_ids"]):
            erased[id_] = max(erased_at, erased.get(id_, erased_at))
    return erased


def _find_remaining(
    job: Job, ids: Sequence[str], erasures: Sequence[Erasure], releases: list[Release], now: datetime
) -> tuple[list[dict[str, Any]], set[str]]:
    """Where they still are, and who: in releases, by looking; in other old versions, by how long those are kept."""
    users = set[str]()

    # versions that several releases name are read once
    @cache
    def has_users(table: str, version: int) -> bool:
        of_version = _users_of_version(job, table, version, ids)
        users.update(of_version)
        return bool(of_version)

    remaining: list[dict[str, Any]] = []
    for release in select_unexpired(releases, now):
        versions = {e.table: release.tables[e.table].version for e in erasures if e.table in release.tables}
        if tables := sorted(name for name, version in versions.items() if has_users(name, version)):
            until = _UNTIL_NEWER if release is releases[0] else release.expires_at + GRACE
            remaining.append({"by": f"release {release.release_id}", "tables": tables, "until": until})
    # a file that was dropped just now stays for a release's life: Spark may travel to it
    if remaining or any(each.rows for each in erasures):
        tables = sorted(each.table for each in erasures)
        until = now + find_retention().releases + GRACE
        remaining.append({"by": "versions in no release", "tables": tables, "until": until})
    return remaining, users


def _users_of_version(job: Job, name: str, version: int, ids: Sequence[str]) -> set[str]:
    """Those of the ids that have rows."""
    # without Spark, which refuses to travel as far back as a release may reach
    snapshot = Snapshot.at(table_uri(job.warehouse.root, name), version)
    # each file holds a narrow range of the 64 buckets: those without any of theirs are not opened
    buckets = find_buckets(ids, CONTRACTS[name])
    rows = snapshot.read(snapshot.select(buckets=buckets), ["user_id"], pc.field("user_id").isin(list(ids)))
    users = set(pc.unique(rows["user_id"]).to_pylist())
    return users | _find_in_texts(snapshot, ids) if "raw" in CONTRACTS[name].names else users


def _find_in_texts(snapshot: Snapshot, ids: Sequence[str]) -> set[str]:
    """Those in the texts of rejected rows that do not say whose they are, as `forget` takes them."""
    from features.reasons import BROKEN_LINE

    users = set[str]()
    for some_id in join_alternatives(ids):
        # Arrow has no look-around: among the few rows that it leaves, Python looks for whole words
        mentions = pc.match_substring_regex(pc.field("raw"), some_id)
        rows = snapshot.read(snapshot.select(), ["user_id", "raw", "reasons"], mentions).to_pylist()
        texts = (row["raw"] for row in rows if row["user_id"] is None or BROKEN_LINE in row["reasons"])
        users.update(id_ for text in texts for id_ in re.findall(find_whole(some_id), text, re.ASCII))
    return users


def _aggregates_since(job: Job, first: date | None) -> list[dict[str, Any]]:
    """Aggregates and models of many listeners, from the first day that these played on."""
    aggregates = []
    for name in AGGREGATES:
        # from the log: no row is read
        state = job.warehouse.state(name)
        days = [day for day in state.days if first and day >= first] if state else []
        if days:
            aggregates.append({"table": name, "first_ds": days[0], "last_ds": days[-1], "days": len(days)})
    return aggregates


def print_receipt(receipt: dict[str, Any]) -> None:
    cells = [(t["table"], t["rows"], t["version"], len(t["staged"])) for t in receipt["tables"]]
    print(show.format_table(("table", "rows erased", "version", "staged batches dropped"), cells))
    print(f"\nrelease without them: {receipt['release']}")
    if ended := receipt["ended_rollback"]:
        print(
            f"the rollback by release {ended} ends with it: old versions cannot be without them, so it has the newest "
            "of every table. Correct what was wrong in those, or retract it"
        )
    for each in receipt["still_held"]:
        print(f"still held by {each['by']} ({', '.join(each['tables'])}) until {str(each['until'])[:16]}")
    for each in receipt["trained_with_them"]:
        print(f"made with their plays, and kept: {each['table']}, {each['days']} days to {each['last_ds']}")
