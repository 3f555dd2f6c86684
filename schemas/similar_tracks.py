"""Similar tracks: the nearest neighbours of every track, searched once a day."""

from __future__ import annotations

from schemas.common import AVAILABLE_AT, BUCKETS, DS, FEATURE_AT, SPACE_ID, VERSION_ID, bucket
from schemas.contract import Column, Contract

SIMILAR_TRACKS = Contract(
    name="similar_tracks",
    meaning="One row per track with a vector, and day: its nearest by cosine, itself left out.",
    columns=(
        Column("track_id", "string", "as in plays", nullable=False),
        FEATURE_AT,
        VERSION_ID,
        SPACE_ID,
        Column("neighbours", "array<string>", "track ids, the nearest first", nullable=False),
        Column("scores", "array<float>", "their cosines, falling", "-1..1", False),
        Column("search", "string", "how they were searched: exact or ivf", nullable=False),
        bucket("track_id"),
        AVAILABLE_AT,
        DS,
    ),
    key=("track_id", "ds"),
    entity="track_id",
    event_time="feature_at",
    buckets=BUCKETS,
    statistics=("bucket",),
)
