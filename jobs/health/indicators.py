"""What health measures, in values: an indicator of a kind, about a table or another subject."""

from __future__ import annotations

from dataclasses import dataclass

WRONG, NOTE, FINE = "wrong", "note", "fine"

# Of every alert its kind, the most urgent first, and what it means. Each has a page, docs/runbook/<kind>.md.
KINDS = {
    "unreadable": "a log, or the record of audits, cannot be read: nothing is known of what it is about",
    "stale": "readers have older rows than [slo] promises",
    "missed": "runs of the schedule brought no newer day",
    "lag": "the newest release carries a table that is far behind, or had to leave it out",
    "refused": "the newest batch of a table was refused, or failed",
    "volume": "the newest day of a table has far fewer or more rows or listeners than such a weekday",
    "frozen": "the newest day of a table has the rows of the day before once more",
    "nulls": "a column of the newest day has a value in far fewer or more rows than it had",
    "drift": "values of a column, or measures of a training, are far from those of the weeks before",
    "skew": "features that were served differ from those that were released",
    "late": "plays that came too late for their day wait in late_plays",
    "disk": "the disk of the root is nearly full",
    "debt": "segue maintain has not run for too long, or runs too seldom for so many flows",
}


@dataclass(frozen=True)
class Indicator:
    """`what` and `to_do` are for people, `value` and `bound` (in `unit`) for programs."""

    kind: str
    # the table that it is about, or what else; one of a kind each
    subject: str
    status: str
    what: str
    to_do: str = ""
    value: float | None = None
    bound: float | None = None
    unit: str = ""
    # while it is wrong: with another one it is sent again
    state: str = ""

    @property
    def key(self) -> str:
        return f"{self.kind} {self.subject}"

    @property
    def page(self) -> str:
        return f"docs/runbook/{self.kind}.md"


def sort_urgent_first(indicators: list[Indicator]) -> list[Indicator]:
    statuses, kinds = (WRONG, NOTE, FINE), list(KINDS)
    return sorted(indicators, key=lambda i: (statuses.index(i.status), kinds.index(i.kind), i.subject))
