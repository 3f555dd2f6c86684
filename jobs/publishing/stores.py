"""Which roots can be published to: those where two commits of one version cannot both succeed."""

from __future__ import annotations

import os
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache
from threading import Barrier

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError
from pyarrow.fs import FileSelector

from jobs.errors import JobError, WrongUsage
from jobs.jars import s3_is_installed
from jobs.publishing.retention import GRACE
from jobs.publishing.warehouse import Warehouse
from jobs.session import is_submitted
from segue.errors import S3_SETTINGS, UsageError, innermost_cause
from segue.paths import make_absolute
from segue.roots import check_path
from segue.storage import S3, filesystem

# Stores that can refuse to overwrite: conditional puts. HDFS can too, but delta-rs has no client for it.
EXCLUSIVE = ("s3", "s3a", "gs", "abfs", "abfss")
# delta-rs reads these in any case. By the first it renames without looking, and the second of two commits
# wins; by the other it excludes only who uses the same lock, and overwrites who puts conditionally.
UNSAFE = {
    "aws_s3_allow_unsafe_rename": "delta-rs would commit without looking whether somebody else did",
    "aws_s3_locking_provider": "commits made under a lock do not see those made by conditional puts",
}
OFF = ("", "false", "0", "no", "n", "off")
# Of 30 tries with three at once on a busy machine, two met in the store each time.
RACERS, ROUNDS = 3, 2
# What the name of a probe's folder begins with.
PROBE = ".exclusive-"
# In a name, delta-rs takes these for escapes and the end of a path: it reads another folder, or no log at all. Spark
# takes the others for patterns.
_MISREAD = re.compile(r"%[0-9A-Fa-f]{2}|[#?\\*\[\]{}]")
# In the URI of a store, pyarrow and Hadoop do not agree with it on any other sign: of `bucket/root#2` the one wrote to
# `root`, and the other removed it.
_MISREAD_IN_URI = re.compile(r"[^A-Za-z0-9._~/@:=+-]")


@cache
def check_root(root: str) -> str:
    """`root`, if publishing there is exclusive; on an object store this is tried out, once a process.

    Raises:
        WrongUsage: nobody knows how to be exclusive there, or its name would be read as another.
        JobError: the store cannot be written to, or lets two commits of one version succeed.
    """
    scheme, colon, _ = root.partition("://")
    if not colon:  # a local disk: tests/faults has crowds that commit there without a lease, and none is lost
        return _check_name(root)
    if scheme not in EXCLUSIVE:
        raise WrongUsage(
            f"root {root!r}: publishing to {scheme}:// is not safe, as two commits of one version may both "
            f"succeed there; give a local path, or one of {', '.join(f'{each}://' for each in EXCLUSIVE)}"
        )
    if scheme in S3:
        for name, value in os.environ.items():
            if name.lower() in UNSAFE and value.lower() not in OFF:
                raise WrongUsage(
                    f"{name} is set: {UNSAFE[name.lower()]}. Unset it, here and wherever else this root is "
                    "published to; a store that needs it cannot be published to"
                )
    if misread := _MISREAD_IN_URI.search(root):
        raise WrongUsage(
            f"root {root!r}: it has {misread[0]!r}, which not all that read and write there take for a part of a name; "
            "give a root of letters of English, digits and . _ ~ - + = / alone"
        )
    _probe(root.rstrip("/"), S3_SETTINGS if scheme in S3 else "the name and the rights")
    # now, not when the first step opens a session; what is submitted brings jars of its own
    if scheme in S3 and not is_submitted() and not s3_is_installed():
        raise JobError(
            f"root {root!r}: Spark's jars for S3 are not in this environment; put them there, once, with: "
            "segue install-jars --s3"
        )
    return root


def _check_name(root: str) -> str:
    allowed = "none of # ? * [ ] { } and backslashes, and no % before two hexadecimal digits"
    try:
        check_path(root, make_absolute(root), _MISREAD, allowed)
    except UsageError as problem:
        raise WrongUsage(str(problem)) from None
    return root


def _probe(root: str, spelled: str) -> None:
    # some S3-compatible stores take a conditional put and ignore the condition, and their name does not say
    # which; a table of its own, as two that start at once would take each other's commits for their own
    path = f"{root}/{PROBE}{uuid.uuid4().hex[:8]}"
    try:
        DeltaTable.create(path, pa.schema([pa.field("n", pa.int64())]))
        try:
            # each round opens the table anew, so that all of one round begin at the same version
            exclusive = all(_commits_exclude_each_other(path) for _ in range(ROUNDS))
        finally:
            files, inner = filesystem(path)
            files.delete_dir(inner)
    except (DeltaError, OSError) as problem:
        raise JobError(
            f"root {root!r} cannot be written to: {innermost_cause(problem)}. Check {spelled}"
        ) from problem
    if not exclusive:
        raise JobError(
            f"root {root!r}: this store let two commits of one version succeed, so batches could be lost; it must "
            "refuse a put with 'If-None-Match: *' when the object is there. Use a newer store or another root"
        )


def sweep_probes(warehouse: Warehouse, now: datetime, dry_run: bool) -> list[str]:
    """Removes what probes left that were killed; the names of it."""
    root = FileSelector(warehouse.inner(warehouse.root), allow_not_found=True)
    names = [each.base_name for each in warehouse.files.get_file_info(root)]
    ended = [
        name for name in names if name.startswith(PROBE) and _is_over(warehouse.path(name), warehouse, now)
    ]
    for name in () if dry_run else ended:
        warehouse.remove(warehouse.path(name))
    return ended


def _is_over(path: str, warehouse: Warehouse, now: datetime) -> bool:
    # by its files: a folder on a store has no time
    return all(now - file.mtime > GRACE for file in warehouse.list_files(path).values())


def _commits_exclude_each_other(path: str) -> bool:
    # at once: one after the other, delta-rs would see the first and not even ask the store
    tables, line = [DeltaTable(path) for _ in range(RACERS)], Barrier(RACERS)

    def commits(table: DeltaTable) -> bool:
        schema, once = table.schema(), CommitProperties(max_commit_retries=0)
        line.wait()
        try:
            table.create_write_transaction([], mode="append", schema=schema, commit_properties=once)
        except CommitFailedError:
            return False
        return True

    with ThreadPoolExecutor(RACERS) as at_once:
        return sum(at_once.map(commits, tables)) <= 1
