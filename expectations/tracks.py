"""What is expected of the catalogue."""

from __future__ import annotations

from expectations.aggregates import ExpectColumnValuesToBeWithin
from expectations.contracts import WARNING, build_suite, expect_rows
from schemas import CONTRACTS
from schemas.plays import MAX_PLAY_MS
from schemas.tracks import TRACKS

# With what a project adds, of which any source may have nothing.
_CATALOGUE = CONTRACTS[TRACKS.name]
_ADDED = [name for name in _CATALOGUE.names if name not in TRACKS.names]

SUITE = build_suite(
    _CATALOGUE,
    ExpectColumnValuesToBeWithin(column="track_ms", min_value=0, max_value=MAX_PLAY_MS),
    # sources put the day of the composition, or a year 0, into this field: wrong, but harmless
    expect_rows(
        "released_on", "released_on >= date'1877-01-01'", "not before there were recordings", WARNING
    ),
    expect_rows("released_on", "released_on <= current_date() + 366", "within a year from now", WARNING),
    optional=("album", "explicit", "released_on", *_ADDED),
)
