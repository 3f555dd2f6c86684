"""What is known of the days of a table, without reading its rows: how many they were, and profiles of their columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from expectations.column_drift import Comparison
from expectations.column_profiles import ColumnProfile
from jobs.health.drift_settings import DriftSettings

Profiles = Mapping[tuple[date, str], ColumnProfile]

WEEK, DAY = timedelta(weeks=1), timedelta(days=1)
# Weeks before, of which each has a comparison like that of the newest day: what differs as much in most of them is no
# news.
USUAL_WEEKS = 3


@dataclass(frozen=True)
class TableHistory:
    """`day` is the newest one that is complete, and what is judged."""

    table: str
    day: date
    rows: Mapping[date, int]
    # of `list_compared_days`, as far as there are any
    profiles: Profiles = field(default_factory=dict)
    # different listeners by day
    listeners: Mapping[date, int] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """Those of the day."""
        return [column for day, column in self.profiles if day == self.day]

    def compare(self, column: str, day: date, earlier: date) -> Comparison | None:
        """None where either day has no profile of it."""
        now, before = self.profiles.get((day, column)), self.profiles.get((earlier, column))
        return Comparison(now, before) if now and before and now.kind == before.kind else None


def list_compared_days(day: date, settings: DriftSettings) -> set[date]:
    """The days whose profiles a judgement of `day` may need."""
    references = [settings.find_reference(each) for each in _list_weekdays(day)]
    return {day, day - DAY, *_list_weekdays(day), day - (USUAL_WEEKS + 1) * WEEK, *references}


def list_usual_pairs(day: date, find_earlier: Callable[[date], date]) -> Iterator[tuple[date, date]]:
    """The same weekday of the weeks before, each with the earlier day that it is compared with."""
    return ((each, find_earlier(each)) for each in _list_weekdays(day)[1:])


def _list_weekdays(day: date) -> list[date]:
    return [day - n * WEEK for n in range(USUAL_WEEKS + 1)]
