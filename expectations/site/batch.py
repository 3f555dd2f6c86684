"""The page of one attempt to publish: the verdict in words, what did not hold and since when, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expectations.attempts import ABANDONED, FAILED, UNCHANGED, Attempt, Row, describe_row
from expectations.site.files import INDEX, batch_file, table_file
from expectations.site.page import Page
from expectations.site.trends import Finding, History
from expectations.wording import count_words

KEPT = "Readers have what was published before."
NOT_OFFERED = "The inputs no longer bring what was refused or failed before."
NOT_IN_LOG = "The log of the table does not name it, so that readers never had it."


@dataclass(frozen=True)
class Command:
    """What to type, and what for."""

    purpose: str
    text: str


def make_batch_page(attempt: Attempt, history: History, commands: Sequence[Command]) -> Page:
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
            "others": [
                describe_other(row) for status in ("noted", "held") for row in attempt.with_status(status)
            ],
            "commands": commands,
        },
        (("All tables", INDEX), (attempt.table, table_file(attempt.table))),
    )


def describe_verdict(attempt: Attempt, findings: Sequence[Finding]) -> list[str]:
    """In sentences, the most important first; the first goes on from the outcome."""
    total, broken = len(attempt.results), len(attempt.with_status("broken"))
    if attempt.outcome in (FAILED, ABANDONED):
        return [f"there was no audit: {attempt.results[0]['observed']}.", KEPT]
    if attempt.outcome == UNCHANGED:
        return [f"nothing had to be published: {attempt.results[0]['observed']}.", NOT_OFFERED]
    words = (
        f"{broken or 'none'} of {count_words(total, 'expectation')} {'is' if broken == 1 else 'are'} broken."
    )
    more = {"refused": [KEPT], "passed": [NOT_IN_LOG]}.get(attempt.outcome, [])
    return [words, *more, *_describe_warnings(findings)]


def _describe_warnings(findings: Sequence[Finding]) -> list[str]:
    new = [each.is_new for each in findings if each.row["severity"] == "warning"]
    if not new:
        return []
    words = "new" if all(new) else f"{sum(new) or 'none'} of them new"
    return [f"{count_words(len(new), 'warning')}, {words} since the batch before."]


def describe_other(row: Row) -> str:
    """A result that held or is noted, in one line: thousands of pages have dozens of them."""
    sign = "✓" if row["success"] else "·"
    return f"{sign} {describe_row(row)} ({row['severity']}, {row['expectation']})"


def _split(findings: Sequence[Finding]) -> Mapping[str, list[Finding]]:
    return {
        "new": [each for each in findings if each.is_new],
        "known": [each for each in findings if not each.is_new],
    }
