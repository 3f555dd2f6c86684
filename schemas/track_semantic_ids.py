"""Semantic ids: residual-quantised track embeddings, and the codebooks that they are quantised by."""

from __future__ import annotations

from schemas.common import AVAILABLE_AT, BUCKETS, DS, FEATURE_AT, SPACE_ID, VERSION_ID, bucket
from schemas.contract import Column, Contract

CODEBOOK_ID = Column("codebook_id", "string", "ids compare only within one codebook", nullable=False)

TRACK_SEMANTIC_IDS = Contract(
    name="track_semantic_ids",
    meaning="One row per track with a vector, and day: the codes of its vector, coarse to fine.",
    columns=(
        Column("track_id", "string", "as in plays", nullable=False),
        FEATURE_AT,
        VERSION_ID,
        SPACE_ID,
        CODEBOOK_ID,
        Column("codes", "array<int>", "one per level, from 0; the residual k-means", nullable=False),
        # tracks with the same codes are told apart by this last number, so that an id names one track
        Column("collision", "int", "0, or the place among the tracks with the same codes", "", False, ">= 0"),
        Column(
            "semantic_id",
            "string",
            "codes and collision, joined by '-': unique in a day",
            nullable=False,
            profile=False,
        ),
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

SEMANTIC_CODEBOOKS = Contract(
    name="semantic_codebooks",
    meaning="One row per codebook, level and code, and day it was used on.",
    columns=(
        CODEBOOK_ID,
        SPACE_ID,
        Column("level", "int", "from 0, coarse to fine", "", False, ">= 0"),
        Column("code", "int", "from 0", "", False, ">= 0"),
        Column("centroid", "array<float>", "what the code adds to the vector", nullable=False),
        Column("tracks", "bigint", "tracks of the day that have the code", "tracks", False, ">= 0"),
        AVAILABLE_AT,
        DS,
    ),
    key=("codebook_id", "level", "code", "ds"),
)
