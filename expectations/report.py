"""The quality report of one run: the outcome of every batch, with the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from expectations.pages import NOTHING, make_environment
from expectations.verdict import name_status

Row = Mapping[str, Any]

_WORST_FIRST = ("broken", "warning", "noted", "held")


@dataclass(frozen=True)
class Attempt:
    """One attempt to publish one batch; its results, the worst first."""

    table: str
    batch_id: str
    days: str
    rows: int
    outcome: str
    results: tuple[Row, ...]

    def with_status(self, status: str) -> list[Row]:
        return [row for row in self.results if _status(row) == status]


def render(
    rows: Iterable[Row], release: Mapping[str, Any] | None, title: str, steps: Sequence[Row] = ()
) -> str:
    """One HTML page, complete in itself.

    Args:
        rows: of the table `quality_results`, of one run.
        release: what readers are served now (release_id, released_at, complete_through, and per table version,
            rows, content_hash and lag_days), or None before the first.
        steps: of the flow, if it was one (step, outcome, rows, seconds, why).
    """
    rows_by_time = sorted(rows, key=lambda row: (row["checked_at"], row["attempt_id"]))
    attempts = [
        _attempt(list(group)) for _, group in groupby(rows_by_time, key=lambda row: row["attempt_id"])
    ]
    # stable: refused ones first, each of the two in order of time
    attempts.sort(key=lambda attempt: attempt.outcome != "refused")
    tables = release["tables"].values() if release else ()
    return (
        make_environment()
        .get_template("report.html")
        .render(
            title=title,
            attempts=attempts,
            refused=[attempt for attempt in attempts if attempt.outcome == "refused"],
            statuses=Counter(map(_status, rows_by_time)),
            audited_at=max((row["checked_at"] for row in rows_by_time), default=None),
            release=release,
            tables_behind=sum(bool(table.get("lag_days")) for table in tables),
            steps=steps,
        )
    )


def _attempt(results: list[Row]) -> Attempt:
    # each result repeats what is true of its batch, so the first of them will do
    row = results[0]
    first, last = row["first_ds"], row["last_ds"]
    return Attempt(
        table=row["table_name"],
        batch_id=row["batch_id"],
        days=NOTHING if first is None else str(first) if first == last else f"{first} to {last}",
        rows=row["rows"],
        outcome=row["outcome"],
        results=tuple(sorted(results, key=lambda row: _WORST_FIRST.index(_status(row)))),
    )


def _status(row: Row) -> str:
    return name_status(row["success"], row["severity"])
