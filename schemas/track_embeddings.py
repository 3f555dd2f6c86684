"""Track embeddings: what item2vec learned, per day of training."""

from __future__ import annotations

from schemas.common import AVAILABLE_AT, BUCKETS, DS, FEATURE_AT, bucket
from schemas.contract import Column, Contract

TRACK_EMBEDDINGS = Contract(
    name="track_embeddings",
    meaning="One row per track of the vocabulary and training day.",
    columns=(
        Column("track_id", "string", "as in plays", nullable=False),
        FEATURE_AT,
        Column("space_id", "string", "vectors compare only within one space", nullable=False),
        Column("in_vector", "array<float>", "similar tracks: cosine of in and in", nullable=False),
        Column("out_vector", "array<float>", "next track: in of the last, out of the next", nullable=False),
        Column("norm", "double", "length of in_vector", nullable=False, check=">= 0"),
        Column("support", "bigint", "plays the track was trained on", "plays", False, ">= 0"),
        Column("source", "string", "how the vector came about: learned", nullable=False),
        bucket("track_id"),
        AVAILABLE_AT,
        DS,
    ),
    key=("track_id", "ds"),
    entity="track_id",
    event_time="feature_at",
    buckets=BUCKETS,
    statistics=("bucket", "norm", "support"),
)
