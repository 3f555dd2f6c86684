"""What of the newest day of a table is news: its rows, its columns, and whether it is the day before once more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial

from expectations.column_drift import Comparison, Finding, judge_column
from expectations.column_profiles import INSTANT
from expectations.wording import format_percent
from jobs.health.drift_settings import DriftSettings
from jobs.health.history import DAY, USUAL_WEEKS, WEEK, TableHistory, list_usual_pairs
from jobs.volume import compare_with_weekdays
from schemas import CONTRACTS

# Of the deviation of a month, by its median: what normal days exceed once in 16,000.
MAD_TIMES = 4
# Half a delivery is beyond it however much days vary: by `benchmarks/drift_alarms.py`, with days of a real station.
MOST_OFF = 0.45
# Of the same weekday of four weeks, what lies between the first and the last; and how many that are like the newest day
# make it none of news, though those two are unlike it: days of a crawler, or of a holiday, come at random.
WEEKS_BETWEEN = (2, 3)
MOST_ALIKE = 2
# Of a day once more: with fewer rows, or fewer columns that move, two days may well be equal.
FROZEN_ROWS, FROZEN_COLUMNS = 100, 2


@dataclass(frozen=True)
class Verdict:
    """`news` are for somebody to look at now, `changes` are what moved and is none: slowly, over four weeks."""

    news: tuple[Finding, ...] = ()
    changes: tuple[Finding, ...] = ()


def judge_table(history: TableHistory, settings: DriftSettings) -> Verdict:
    news = [*judge_volume(history, settings), *judge_sameness(history)]
    changes: list[Finding] = []
    for column in history.columns:
        if _is_compared(history, column):
            of_column = _judge_column(history, settings, column)
            news += of_column.news
            changes += of_column.changes
    return Verdict(tuple(news), tuple(changes))


def can_judge_columns(history: TableHistory, settings: DriftSettings) -> bool:
    """Whether any column has a profile of the day, and of one that it is judged by."""
    earlier_days = (history.day - WEEK, settings.find_reference(history.day))
    columns = [column for column in history.columns if _is_compared(history, column)]
    return any(history.compare(column, history.day, day) for column in columns for day in earlier_days)


def judge_volume(history: TableHistory, settings: DriftSettings) -> Iterator[Finding]:
    """Rows, and different listeners, against the same weekday of four weeks, and the growth of the last one."""
    for what, by_day in (("rows", history.rows), ("listeners", history.listeners)):
        volume = compare_with_weekdays(by_day, history.day) if history.day in by_day else None
        if volume is None:
            continue
        # what somebody allows is allowed, however much more than half a delivery it is
        allowed = max(settings.rows_off(history.table), min(MAD_TIMES * volume.spread, MOST_OFF))
        # after weeks with gaps a whole day is far above their median, and not above the fullest
        if volume.share < 1 - allowed or min(volume.share, volume.of_fullest) > 1 + allowed:
            text = (
                f"{by_day[history.day]:,} {what}, {format_percent(volume.share)} of what such a weekday has"
            )
            yield Finding("volume", what, volume.share, allowed, "share", text)


def judge_sameness(history: TableHistory) -> Iterator[Finding]:
    """Whether every column that moves from week to week is, bin by bin, that of the day before."""
    day, before = history.day, history.day - DAY
    if history.rows.get(day, 0) < FROZEN_ROWS or history.rows.get(day) != history.rows.get(before):
        return
    pairs = [history.compare(column, day, before) for column in history.columns]
    past = [_compare_past(history, column, before) for column in history.columns]
    moving = [pair for pair, old in zip(pairs, past, strict=True) if pair and old and old.now != old.before]
    if len(moving) >= FROZEN_COLUMNS and all(pair.now == pair.before for pair in moving):
        text = f"all {history.rows[day]:,} rows are, in {len(moving)} columns, as those of {before}"
        yield Finding("frozen", "rows", len(moving), 0, "columns", text)


def _compare_past(history: TableHistory, column: str, before: date) -> Comparison | None:
    """The day before, and the newest weekday of the day that has a profile: not each has."""
    weekdays = (history.day - n * WEEK for n in range(1, USUAL_WEEKS + 2))
    return next(filter(None, (history.compare(column, before, day) for day in weekdays)), None)


def _is_compared(history: TableHistory, column: str) -> bool:
    # of instants, only when it happened: others say when a source sent, or a step ran
    contract = CONTRACTS[history.table]
    kind = history.profiles[history.day, column].kind
    return kind != INSTANT or column == contract.event_time


def _judge_column(history: TableHistory, settings: DriftSettings, column: str) -> Verdict:
    judge = partial(_compare, history, settings, column)
    week, reference = judge(lambda day: day - WEEK), judge(settings.find_reference)
    if week is None or reference is None:
        return Verdict(tuple((reference or week or {}).values()))
    # what somebody set stands for itself
    if settings.reference is not None:
        return Verdict(tuple(reference.values()))
    # the day of a fault is a week ago once, and four weeks ago once more: far from one of them alone is no news
    far = {measure: each for measure, each in reference.items() if measure in week}
    # nor where both of them were as no other day is, of which the weeks between tell
    between = [judge(partial(_go_back, n)) for n in WEEKS_BETWEEN] if far else []
    news = [far[m] for m in far if sum(each is not None and m not in each for each in between) < MOST_ALIKE]
    return Verdict(tuple(news), tuple(each for m, each in reference.items() if m not in week))


def _go_back(weeks: int, day: date) -> date:
    return day - weeks * WEEK


def _compare(
    history: TableHistory, settings: DriftSettings, column: str, find_earlier: Callable[[date], date]
) -> Mapping[tuple[str, str], Finding] | None:
    """What differs from an earlier day by more than its limits, by kind and unit; None where there is no such day."""
    day, earlier = history.day, find_earlier(history.day)
    comparison = history.compare(column, day, earlier)
    if comparison is None:
        return None
    # no list: of most columns nothing is beyond, and none of it is needed. Nothing is usual of what moved since a day
    # that was set: it stays news
    pairs = (
        history.compare(column, *pair) for pair in list_usual_pairs(day, find_earlier) if pair[1] != earlier
    )
    limits = settings.limits(history.table, column)
    found = judge_column(column, comparison, filter(None, pairs), limits, str(earlier))
    return {(each.kind, each.unit): each for each in found}
