"""User embeddings: recency-weighted means of the embeddings of the tracks that a listener played."""

from __future__ import annotations

from schemas.common import AVAILABLE_AT, BUCKETS, DS, FEATURE_AT, SPACE_ID, VERSION_ID, bucket
from schemas.contract import Column, Contract

USER_EMBEDDINGS = Contract(
    name="user_embeddings",
    meaning="One row per listener who played a track with a vector in the window, and day.",
    columns=(
        Column("user_id", "string", "as in plays", nullable=False),
        FEATURE_AT,
        VERSION_ID,
        SPACE_ID,
        Column("vector", "array<float>", "recency-weighted mean of tracks' vector, of length 1", "", False),
        Column("in_vector", "array<float>", "the same mean of in_vector: meets tracks' out", "", False),
        Column("support", "bigint", "plays that went into the mean", "plays", False, ">= 1"),
        Column("weight", "double", "sum of those plays' weights, each 0..1", "", False, "> 0"),
        bucket("user_id"),
        AVAILABLE_AT,
        DS,
    ),
    key=("user_id", "ds"),
    entity="user_id",
    event_time="feature_at",
    buckets=BUCKETS,
    statistics=("bucket", "support"),
)
