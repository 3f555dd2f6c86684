"""Which roots can be published to: those where two commits of one version cannot both succeed."""

from __future__ import annotations

import os
import uuid
from functools import cache

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from jobs.errors import JobError, WrongUsage, first_line
from segue.storage import filesystem

# Stores that can refuse to overwrite: conditional puts. HDFS can too, but delta-rs has no client for it.
EXCLUSIVE = ("s3", "s3a", "gs", "abfs", "abfss")
# Names delta-rs reads; with them it renames without looking, and the second of two commits wins.
UNSAFE = ("AWS_S3_ALLOW_UNSAFE_RENAME", "aws_s3_allow_unsafe_rename")


@cache
def checked_root(root: str) -> str:
    """`root`, if publishing there is exclusive; on an object store this is tried out, once a process.

    Raises:
        WrongUsage: nobody knows how to be exclusive there.
        JobError: the store cannot be written to, or lets two commits of one version succeed.
    """
    scheme, colon, _ = root.partition("://")
    if not colon:
        return root
    if scheme not in EXCLUSIVE:
        raise WrongUsage(
            f"root {root!r}: publishing to {scheme}:// is not safe, as two commits of one version may both "
            f"succeed there; give a local path, or one of {', '.join(f'{known}://' for known in EXCLUSIVE)}"
        )
    if unsafe := next(
        (name for name in UNSAFE if os.environ.get(name, "").lower() in ("true", "1", "yes")), None
    ):
        raise WrongUsage(
            f"{unsafe} is set: delta-rs would commit without looking whether somebody else did. Unset it; "
            "a store that needs it cannot be published to"
        )
    _try_out(root.rstrip("/"))
    return root


def _try_out(root: str) -> None:
    """Some S3-compatible stores take a conditional put and ignore the condition."""
    path = f"{root}/.exclusive-{uuid.uuid4().hex[:8]}"
    rows = pa.table({"n": [1]})
    once = CommitProperties(max_commit_retries=0)
    try:
        write_deltalake(path, rows)
        first, second = DeltaTable(path), DeltaTable(path)
        write_deltalake(first, rows, mode="append", commit_properties=once)
        write_deltalake(second, rows, mode="append", commit_properties=once)
    except CommitFailedError:
        _remove(path)
        return
    except (DeltaError, OSError) as problem:
        raise JobError(f"root {root!r} cannot be written to: {first_line(problem)}") from problem
    _remove(path)
    raise JobError(
        f"root {root!r}: this store let two commits of one version succeed, so batches could be lost; "
        "it must refuse a put with 'If-None-Match: *' when the object is there. Use a newer store or another root"
    )


def _remove(path: str) -> None:
    files, inner = filesystem(path)
    files.delete_dir(inner)
