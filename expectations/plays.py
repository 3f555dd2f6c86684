"""What is expected of plays, and of the rows of a source that are none."""

from __future__ import annotations

from great_expectations.expectations.expectation import Expectation

from expectations.contracts import build_suite, expect_rows, expect_within
from expectations.suite import Bound, SoftBound, Suite
from schemas import CONTRACTS, Contract
from schemas.play_columns import list_added_columns
from schemas.plays import EARLIEST_PLAY, LATE_PLAYS, MAX_PLAY_MS, PLAYS, REJECTED_PLAYS

# Why the time of an event has limits, and why its day follows from it.
IS_NO_TIME = "nobody streamed before: such times are zeros, or seconds that were read as milliseconds"
IS_AHEAD = "a time ahead is a wrong clock, zone or unit, and opens days that have not been yet"
IS_OF_ITS_DAY = "under another day it is missing from the windows of its own, and in those of that one"

# What is true of a play wherever it stands.
_VALUE_EXPECTATIONS: tuple[Expectation, ...] = (
    expect_rows(
        "played_at", f"played_at >= timestamp'{EARLIEST_PLAY} 00:00:00'", "from 1999 on", reason=IS_NO_TIME
    ),
    # a day of grace for clocks and time zones of sources
    expect_rows(
        "played_at", "played_at < current_timestamp() + interval 1 day", "not in the future", reason=IS_AHEAD
    ),
    expect_within(
        "ms_played", "a play of more than a day is a wrong unit, and spoils every sum", 0, MAX_PLAY_MS
    ),
    expect_within(
        "track_ms", "completion is a share of it: a wrong unit makes all of them wrong", 0, MAX_PLAY_MS
    ),
)
# `sessions` holds the same plays, under the same days.
PLAY_EXPECTATIONS: tuple[Expectation, ...] = (
    *_VALUE_EXPECTATIONS,
    expect_rows("ds", "ds = to_date(played_at)", "the day of played_at, in UTC", reason=IS_OF_ITS_DAY),
)
# Many sources have neither saves nor skips, or no sessions of their own.
_OPTIONAL = (
    "skipped",
    "saved",
    "source_session_id",
    *(column.name for column in list_added_columns(CONTRACTS[PLAYS.name])),
)

SOME_EVENTS = SoftBound(
    "rows", "events are appended: files that add none do no harm, and are rarely meant", 1
)
REJECT_BOUNDS = (
    Bound(
        "rejected_share",
        "one row in twenty that is rejected is a feed that broke, or a source file that misreads it",
        high=0.05,
        is_share=True,
    ),
    SoftBound(
        "rejected_share",
        "a source that is read right rejects few rows, the same few every day",
        high=0.02,
        is_share=True,
        title="rejected_share.warning",
    ),
)
INGEST_BOUNDS = (
    *REJECT_BOUNDS,
    SoftBound(
        "duplicate_share",
        "sources repeat the last hours of the day before; much more is a file sent twice",
        high=0.10,
        is_share=True,
    ),
)

SUITE = build_suite(
    CONTRACTS[PLAYS.name],
    *PLAY_EXPECTATIONS,
    optional=_OPTIONAL,
    row_bound=SOME_EVENTS,
    bounds=(
        *INGEST_BOUNDS,
        SoftBound(
            "late_share",
            "plays that are late by more than a week are few; many are a backlog that came in the wrong order",
            high=0.01,
            is_share=True,
        ),
        SoftBound(
            "late_days",
            "by how many days the oldest late play is too old: months are a wrong clock, or a backfill",
            high=60,
        ),
        SoftBound(
            "weekday_share",
            "a day has about as many plays as the same weekday of the four weeks before; half of them is a file that "
            "is missing",
            low=0.65,
            is_share=True,
            applies_if="has_weekdays",
        ),
        SoftBound(
            "fullest_weekday_share",
            "a day has not many more plays than the fullest such weekday of the four weeks before; twice as many are "
            "a file that was sent twice under other ids",
            high=1.7,
            is_share=True,
            applies_if="has_weekdays",
        ),
    ),
)

LATE_SUITE = build_suite(
    CONTRACTS[LATE_PLAYS.name],
    *_VALUE_EXPECTATIONS,
    expect_rows(
        "ds",
        "ds = to_date(arrived_at)",
        "the day of arrived_at, in UTC",
        reason="`restate` and health find late plays by the day they came on",
    ),
    optional=_OPTIONAL,
    # all of them may have been taken into plays
    row_bound=None,
)


def build_rejects_suite(contract: Contract) -> Suite:
    """What is expected of input rows that are no events, whatever their table."""
    return build_suite(
        contract,
        expect_rows(
            "reasons",
            "size(reasons) >= 1",
            "at least one reason",
            reason="a row that nothing is wrong with should be an event, and is lost here",
        ),
        # a blank row of a file is an input row too
        allow_empty=("raw",),
        # no rejects at all are the best batch
        row_bound=None,
    )


REJECTED_SUITE = build_rejects_suite(REJECTED_PLAYS)
