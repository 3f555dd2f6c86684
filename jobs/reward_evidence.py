"""What the rewards of some days are made of, as a job reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from features.joins.ripeness import RIPE
from features.rewards import DayCount, Evidence, Windows
from features.windows.label_time import LabelTimeFeatures
from jobs.inputs import TableInput
from jobs.job import Job
from jobs.receipts import find_erased
from schemas import CONTRACTS, FEATURE_GROUPS, Rewards
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
        group = window.group
        request = LabelTimeFeatures(group, tuple(group.identities), label_days, window.ahead)
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


def _list_after(days: Sequence[date], reach: range) -> list[date]:
    return sorted({day + timedelta(days=n) for day in days for n in reach})
