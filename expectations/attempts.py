"""Attempts to publish, put together from their results: what every report of the gate shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any

from expectations.verdict import name_status

Row = Mapping[str, Any]

WORST_FIRST = ("broken", "warning", "noted", "held")


@dataclass(frozen=True)
class Attempt:
    """One attempt to publish one batch; its results, the worst first."""

    attempt_id: str
    run_id: str
    table: str
    batch_id: str
    first_ds: date | None
    last_ds: date | None
    rows: int
    outcome: str
    checked_at: datetime
    results: tuple[Row, ...]

    @cached_property
    def by_status(self) -> dict[str, list[Row]]:
        groups: dict[str, list[Row]] = {status: [] for status in WORST_FIRST}
        for row in self.results:
            groups[result_status(row)].append(row)
        return groups

    def with_status(self, status: str) -> list[Row]:
        return self.by_status[status]

    @property
    def days(self) -> str | None:
        """Of its rows, in words; None where they have none."""
        if self.first_ds is None or self.first_ds == self.last_ds:
            return None if self.first_ds is None else str(self.first_ds)
        return f"{self.first_ds} to {self.last_ds}"


def group_attempts(rows: Iterable[Row]) -> list[Attempt]:
    """Of the table `quality_results`, in order of time."""
    by_time = sorted(rows, key=lambda row: (row["checked_at"], row["attempt_id"]))
    # stable: an attempt may have results of two instants, and is as old as the first of them
    by_attempt: dict[str, list[Row]] = {}
    for row in by_time:
        by_attempt.setdefault(row["attempt_id"], []).append(row)
    return [_make_attempt(results) for results in by_attempt.values()]


def result_status(row: Row) -> str:
    return name_status(row["success"], row["severity"])


def _make_attempt(results: list[Row]) -> Attempt:
    # each result repeats what is true of its batch, so the first of them will do
    row = results[0]
    return Attempt(
        attempt_id=row["attempt_id"],
        run_id=row["run_id"],
        table=row["table_name"],
        batch_id=row["batch_id"],
        first_ds=row["first_ds"],
        last_ds=row["last_ds"],
        rows=row["rows"],
        outcome=row["outcome"],
        checked_at=row["checked_at"],
        results=tuple(sorted(results, key=lambda row: WORST_FIRST.index(result_status(row)))),
    )
