"""What is expected of the catalogue, of the rows of a source that are no track, and of what it changes."""

from __future__ import annotations

from expectations.aggregates import ExpectColumnValuesToBeWithin
from expectations.contracts import WARNING, build_suite, expect_rows
from expectations.plays import REJECT_BOUNDS, build_rejects_suite
from expectations.suite import SoftBound
from schemas import CONTRACTS
from schemas.plays import MAX_PLAY_MS
from schemas.tracks import REJECTED_TRACKS, TRACK_CHANGES, TRACKS

# With what a project adds, of which any source may have nothing.
_CATALOGUE = CONTRACTS[TRACKS.name]
_ADDED = [name for name in _CATALOGUE.names if name not in TRACKS.names]
# Many catalogues have names and a length, and no more.
_OPTIONAL = ("album", "explicit", "released", "released_on", "genres", "isrc", "recording_mbid", *_ADDED)
_UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"

SUITE = build_suite(
    _CATALOGUE,
    ExpectColumnValuesToBeWithin(column="track_ms", min_value=0, max_value=MAX_PLAY_MS),
    # sources put the day of the composition, or a year 0, into this field: wrong, but harmless
    expect_rows(
        "released_on", "released_on >= date'1877-01-01'", "not before there were recordings", WARNING
    ),
    expect_rows("released_on", "released_on <= current_date() + 366", "within a year from now", WARNING),
    # rows that are otherwise were rejected: here they are the code's promise
    expect_rows("released", "released rlike '^[0-9]{4}(-[0-9]{2}){0,2}$'", "1994, 1994-05 or 1994-05-02"),
    expect_rows("isrc", "isrc rlike '^[A-Z]{2}[A-Z0-9]{3}[0-9]{7}$'", "an ISRC without hyphens"),
    expect_rows("recording_mbid", f"recording_mbid rlike '{_UUID}'", "a UUID in lower case"),
    optional=_OPTIONAL,
    bounds=(
        *REJECT_BOUNDS,
        SoftBound(
            "changed_share",
            "a catalogue changes few of the tracks that are known; one in ten is a source that writes them otherwise, "
            "or ids that moved",
            high=0.10,
            is_share=True,
            applies_if="has_catalogue",
        ),
    ),
)

REJECTED_SUITE = build_rejects_suite(REJECTED_TRACKS)

CHANGES_SUITE = build_suite(
    TRACK_CHANGES,
    expect_rows("field", "not (before <=> after)", "another value than before"),
    # a field that nobody had said anything of, or says anything of now
    optional=("before", "after"),
)
