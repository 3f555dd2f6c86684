"""Candidates: what a ranker may choose from, per listener."""

from __future__ import annotations

from schemas.common import AVAILABLE_AT, BUCKETS, DS, FEATURE_AT, SPACE_ID, VERSION_ID, bucket
from schemas.contract import Column, Contract

# next_track: by the out vectors nearest to the in vectors of recent tracks. similar_to_recent: by the cosine to
# recent tracks.
ORIGINS = ("next_track", "similar_to_recent")

CANDIDATES = Contract(
    name="candidates",
    meaning="One row per listener and day: tracks to rank, the best first, without recently played ones.",
    columns=(
        Column("user_id", "string", "as in plays", nullable=False),
        FEATURE_AT,
        VERSION_ID,
        SPACE_ID,
        Column("track_ids", "array<string>", "the candidates, the best first", nullable=False),
        Column("scores", "array<float>", "comparable within one origin only", nullable=False),
        Column(
            "origins",
            "array<string>",
            f"where each is from: {' or '.join(ORIGINS)}",
            nullable=False,
            profile=False,
        ),
        bucket("user_id"),
        AVAILABLE_AT,
        DS,
    ),
    key=("user_id", "ds"),
    entity="user_id",
    event_time="feature_at",
    buckets=BUCKETS,
    statistics=("bucket",),
)
