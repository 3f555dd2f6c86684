"""Attempts to publish, put together from their results: what every report of the gate shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from expectations.verdict import name_status
from expectations.wording import describe_failure

if TYPE_CHECKING:  # suites come with it, and no page needs one
    from expectations.quarantine import Quarantine

Row = Mapping[str, Any]

FAILED, ABANDONED = "failed", "abandoned"
# It found what is published to be what was to be published, after an attempt that was refused or failed.
UNCHANGED = "unchanged"
# Of such an attempt there is no verdict on any row.
NOT_AUDITED = (FAILED, ABANDONED, UNCHANGED)
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
    # each of its days; None where it has none, or where its ends alone are on record
    listed_days: tuple[date, ...] | None = None
    # rows that broke expectations of a refused one, and the queries that find all of them
    quarantine: Quarantine | None = None

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


@dataclass(frozen=True)
class Fact:
    """What a source does not have, said once, and the columns that are empty for it, each as its table and its name."""

    what: str
    columns: tuple[str, ...]


def group_attempts(
    rows: Iterable[Row], quarantines: Mapping[str, Quarantine] = MappingProxyType({})
) -> list[Attempt]:
    """Of rows of the table `quality_results`, in order of time; `quarantines` by attempt."""
    by_time = sorted(rows, key=lambda row: (row["checked_at"], row["attempt_id"]))
    # stable: an attempt may have results of two instants, and is as old as the first of them
    by_attempt: dict[str, list[Row]] = {}
    for row in by_time:
        by_attempt.setdefault(row["attempt_id"], []).append(row)
    # each result repeats what is true of its batch, so the first of them will do
    return [make_attempt(results[0], results, quarantines.get(id_)) for id_, results in by_attempt.items()]


def list_facts(attempts: Iterable[Attempt]) -> list[Fact]:
    """What is noted for a reason, by the reason: for want of one column of a source, dozens are empty."""
    columns: dict[str, list[str]] = {}
    for attempt, row in ((each, row) for each in attempts for row in each.with_status("noted")):
        # as `lineage.downgrade_to_info` writes it
        reason, separator, _ = row["observed"].partition(": ")
        if separator and row["column"]:
            columns.setdefault(reason, []).append(f"{attempt.table}:{row['column']}")
    return [Fact(reason, tuple(dict.fromkeys(names))) for reason, names in columns.items()]


def result_status(row: Row) -> str:
    return name_status(row["success"], row["severity"])


def describe_row(row: Row) -> str:
    """A result that did not hold, in one line."""
    return describe_failure(row["column"], row["expected"], row["observed"])


def make_attempt(row: Row, results: Iterable[Row], quarantine: Quarantine | None = None) -> Attempt:
    """`row` has what is true of the batch; results need those columns alone that differ between them."""
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
        listed_days=tuple(days) if (days := row.get("days")) else None,
        results=tuple(sorted(results, key=lambda row: WORST_FIRST.index(result_status(row)))),
        quarantine=quarantine,
    )
