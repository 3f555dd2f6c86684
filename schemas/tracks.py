"""Tracks: the catalogue."""

from __future__ import annotations

from schemas.common import AVAILABLE_AT, BUCKETS, bucket
from schemas.contract import Column, Contract

TRACKS = Contract(
    name="tracks",
    meaning="One row per track that was ever in a catalogue, as the newest one has it.",
    columns=(
        Column("track_id", "string", "as in plays", nullable=False),
        Column("title", "string", "as the source writes it"),
        Column("artist_id", "string", "as in plays"),
        Column("artist_name", "string", "as the source writes it"),
        Column("album", "string", "as the source writes it"),
        Column("track_ms", "bigint", "length", "ms"),
        Column("explicit", "boolean", "has an explicit-content flag"),
        Column("released_on", "date", "day of first release"),
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
