"""Track embeddings: the item2vec vectors of each track, and fallbacks for tracks that were not trained."""

from __future__ import annotations

from schemas.common import AVAILABLE_AT, BUCKETS, DS, FEATURE_AT, SPACE_ID, VERSION_ID, bucket
from schemas.contract import Column, Contract

# Where a vector comes from, the best first: plays, the artist's other tracks, the catalogue's columns, nowhere.
SOURCES = ("learned", "artist", "content", "none")

TRACK_EMBEDDINGS = Contract(
    name="track_embeddings",
    meaning="One row per track of the catalogue or the training window, and day of training.",
    columns=(
        Column("track_id", "string", "as in plays", nullable=False),
        FEATURE_AT,
        VERSION_ID,
        SPACE_ID,
        Column("vector", "array<float>", "for similarity: in + out, of length 1; null where source is none"),
        Column("in_vector", "array<float>", "as the track before: inner product with the next one's out"),
        Column("out_vector", "array<float>", "as the track after; null where source is none"),
        Column("norm", "double", "length of in + out", check="> 0"),
        Column("support", "bigint", "plays in the window of the training", "plays", False, ">= 0"),
        Column("source", "string", f"how the vector was obtained: {', '.join(SOURCES)}", nullable=False),
        Column("in_state", "double", "Adagrad's sum of squared gradients: what a warm start continues from"),
        Column("out_state", "double", "the same of out_vector"),
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
