"""The quality report of one run: the outcome of every batch, with the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import Any

from expectations.pages import NOTHING, make_environment
from expectations.quarantine import Quarantine
from expectations.verdict import name_status

Row = Mapping[str, Any]
# Table, expectation, column.
Known = tuple[str, str, str | None]

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
    # rows that broke expectations of a refused one, and the queries that find all of them
    quarantine: Quarantine | None = None

    def with_status(self, status: str) -> list[Row]:
        return [row for row in self.results if _status(row) == status]


@dataclass(frozen=True)
class Fact:
    """What a source does not have, said once, and the columns that are empty for it, each as its table and its name."""

    what: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Warnings:
    """Results that warn, with the attempt of each; `known` are those that the batch before warned of, too."""

    new: tuple[tuple[Attempt, Row], ...]
    known: tuple[tuple[Attempt, Row], ...]


def render(
    rows: Iterable[Row],
    release: Mapping[str, Any] | None,
    title: str,
    steps: Sequence[Row] = (),
    known: Collection[Known] = (),
    quarantines: Mapping[str, Quarantine] = MappingProxyType({}),
) -> str:
    """One HTML page, complete in itself.

    Args:
        rows: of the table `quality_results`, of one run.
        release: what readers are served now (release_id, released_at, complete_through, and per table version,
            rows, content_hash and lag_days), or None before the first.
        steps: of the flow, if it was one (step, outcome, rows, seconds, why).
        known: of which table, expectation and column the batch before did not hold either.
        quarantines: rows that were kept of refused batches, by attempt.
    """
    rows_by_time = sorted(rows, key=lambda row: (row["checked_at"], row["attempt_id"]))
    attempts = [
        _attempt(list(group), quarantines.get(id_))
        for id_, group in groupby(rows_by_time, key=lambda row: row["attempt_id"])
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
            warnings=_split_warnings(attempts, known),
            facts=_list_facts(attempts),
            statuses=Counter(map(_status, rows_by_time)),
            audited_at=max((row["checked_at"] for row in rows_by_time), default=None),
            release=release,
            tables_behind=sum(bool(table.get("lag_days")) for table in tables),
            steps=steps,
        )
    )


def _attempt(results: list[Row], quarantine: Quarantine | None) -> Attempt:
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
        quarantine=quarantine,
    )


def _split_warnings(attempts: Iterable[Attempt], known: Collection[Known]) -> Warnings:
    pairs = [(attempt, row) for attempt in attempts for row in attempt.with_status("warning")]
    is_known = [(row["table_name"], row["expectation"], row["column"]) in known for _, row in pairs]
    new, old = (
        tuple(pair for pair, each in zip(pairs, is_known, strict=True) if each == wanted)
        for wanted in (False, True)
    )
    return Warnings(new, old)


def _list_facts(attempts: Iterable[Attempt]) -> list[Fact]:
    """What is noted for a reason, by the reason: for want of one column of a source, dozens are empty."""
    columns: dict[str, list[str]] = {}
    for row in (row for attempt in attempts for row in attempt.with_status("noted")):
        # as `lineage.downgrade_to_info` writes it
        reason, separator, _ = row["observed"].partition(": ")
        if separator and row["column"]:
            columns.setdefault(reason, []).append(f"{row['table_name']}:{row['column']}")
    return [Fact(reason, tuple(dict.fromkeys(names))) for reason, names in columns.items()]


def _status(row: Row) -> str:
    return name_status(row["success"], row["severity"])
