"""What the site is made of, as whoever reads a root found it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property

from expectations.attempts import Attempt, Row

# What is new is compared with this long before.
NEWS_SPAN = timedelta(hours=24)


@dataclass(frozen=True)
class TableFacts:
    """One table: its newest version, and its attempts of the window, the oldest first."""

    name: str
    attempts: Sequence[Attempt]
    meaning: str = ""
    owner: str = ""
    columns: Sequence[str] = ()
    version: int | None = None
    rows: int | None = None
    # of its newest version; empty for a table without days
    rows_by_day: Mapping[date, int] = field(default_factory=dict)
    # the name of the batch that each day is of, without its revision
    fingerprints: Mapping[date, str] = field(default_factory=dict)
    # up to when each provisional day is complete
    provisional: Mapping[date, datetime] = field(default_factory=dict)
    # whether a batch replaces days, and not the whole table
    by_day: bool = True
    # whether each night should bring a day
    nightly: bool = False
    # its log, of which nothing above is known then
    unreadable: bool = False


@dataclass(frozen=True)
class RootFacts:
    """All that the pages are made of."""

    title: str
    made_at: datetime
    # the days shown, the oldest first
    window: Sequence[date]
    tables: Sequence[TableFacts]
    # as `report.render` takes the one that is served, the newest first
    releases: Sequence[Row] = ()
    # of health: kind, subject, status (wrong, note, fine), what, to_do, page, value, bound, unit, and since, owner
    # where they are known
    indicators: Sequence[Row] = ()

    @cached_property
    def nights(self) -> dict[str, date]:
        """By run the newest day of its batches: where what has no days stands."""
        nights: dict[str, date] = {}
        for each in (attempt for table in self.tables for attempt in table.attempts):
            if each.last_ds is not None:
                nights[each.run_id] = max(each.last_ds, nights.get(each.run_id, each.last_ds))
        return nights

    @property
    def attempts(self) -> list[Attempt]:
        """Of all tables, the oldest first."""
        every = (attempt for table in self.tables for attempt in table.attempts)
        return sorted(every, key=lambda attempt: attempt.checked_at)

    @property
    def last_audit(self) -> datetime | None:
        return max((attempt.checked_at for table in self.tables for attempt in table.attempts), default=None)

    @property
    def news_since(self) -> datetime:
        """A day ago; a day before the last audit, where that is longer ago."""
        return min(self.made_at, self.last_audit or self.made_at) - NEWS_SPAN
