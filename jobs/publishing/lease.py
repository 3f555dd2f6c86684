"""One worker per table on one machine: saves work that would be lost, keeps maintenance apart.

The compare-and-swap of `commits.swap` is what makes publishing exclusive; a lease is a courtesy, and
on object stores, where there is no file to lock, there is none. The lock is `flock` by hand because whoever waits
must be able to read who holds it, in the very file: what locks by a file's existence or truncates it cannot say.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from jobs.errors import JobError, first_line
from jobs.publishing.warehouse import Warehouse

NAME = ".lease"
# A night's longest step takes less; whoever is paged should hear of it before the morning.
PATIENCE_S = 3600
_LOOK_EVERY_S = 0.2


@contextmanager
def lease(
    warehouse: Warehouse, table: str, purpose: str, say: Callable[[str], None], patience_s: float = PATIENCE_S
) -> Iterator[None]:
    """Holds the table until the block ends. The lock dies with its process, however that dies.

    Raises:
        JobError: somebody else held it all that time; the text says who.
    """
    if warehouse.remote:
        yield
        return
    folder = Path(warehouse.table_path(table))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / NAME).open("a+")
    except OSError as problem:
        raise JobError(f"table {table}: {folder} cannot be written to: {first_line(problem)}") from problem
    with file:
        _wait(file, table, say, patience_s)
        _sign(file, purpose)
        yield


def _wait(file: IO[str], table: str, say: Callable[[str], None], patience_s: float) -> None:
    give_up, announced = time.monotonic() + patience_s, False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= give_up:
                raise JobError(
                    f"table {table}: waited {patience_s:.0f} s for {_read_holder(file)}; nothing was changed. "
                    "Wait until it is done, or end it, then run the step again"
                ) from None
        if not announced:
            say(f"{table}: waiting for {_read_holder(file)}")
            announced = True
        time.sleep(_LOOK_EVERY_S)


def _sign(file: IO[str], purpose: str) -> None:
    """For whoever waits; a full disk must not end a job over it."""
    try:
        # the lock is held by now, so nobody else writes here
        file.truncate(0)
        json.dump({"purpose": purpose, "process": os.getpid(), "since": str(datetime.now(UTC))[:19]}, file)
        file.flush()
    except OSError:
        pass


def _read_holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        known = json.load(file)
        return f"{known['purpose']} (process {known['process']}, since {known['since']} UTC)"
    except (ValueError, KeyError):
        return "another process"
