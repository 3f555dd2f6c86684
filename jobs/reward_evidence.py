"""What the rewards of some days are made of, as a job reads it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING

from features.joins.ripeness import RIPE
from features.rewards import DayCount, Evidence, Windows
from features.windows.label_time import LabelTimeFeatures
from jobs import FLOW
from jobs.inputs import TableInput
from jobs.job import Job
from jobs.receipts import find_erased
from jobs.stale_features import find_stale_partials
from schemas import CONTRACTS, FEATURE_GROUPS, FeatureGroup, Rewards
from schemas.contract import add_new_columns
from schemas.operations import window_days
from schemas.reward_terms import SESSION_GROUP, TermWindow

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def read_plays(plays: TableInput) -> DataFrame:
    # columns of a project, before the first row that has them
    return add_new_columns(plays.rows(), CONTRACTS["sessions"])


class EvidenceReader:
    """Reads for days with these statuses, by horizon; `inputs` are what was read."""

    def __init__(self, job: Job, declared: Rewards, statuses: Mapping[date, Mapping[str, str]]) -> None:
        self._job, self._declared, self._statuses = job, declared, statuses
        self.inputs: list[TableInput] = []

    def read(self) -> Evidence:
        job = self._job
        return Evidence(
            statuses=self._statuses,
            windows=list(self._read_windows()),
            day_counts=list(self._read_day_counts()),
            later_plays=self._read_later_plays(),
            erased=find_erased(job.warehouse, "sessions", job.version("sessions")),
        )

    def find_waiting(self) -> dict[date, set[str]]:
        """Days that cannot be rewarded yet, with the tables that `find_unusable_days` has something against."""
        waiting = defaultdict[date, set[str]](set)
        for group, parts, horizon, list_days in self._list_partials():
            unusable = find_unusable_days(self._job, group, parts)
            for day in self._find_ripe(horizon) if unusable else ():
                if not unusable.isdisjoint(list_days(day)):
                    waiting[day].add(group.partials_table)
        return waiting

    def _list_partials(self) -> Iterator[tuple[FeatureGroup, list[str], str, Callable[[date], list[date]]]]:
        """Groups and parts whose partials are read, after which horizon, and of which days for a day."""
        for window in self._declared.list_windows(FEATURE_GROUPS):
            if window.group.table != SESSION_GROUP.table:
                parts = [part.name for part in window.group.parts]
                yield window.group, parts, window.horizon, partial(_list_partial_days, window)
        for term, group in self._declared.list_day_counts(FEATURE_GROUPS):
            reach = range(1, window_days(term.outcome.horizon))
            yield group, [], term.outcome.horizon, partial(_list_after_one, reach)

    def _find_ripe(self, horizon: str) -> tuple[date, ...]:
        # what is known at once has no status
        return tuple(day for day, of_day in self._statuses.items() if of_day.get(horizon, RIPE) == RIPE)

    def _read(self, table: str, days: Sequence[date]) -> TableInput:
        self.inputs.append(self._job.table(table, days))
        return self.inputs[-1]

    def _read_windows(self) -> Iterator[Windows]:
        for window in self._declared.list_windows(FEATURE_GROUPS):
            # of other days nothing is read: the plays of their windows are not all there yet
            if label_days := self._find_ripe(window.horizon):
                yield self._read_window(window, label_days)

    def _read_window(self, window: TermWindow, label_days: tuple[date, ...]) -> Windows:
        group, request = window.group, _make_request(window, label_days)
        plays = read_plays(self._read("sessions", request.play_days))
        if group.table == SESSION_GROUP.table:
            none = self._job.spark.createDataFrame([], group.partials_contract().struct())
            return Windows(request, none, plays)
        return Windows(request, self._read(group.partials_table, request.partial_days).rows(), plays)

    def _read_day_counts(self) -> Iterator[DayCount]:
        for term, group in self._declared.list_day_counts(FEATURE_GROUPS):
            days = window_days(term.outcome.horizon)
            if label_days := self._find_ripe(term.outcome.horizon):
                partials = self._read(group.partials_table, _list_after(label_days, range(1, days)))
                yield DayCount(term.column, group, days, label_days, partials.rows())

    def _read_later_plays(self) -> DataFrame | None:
        reach = {reward: reward.days for reward in self._declared.rewards if reward.discount is not None}
        # the next play is one within a day
        reach |= {reward: 1 for reward in self._declared.rewards if reward.next_columns}
        days = {
            day
            for reward, last in reach.items()
            for day in _list_after(self._find_ripe(reward.horizon), range(last + 1))
        }
        # without any that is known, of no day
        return read_plays(self._read("sessions", sorted(days))) if reach else None


def find_unusable_days(job: Job, group: FeatureGroup, parts: Collection[str] = ()) -> set[date]:
    """Days whose partials are not made of the sessions that there are, or lack one of these parts.

    What is made of them would be wrong for good: a day of rewards is named by its sessions, which stay.
    """
    # with all its features, as days of before there were columns in the log are named by them
    declared = next(each for each in FEATURE_GROUPS if each.table == group.table)
    stale = find_stale_partials(job.warehouse, declared, job.source("sessions"))
    lacking = () if set(parts).isdisjoint(stale.columns) else stale.extended
    return {*stale.whole, *lacking}


def leave_waiting(
    job: Job, table: str, days: Sequence[date], waiting: Mapping[date, set[str]], of: str = "sessions"
) -> list[date]:
    """The days that can be made; says which wait, for which tables, and what makes these."""
    if those := [day for day in days if day in waiting]:
        tables = sorted(set().union(*(waiting[day] for day in those)))
        steps = dict.fromkeys(step.name for step in FLOW for each in tables if each in step.makes)
        job.say(
            f"{table}: {len(those):,} days wait, {min(those)} to {max(those)}: they are made of {', '.join(tables)}, "
            f"not yet of the {of} that there are; run {', '.join(steps)}, then this again"
        )
    return [day for day in days if day not in waiting]


def _make_request(window: TermWindow, label_days: tuple[date, ...]) -> LabelTimeFeatures:
    return LabelTimeFeatures(window.group, tuple(window.group.identities), label_days, window.ahead)


def _list_partial_days(window: TermWindow, day: date) -> list[date]:
    return list(_make_request(window, (day,)).partial_days)


def _list_after_one(reach: range, day: date) -> list[date]:
    return _list_after([day], reach)


def _list_after(days: Sequence[date], reach: range) -> list[date]:
    return sorted({day + timedelta(days=n) for day in days for n in reach})
