"""One worker per table on one machine: saves work that would be lost, keeps maintenance apart.

The compare-and-swap of `commits.swap` is what makes publishing exclusive; a lease is a courtesy.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from jobs.errors import JobError, first_line
from jobs.publishing.warehouse import LEASE, Warehouse

# A night's longest step takes less; whoever is paged should hear of it before the morning.
PATIENCE_S = 3600
# `flock` cannot wait with an end and without a signal, so it is tried; a step takes seconds at least.
_LOOK_EVERY_S = 0.2


@contextmanager
def lease(
    warehouse: Warehouse, table: str, purpose: str, say: Callable[[str], None], patience_s: float = PATIENCE_S
) -> Iterator[None]:
    """Holds the table until the block ends; JobError, with the holder's name, where patience ends first."""
    if warehouse.remote:  # an object store has no file to lock
        yield
        return
    folder = Path(warehouse.table_path(table))
    try:
        # appended to: opening must not empty what says who holds it
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LEASE).open("a+")
    except OSError as problem:
        raise JobError(f"table {table}: {folder} cannot be written to: {first_line(problem)}") from problem
    with file:
        _wait(file, table, say, patience_s)
        # for whoever waits; nobody else writes here, and a full disk must not end a job over it
        with suppress(OSError):
            file.truncate(0)
            json.dump(
                {"purpose": purpose, "process": os.getpid(), "since": str(datetime.now(UTC))[:19]}, file
            )
            file.flush()
        yield
        # never deleted: who waits has this very file open, and who comes next would lock another of that name


def _wait(file: IO[str], table: str, say: Callable[[str], None], patience_s: float) -> None:
    # a monotonic clock: one that is set back would wait for hours
    deadline, announced = time.monotonic() + patience_s, False
    while True:
        try:
            # of the open file, so it dies with its process, however that dies. A lock by a file's existence
            # outlives a killed holder, and filelock empties the file, which then cannot say who holds it
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise JobError(
                    f"table {table}: waited {patience_s:.0f} s for {_read_holder(file)}; nothing was changed. "
                    "Wait until it is done, or end it, then run the step again"
                ) from None
        if not announced:
            say(f"{table}: waiting for {_read_holder(file)}")
            announced = True
        time.sleep(_LOOK_EVERY_S)


def _read_holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        holder = json.load(file)
        return f"{holder['purpose']} (process {holder['process']}, since {holder['since']} UTC)"
    # between the holder's lock and its last write, the file is empty or half written
    except (ValueError, KeyError):
        return "another process"
