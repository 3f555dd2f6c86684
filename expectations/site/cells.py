"""What became of each day of a table: the cells of the map of tables and days."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from expectations.attempts import ABANDONED, FAILED, UNCHANGED, Attempt
from expectations.site.facts import TableFacts
from expectations.wording import count_words, is_evaluated

PASSED, WARNED, REFUSED = "passed", "warned", "refused"
NOT_EVALUATED, MISSING, PROVISIONAL, NO_ROWS = "not evaluated", "missing", "provisional", "no rows"
# Each with what it means; the sign says it without the colour.
LEGEND = {
    PASSED: ("✓", "published, nothing warned"),
    WARNED: ("!", "published with warnings"),
    REFUSED: ("✕", "the newest batch was refused; readers have the day as it was before, if at all"),
    NOT_EVALUATED: (
        "?",
        "the batch failed before its audit, an expectation could not be evaluated, or the table cannot be read",
    ),
    MISSING: ("○", "no rows are published of a day that should have some"),
    PROVISIONAL: ("~", "published, and not complete yet"),
    NO_ROWS: ("", "nothing was published, and nothing need be"),
}


@dataclass(frozen=True)
class Cell:
    """One day of one table; `attempt` is the one that decided it, if there is a record of it."""

    day: date
    status: str
    words: str
    attempt: Attempt | None = None

    @property
    def sign(self) -> str:
        return LEGEND[self.status][0]


def judge_attempt(attempt: Attempt) -> str:
    """What an attempt came to: passed, warned, refused or not evaluated."""
    if attempt.outcome in (FAILED, ABANDONED) or not all(map(is_evaluated, attempt.with_status("broken"))):
        return NOT_EVALUATED
    if attempt.outcome == "refused":
        return REFUSED
    return WARNED if attempt.with_status("warning") else PASSED


def describe_attempt(attempt: Attempt) -> str:
    """What it came to, in a few words."""
    status = judge_attempt(attempt)
    if attempt.outcome == UNCHANGED:
        return "as its inputs make it, published before"
    if status == NOT_EVALUATED:
        return "refused, could not be evaluated" if attempt.outcome == "refused" else attempt.outcome
    if status == REFUSED:
        return f"refused, {count_words(len(attempt.with_status('broken')), 'expectation')} broken"
    return count_words(len(attempt.with_status("warning")), "warning") if status == WARNED else "passed"


def map_days(table: TableFacts, window: Sequence[date], nights: Mapping[str, date]) -> list[Cell]:
    """A cell for each day of the window.

    Args:
        nights: by run the day that it brought: where batches of a table without days stand.
    """
    newest = _find_newest(table, nights)
    return [_judge_day(table, day, newest.get(day)) for day in window]


def _find_newest(table: TableFacts, nights: Mapping[str, date]) -> dict[date, Attempt]:
    """By day the newest attempt at it."""
    attempts = _leave_out_mended(table.attempts)
    pairs = [(attempt, day) for attempt in attempts for day in _list_days(table, attempt, nights)]
    known = {day for attempt, day in pairs if _brings(table, attempt, day)}
    newest: dict[date, Attempt] = {}
    for attempt, day in pairs:
        # of a batch of single days the ends alone may be known; the log says which it brought
        if not _passes(attempt) or day not in known or _brings(table, attempt, day):
            newest[day] = attempt
    return newest


def _leave_out_mended(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Without those that did not pass, of which the ends alone are known, before one that passed covers these: it has
    mended them, and days between them may never have been wrong."""
    kept: list[Attempt] = []
    for attempt in attempts:
        if _passes(attempt):
            kept = [each for each in kept if not _mends(attempt, each)]
        kept.append(attempt)
    return kept


def _mends(passed: Attempt, before: Attempt) -> bool:
    ends = passed.first_ds, before.first_ds, before.last_ds, passed.last_ds
    if _passes(before) or before.listed_days or None in ends:
        return False
    return list(ends) == sorted(ends)  # type: ignore[type-var]


def _passes(attempt: Attempt) -> bool:
    return attempt.outcome in ("passed", "published")


def _brings(table: TableFacts, attempt: Attempt, day: date) -> bool:
    """Whether what readers have of a day is of this batch."""
    return _passes(attempt) and attempt.batch_id.rpartition("-")[0] == table.fingerprints.get(day)


def _list_days(table: TableFacts, attempt: Attempt, nights: Mapping[str, date]) -> Iterator[date]:
    if attempt.first_ds is None or attempt.last_ds is None or not table.by_day:
        yield attempt.last_ds or nights.get(attempt.run_id, attempt.checked_at.date())
        return
    if attempt.listed_days:
        yield from attempt.listed_days
        return
    for n in range((attempt.last_ds - attempt.first_ds).days + 1):
        yield attempt.first_ds + timedelta(days=n)


def _judge_day(table: TableFacts, day: date, attempt: Attempt | None) -> Cell:
    if table.unreadable:
        return Cell(day, NOT_EVALUATED, "the table cannot be read", attempt)
    has_rows = day in table.rows_by_day
    bad = attempt is not None and judge_attempt(attempt) in (REFUSED, NOT_EVALUATED)
    if attempt is not None and bad:
        kept = "; readers have the day as it was before" if has_rows else ""
        return Cell(day, judge_attempt(attempt), f"{describe_attempt(attempt)}{kept}", attempt)
    if table.by_day and not has_rows:
        return _judge_empty_day(table, day, attempt)
    if attempt is None:
        return (
            Cell(day, PASSED, "published before the audits shown here")
            if has_rows
            else Cell(day, NO_ROWS, NO_ROWS)
        )
    return _judge_published_day(table, day, attempt)


def _judge_empty_day(table: TableFacts, day: date, attempt: Attempt | None) -> Cell:
    if not table.nightly or day < min(table.rows_by_day, default=day):
        return Cell(day, NO_ROWS, NO_ROWS, attempt)
    return Cell(day, MISSING, "missing: no rows are published", attempt)


def _judge_published_day(table: TableFacts, day: date, attempt: Attempt) -> Cell:
    status, words = judge_attempt(attempt), describe_attempt(attempt)
    limit = table.provisional.get(day)
    if limit is not None:
        words = f"{words}, provisional: complete up to {limit:%Y-%m-%d %H:%M}"
    return Cell(day, PROVISIONAL if limit is not None and status == PASSED else status, words, attempt)
