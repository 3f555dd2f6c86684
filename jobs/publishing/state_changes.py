"""What a commit writes of a table's state: all of it at times, and between these what has changed since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from deltalake import DeltaTable

from jobs.publishing.state import TableState
from segue.log import find_whole_state, read_whole_state
from segue.publication_record import parse_instant
from segue.saved_state import find_changes

# Up to so many bytes a state is always written whole: what an entry takes to read is the round trip then, and changes
# take two.
WHOLE_BYTES = 16 * 1024
# An entry that others rest on is never older than they are by more: a quarter of the log's life, so that a clean-up
# that knows nothing of this (`clean_log` does) leaves whole what is younger than the rest of it.
OLDEST_BASE = timedelta(days=30)


def save_state(table: DeltaTable, state: TableState) -> dict[str, Any]:
    """For a commit on top of the version that `table` was opened at, and of no other.

    Raises:
        SegueError: the state that the newest one rests on is not there any more.
    """
    whole = state.dumps()
    size, version = _count_bytes(whole), find_whole_state(table.table_uri, table.version())
    if size <= WHOLE_BYTES or version is None:
        return whole
    base = read_whole_state(table.table_uri, version, table.version())
    changes = None if _is_old(base) else find_changes(version, base, whole)
    return whole if changes is None or _is_long(changes, table.version() + 1 - version, size) else changes


def _is_old(base: Mapping[str, Any]) -> bool:
    # the entry is no older than the newest rows that it says to be there; a clock may be fast, or run back
    if not base["published_at"]:
        return True
    return abs(datetime.now(UTC) - parse_instant(base["published_at"])) > OLDEST_BASE


def _is_long(changes: Mapping[str, Any], commits: int, size: int) -> bool:
    """Whether to write a state of `size` bytes whole, so many commits after the last that was."""
    length = _count_bytes(changes)
    # changes grow with each commit. What entries come to is least if a state is written whole once the changes since
    # the last one have together become as long as it is
    return 2 * length > size or commits * length > 2 * size


def _count_bytes(saved: Mapping[str, Any]) -> int:
    return len(json.dumps(saved))
