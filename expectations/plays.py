"""What is expected of plays."""

from __future__ import annotations

from great_expectations.expectations.expectation import Expectation

from expectations.aggregates import ExpectColumnValuesToBeWithin
from expectations.contracts import ONE_ROW_PER_KEY, expect_contract, expect_rows
from expectations.suite import Bound, Suite
from schemas.plays import PLAYS

DAY_MS = 86_400_000

# What is true of a play wherever it stands; `sessions` holds the same plays.
PLAY_EXPECTATIONS: tuple[Expectation, ...] = (
    # no service streamed before 1999; such times are zeros, and seconds read as milliseconds
    expect_rows("played_at", "played_at >= timestamp'1999-01-01 00:00:00'", "from 1999 on"),
    # a day of grace for clocks and time zones of sources
    expect_rows("played_at", "played_at < current_timestamp() + interval 1 day", "not in the future"),
    expect_rows("ds", "ds = to_date(played_at)", "the day of played_at, in UTC"),
    ExpectColumnValuesToBeWithin(column="ms_played", min_value=0, max_value=DAY_MS),
    ExpectColumnValuesToBeWithin(column="track_ms", min_value=0, max_value=DAY_MS),
)

SUITE = Suite(
    table=PLAYS.name,
    expectations=(
        *expect_contract(PLAYS, optional=("skipped", "saved", "source_session_id")),
        *PLAY_EXPECTATIONS,
    ),
    bounds=(
        Bound(
            "rows",
            "plays are appended: files that add none do no harm, and are rarely meant",
            1,
            severity="warning",
        ),
        ONE_ROW_PER_KEY,
        Bound(
            "rejected_share",
            "one row in twenty that is no play is a feed that broke, or a source file that misreads it",
            high=0.05,
            is_share=True,
        ),
        Bound(
            "rejected_share",
            "a source that is read right rejects few rows, the same few every day",
            high=0.02,
            severity="warning",
            is_share=True,
            title="rejected_share.warning",
        ),
        Bound(
            "duplicate_share",
            "sources repeat the last hours of the day before; much more is a file sent twice",
            high=0.10,
            severity="warning",
            is_share=True,
        ),
    ),
)
