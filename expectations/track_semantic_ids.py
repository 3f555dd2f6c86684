"""What is expected of semantic ids, and of the books that they are written in."""

from __future__ import annotations

from expectations.contracts import build_suite, expect_rows
from expectations.suite import Bound, SoftBound
from expectations.track_embeddings import OF_ONE_TRAINING, ONE_SIZE, ONE_SPACE, expect_one_per_day
from schemas.track_semantic_ids import SEMANTIC_CODEBOOKS, TRACK_SEMANTIC_IDS

ONE_CODEBOOK = expect_one_per_day(
    "codebook_id", "one codebook per day", "a code means another centroid in each book"
)

SUITE = build_suite(
    TRACK_SEMANTIC_IDS,
    *OF_ONE_TRAINING,
    ONE_CODEBOOK,
    expect_one_per_day(
        "codes", "as many levels per day", "models generate ids of one number of levels", "size(codes)"
    ),
    expect_rows(
        "codes",
        "not exists(codes, x -> x < 0)",
        "no code below 0",
        reason="a code is a place in its book, counted from 0",
    ),
    expect_rows(
        "semantic_id",
        "semantic_id = concat_ws('-', array_append(transform(codes, x -> string(x)), string(collision)))",
        "codes and collision, joined",
        reason="models write the id and look tracks up by it: one that says other codes finds another track",
    ),
    bounds=(
        Bound("duplicate_semantic_ids", "an id names one track", high=0, integrity=True),
        SoftBound(
            "collisions",
            "4 levels of 256 codes leave 7 % of 60,000 real tracks with codes that another has too; more need more "
            "codes or levels",
            high=0.10,
            is_share=True,
        ),
        Bound(
            "collisions_ratio",
            "collisions grow beyond what new tracks explain: with twice the tracks they at most double, "
            "so these codes no longer distinguish tracks",
            high=3,
            applies_if="has_collisions_and_day_before",
        ),
        SoftBound(
            "collisions_ratio",
            "the share of tracks with codes of another grew by half since the day before",
            high=1.5,
            applies_if="has_collisions_and_day_before",
            title="collisions_ratio.warning",
        ),
    ),
)

CODEBOOK_SUITE = build_suite(
    SEMANTIC_CODEBOOKS,
    ONE_CODEBOOK,
    ONE_SPACE,
    # centroids are subtracted from vectors level by level: all have the vectors' dimensions
    expect_one_per_day("centroid", "one size per day", ONE_SIZE, "size(centroid)"),
)
