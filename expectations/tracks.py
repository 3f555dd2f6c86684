"""What is expected of the catalogue."""

from __future__ import annotations

from expectations.aggregates import ExpectColumnValuesToBeWithin
from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, WARNING, expect_contract, expect_rows
from expectations.suite import Suite
from schemas.plays import MAX_PLAY_MS
from schemas.tracks import TRACKS

SUITE = Suite(
    table=TRACKS.name,
    expectations=(
        *expect_contract(TRACKS, optional=("album", "explicit", "released_on")),
        ExpectColumnValuesToBeWithin(column="track_ms", min_value=0, max_value=MAX_PLAY_MS),
        # sources put the day of the composition, or a year 0, into this field: wrong, but harmless
        expect_rows(
            "released_on", "released_on >= date'1877-01-01'", "not before there were recordings", WARNING
        ),
        expect_rows("released_on", "released_on <= current_date() + 366", "within a year from now", WARNING),
    ),
    bounds=(SOME_ROWS, ONE_ROW_PER_KEY),
)
