"""The batches that are offered in every fault: small, and each row says which one it belongs to.

Keys do not depend on the batch: two batches of one day at once are duplicate keys as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import gettempdir

from jobs.job import Job
from jobs.publishing.batches import Batch
from jobs.publishing.state import TableState
from reference.plays import session_play
from reference.rows import Row
from schemas.sessions import SESSIONS
from segue.releases import Release, TableVersion, append_release

TABLE = SESSIONS.name
FIRST = date(2026, 10, 1)


@dataclass(frozen=True)
class Offer:
    """One batch: how many rows it has of each of its days. Its label stands in every row as the track."""

    label: str
    counts: Mapping[int, int]

    @property
    def days(self) -> list[date]:
        return [FIRST + timedelta(days=n) for n in self.counts]

    @property
    def rows_by_day(self) -> dict[date, int]:
        return dict(zip(self.days, self.counts.values(), strict=True))

    def batch(self, job: Job) -> Batch:
        return job.batch(TABLE, self.days, parameters={"offer": self.label})

    @property
    def fingerprint(self) -> str:
        # of this process's messages, what is logged later goes there too: not below the working folder
        return self.batch(Job("fault", f"{gettempdir()}/segue-no-root")).fingerprint

    def rows(self) -> list[Row]:
        return [self._row(day, n) for day, count in self.rows_by_day.items() for n in range(count)]

    def _row(self, day: date, n: int) -> Row:
        at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(seconds=n)
        return session_play(
            play_id=f"{day}-{n}", user_id=f"u{n}", track_id=self.label, played_at=at, session_started_at=at
        )


# In a cycle, each changes what the one before left: whole days, one of several, a day left empty.
OFFERS = (
    Offer("first", {0: 3, 1: 4, 2: 5}),
    Offer("one day", {1: 2}),
    Offer("a day emptied", {0: 2, 2: 0}),
    Offer("last day", {2: 7}),
    Offer("one day again", {1: 3}),
    Offer("last day again", {2: 1}),
)


def release_table(root: Path, state: TableState) -> Release:
    """A release of nothing but the table in this state."""
    entry = TableVersion(state.version, state.rows, state.content_hash)
    return append_release(root, FIRST + timedelta(days=2), {TABLE: entry})
