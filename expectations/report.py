"""The quality report of one run: the outcome of every batch, with the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from expectations.attempts import Attempt, Row, group_attempts, list_facts, result_status
from expectations.pages import shared_environment

if TYPE_CHECKING:
    from expectations.quarantine import Quarantine

# Table, expectation, column.
Known = tuple[str, str, str | None]


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
    results = list(rows)
    attempts = group_attempts(results, quarantines)
    # stable: refused ones first, each of the two in order of time
    attempts.sort(key=lambda attempt: attempt.outcome != "refused")
    tables = release["tables"].values() if release else ()
    return (
        shared_environment()
        .get_template("report.html")
        .render(
            title=title,
            attempts=attempts,
            refused=[attempt for attempt in attempts if attempt.outcome == "refused"],
            warnings=_split_warnings(attempts, known),
            facts=list_facts(attempts),
            statuses=Counter(map(result_status, results)),
            audited_at=max((row["checked_at"] for row in results), default=None),
            release=release,
            tables_behind=sum(bool(table.get("lag_days")) for table in tables),
            steps=steps,
        )
    )


def _split_warnings(attempts: Iterable[Attempt], known: Collection[Known]) -> Warnings:
    pairs = [(attempt, row) for attempt in attempts for row in attempt.with_status("warning")]
    is_known = [(row["table_name"], row["expectation"], row["column"]) in known for _, row in pairs]
    new, old = (
        tuple(pair for pair, each in zip(pairs, is_known, strict=True) if each == wanted)
        for wanted in (False, True)
    )
    return Warnings(new, old)
