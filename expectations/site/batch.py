"""The page of one attempt to publish: the verdict in words, what did not hold and since when, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from expectations.attempts import Attempt
from expectations.site.files import INDEX, batch_file, table_file
from expectations.site.page import Page
from expectations.site.trends import Finding, History
from expectations.wording import count_words

KEPT = "Readers have what was published before."
_OUTCOMES = {
    "published": "Published",
    "passed": "Passed, and the log of the table does not name it as published",
    "refused": "Refused",
    "failed": "Failed before its audit",
    "abandoned": "Abandoned before its audit",
}


@dataclass(frozen=True)
class Command:
    """What to type, and what for."""

    purpose: str
    text: str


@dataclass(frozen=True)
class BatchFacts:
    """What is known of a batch beside its results."""

    commands: Sequence[Command] = field(default_factory=tuple)
    # rows that broke an expectation, as `expectations.quarantine.Quarantine` has them
    quarantine: Any = None


def make_batch_page(attempt: Attempt, history: History, facts: BatchFacts) -> Page:
    findings = history.find(attempt, ("broken", "warning"))
    return Page(
        batch_file(attempt.attempt_id),
        "site/batch.html",
        f"{attempt.table}, {attempt.days or attempt.batch_id}",
        {
            "attempt": attempt,
            "verdict": describe_verdict(attempt, findings),
            "broken": [
                each for each in findings if not each.row["success"] and each.row["severity"] == "critical"
            ],
            "warnings": _split([each for each in findings if each.row["severity"] == "warning"]),
            "recovered": history.list_recovered(attempt),
            "before": history.before(attempt),
            "commands": facts.commands,
            "quarantine": facts.quarantine,
        },
        (("All tables", INDEX), (attempt.table, table_file(attempt.table))),
    )


def describe_verdict(attempt: Attempt, findings: Sequence[Finding]) -> list[str]:
    """In sentences, the most important first."""
    total, statuses = len(attempt.results), attempt.by_status
    broken, warnings = len(statuses["broken"]), len(statuses["warning"])
    outcome = _OUTCOMES.get(attempt.outcome, attempt.outcome)
    if attempt.outcome in ("failed", "abandoned"):
        return [f"{outcome}: {attempt.results[0]['observed']}.", KEPT]
    if broken:
        words = f"{outcome}: {broken} of {count_words(total, 'expectation')} {'is' if broken == 1 else 'are'} broken."
        return [
            words,
            *([KEPT] if attempt.outcome == "refused" else []),
            *_describe_warnings(warnings, findings),
        ]
    return [
        f"{outcome}: no critical one of {count_words(total, 'expectation')} is broken.",
        *_describe_warnings(warnings, findings),
    ]


def _describe_warnings(warnings: int, findings: Sequence[Finding]) -> list[str]:
    if not warnings:
        return []
    new = sum(each.is_new for each in findings if each.row["severity"] == "warning")
    return [f"{count_words(warnings, 'warning')}, {new or 'none'} of them new since the batch before."]


def _split(findings: Sequence[Finding]) -> Mapping[str, list[Finding]]:
    return {
        "new": [each for each in findings if each.is_new],
        "known": [each for each in findings if not each.is_new],
    }
