"""Which rows the days of a group have that leaves out those of idle entities; `segue.idle` says how they are found."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from datetime import date

from features.windows.daily import RowWindows
from jobs.job import Job
from jobs.publishing.state import TableState
from jobs.stale_features import StaleDays
from schemas import FeatureGroup
from schemas.declarations import LIFETIME
from segue.idle import count_days, find_reach


def list_row_windows(job: Job, group: FeatureGroup, days: Sequence[date]) -> RowWindows | None:
    """Of each day, the window in which an entity with a row has a play; None where every entity has one."""
    if group.idle_rows:
        return None
    published = job.warehouse.state(group.table)
    table_days = sorted({*days, *(published.days if published else ())})
    before = dict(zip(table_days[1:], table_days, strict=False))
    partials = job.source(group.partials_table).day_states
    windows = {}
    for day in days:
        # idle since a day above the reach: its last play was its longest window before that
        length = count_days(day) - find_reach(day, before.get(day)) + group.longest_lookback
        has_events = day in partials and partials[day].rows
        # without a row it would be no day, and labels would get the day before it
        windows[day] = f"{length}d" if has_events else LIFETIME
    return windows


def list_days_after(group: FeatureGroup, state: TableState | None, gone: Collection[date]) -> list[date]:
    """The next published day after each that is gone, where that stood for idle entities: it stands for them now."""
    if group.idle_rows or state is None:
        return []
    kept = [day for day in state.days if day not in gone]
    places = {bisect_left(kept, day) for day in gone}
    return [kept[place] for place in sorted(places) if place < len(kept)]


def has_day_without_events(row_windows: RowWindows | None) -> bool:
    return LIFETIME in (row_windows or {}).values()


def add_stale_days(job: Job, group: FeatureGroup, stale: StaleDays, requested: Sequence[date]) -> list[date]:
    """The requested days, and where idle entities have no rows all that are stale: a day takes theirs from days before
    it, which are to be made of the same plays."""
    published = job.warehouse.state(group.table)
    if group.idle_rows or published is None:
        return [*requested]
    known = published.day_states
    return sorted({*requested, *(day for day in (*stale.whole, *stale.extended) if day in known)})
