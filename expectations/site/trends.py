"""The same expectation in the batches before, and what of a batch is new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from expectations.attempts import NOT_AUDITED, Attempt, Row, result_status
from expectations.wording import count_words

# Enough to see since when, and short enough for a phone.
LONGEST = 14

# What an expectation is known by within a table: its name and its column.
About = tuple[str, str | None]


@dataclass(frozen=True)
class Point:
    """What an expectation came to in one batch; `share` is of rows that broke it, where rows can."""

    attempt: Attempt
    status: str
    observed: str
    share: float | None


@dataclass(frozen=True)
class Finding:
    """A result that did not hold, and what it was in the batches before, the oldest first."""

    row: Row
    share: float | None
    before: tuple[Point, ...]

    @property
    def is_new(self) -> bool:
        """Whether the batch before held it, or there was none."""
        return not self.before or self.before[-1].status == "held"

    @property
    def words(self) -> str:
        if not self.before:
            return "not looked at before"
        held = sum(each.status == "held" for each in self.before)
        if held == len(self.before):
            return f"held in {count_words(held, 'batch')} before"
        return f"held in {held} of {count_words(len(self.before), 'batch')} before"


class History:
    """The results of one table's attempts, by expectation and column."""

    def __init__(self, attempts: Sequence[Attempt]) -> None:
        # what could not even be staged looked at nothing, nor does what need not be published
        audited = [each for each in attempts if each.outcome not in NOT_AUDITED]
        self._rows = {
            each.attempt_id: {about(row): row for row in reversed(each.results)} for each in audited
        }
        self._audited = audited
        self._places = {each.attempt_id: place for place, each in enumerate(audited)}

    def before(self, attempt: Attempt) -> Attempt | None:
        place = self._places.get(attempt.attempt_id, len(self._audited))
        return self._audited[place - 1] if place else None

    def find(self, attempt: Attempt, statuses: Iterable[str]) -> list[Finding]:
        """The results of these statuses, in this order."""
        rows = (row for status in statuses for row in attempt.with_status(status))
        return [self._describe(attempt, row) for row in rows]

    def list_recovered(self, attempt: Attempt) -> list[Row]:
        """What was broken or warned in the batch before, and holds now."""
        before = self.before(attempt)
        if before is None:
            return []
        held = {about(row) for row in attempt.with_status("held")}
        rows = [*before.with_status("broken"), *before.with_status("warning")]
        return [row for row in rows if about(row) in held]

    def _describe(self, attempt: Attempt, row: Row) -> Finding:
        end = self._places.get(attempt.attempt_id, 0)
        earlier = self._audited[max(end - LONGEST, 0) : end]
        pairs = ((each, self._rows[each.attempt_id].get(about(row))) for each in earlier)
        points = (_make_point(each, found) for each, found in pairs if found is not None)
        return Finding(row, find_share(attempt, row), tuple(points))


def about(row: Row) -> About:
    return row["expectation"], row["column"]


def find_share(attempt: Attempt, row: Mapping[str, object]) -> float | None:
    """Of the rows of a batch, those that broke an expectation."""
    count = row["unexpected_count"]
    return count / attempt.rows if isinstance(count, int) and attempt.rows else None


def _make_point(attempt: Attempt, row: Row) -> Point:
    return Point(attempt, result_status(row), row["observed"], find_share(attempt, row))
