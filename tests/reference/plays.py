"""One row of `plays` and one of `sessions`, all of it but what a test is about.

Apart from the worlds that hypothesis draws, which takes longer to import than a process that is killed lives.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from reference.rows import Row, bucket, day

MIDNIGHT = datetime(2024, 2, 29, tzinfo=UTC)  # a leap day: the day before and after are in other places


def play(**overrides: Any) -> Row:
    """A row of `plays`, all of it unless overridden, without `available_at`."""
    row: Row = {
        "play_id": "p1",
        "user_id": "u1",
        "track_id": "t1",
        "artist_id": "a1",
        "played_at": MIDNIGHT + 12 * timedelta(hours=1),
        "ms_played": 180_000,
        "track_ms": 200_000,
        "skipped": None,
        "saved": None,
        "source_session_id": None,
        "source": "test",
    }
    return _with_day(row, overrides)


def session_play(**overrides: Any) -> Row:
    """A row of `sessions`, all of it unless overridden, without `available_at`."""
    row = play() | {
        "session_id": "s1",
        "session_started_at": MIDNIGHT,
        "position": 1,
        "completion": 0.9,
        "skipped": False,
        "saved": False,
        "is_bot": False,
    }
    del row["source_session_id"], row["source"]
    return _with_day(row, overrides)


def _with_day(row: Row, overrides: Row) -> Row:
    unknown = overrides.keys() - row.keys()
    if unknown:
        raise KeyError(f"no column {sorted(unknown)}")
    row = row | overrides
    return row | {"bucket": bucket(row["user_id"]), "ds": day(row["played_at"])}
