"""How many plays a day has, against the same weekday of the weeks before: half a delivery is no error of any row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from statistics import median

from jobs.publishing.state import TableState

# A month: enough for a median that one holiday does not move.
WEEKS = 4


def compare_with_weekdays(published: TableState | None, new_plays: Mapping[date, int]) -> float | None:
    """Of the day that most of the plays are of: all its plays, as a share of the median of four such weekdays before.

    None where there are no plays, or fewer weeks. Of other days a delivery has the last hours, or the first.

    Args:
        new_plays: by day, not published yet.
    """
    if not new_plays:
        return None
    rows = {day: each.rows for day, each in published.day_states.items()} if published else {}
    day = max(new_plays, key=lambda each: (new_plays[each], each))
    before = [rows.get(day - timedelta(weeks=n), 0) for n in range(1, WEEKS + 1)]
    return (rows.get(day, 0) + new_plays[day]) / median(before) if all(before) else None
