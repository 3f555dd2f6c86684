"""Tracks: the catalogue, the rows of catalogues that are no track, and what catalogues changed."""

from __future__ import annotations

from dataclasses import replace

from schemas.common import AVAILABLE_AT, BUCKETS, bucket
from schemas.contract import Column, Contract
from schemas.plays import rejects_contract

TRACKS = Contract(
    name="tracks",
    meaning="One row per track that was ever in a catalogue, as the newest one has it.",
    columns=(
        Column("track_id", "string", "as in plays", nullable=False),
        Column("title", "string", "as the source writes it", profile=False),
        Column("artist_id", "string", "as in plays", profile=False),
        Column("artist_name", "string", "as the source writes it", profile=False),
        Column("album", "string", "as the source writes it", profile=False),
        Column("track_ms", "bigint", "length", "ms"),
        Column("explicit", "boolean", "has an explicit-content flag"),
        Column("released", "string", "first release, as far as it is known: 1994, 1994-05 or 1994-05-02"),
        Column("released_on", "date", "first day of `released`"),
        Column("genres", "array<string>", "as the source writes them, in its order; null where it says none"),
        Column("isrc", "string", "of the recording: 12 letters and digits, without hyphens", profile=False),
        Column(
            "recording_mbid", "string", "MusicBrainz id of the recording: a UUID in lower case", profile=False
        ),
        Column("source", "string", "name of the source", nullable=False),
        bucket("track_id"),
        AVAILABLE_AT,
    ),
    key=("track_id",),
    entity="track_id",
    # not by day: a catalogue is published whole
    partitions=("available_at",),
    buckets=BUCKETS,
    statistics=("bucket",),
)

_REJECTS = rejects_contract(TRACKS.name)
# A catalogue comes whole each night, in files of other names: a bad row of it is one reject.
_OF_CATALOGUES = {
    "reject_id": "hash of source, raw text and its occurrence",
    "file": "file the row stood in when it was first read",
    "ds": "day when it was first read, or 1970-01-01 of a broken line",
}
# Without a listener: of files that name one, only columns that the catalogue reads are kept.
REJECTED_TRACKS = replace(
    _REJECTS,
    columns=tuple(
        replace(column, comment=_OF_CATALOGUES.get(column.name, column.comment))
        for column in _REJECTS.columns
        if column.name != "user_id"
    ),
)

TRACK_CHANGES = Contract(
    name="track_changes",
    meaning="One row per field of a known track that a catalogue changed; what a track first had is no change.",
    columns=(
        Column("track_id", "string", "as in tracks", nullable=False),
        Column("field", "string", "column of tracks", nullable=False),
        Column("before", "string", "its value as text, a list as JSON", profile=False),
        Column("after", "string", "the same after the change", profile=False),
        Column("source", "string", "name of the source that changed it", nullable=False),
        Column(
            "tracks_version", "bigint", "newest version of `tracks` with `before`; later ones have `after`",
            nullable=False,
        ),
        AVAILABLE_AT,
        Column("ds", "date", "day when the change was read, in UTC", nullable=False),
    ),
    key=("track_id", "field", "tracks_version"),
)  # fmt: skip
