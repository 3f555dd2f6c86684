"""What is expected of the catalogue, of the rows of a source that are no track, and of what it changes."""

from __future__ import annotations

from expectations.contracts import WARNING, build_suite, expect_rows, expect_within
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
_JOINS_CATALOGUES = "other catalogues are joined by it, letter by letter: written otherwise it finds nothing"
_UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"

SUITE = build_suite(
    _CATALOGUE,
    expect_within(
        "track_ms", "completion is a share of it: a wrong unit makes all of them wrong", 0, MAX_PLAY_MS
    ),
    expect_rows(
        "released_on",
        "released_on >= date'1877-01-01'",
        "not before there were recordings",
        WARNING,
        "sources put the day of the composition, or a year 0, into this field: wrong, but harmless",
    ),
    expect_rows(
        "released_on",
        "released_on <= current_date() + 366",
        "within a year from now",
        WARNING,
        "later ones stand for an unknown day, and would make such a track the newest of all",
    ),
    # rows that are otherwise were rejected: here they are the code's promise
    expect_rows(
        "released",
        "released rlike '^[0-9]{4}(-[0-9]{2}){0,2}$'",
        "1994, 1994-05 or 1994-05-02",
        reason="released_on is read from it; in another form it is lost",
    ),
    expect_rows(
        "isrc",
        "isrc rlike '^[A-Z]{2}[A-Z0-9]{3}[0-9]{7}$'",
        "an ISRC without hyphens",
        reason=_JOINS_CATALOGUES,
    ),
    expect_rows(
        "recording_mbid", f"recording_mbid rlike '{_UUID}'", "a UUID in lower case", reason=_JOINS_CATALOGUES
    ),
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
    expect_rows(
        "field",
        "not (before <=> after)",
        "another value than before",
        reason="a change from a value to the same is none, and makes what follows from the track again for nothing",
    ),
    # a field that nobody had said anything of, or says anything of now
    optional=("before", "after"),
)
