"""What is expected of semantic ids."""

from __future__ import annotations

from expectations.aggregates import ExpectOneValuePerDay
from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, expect_contract, expect_rows
from expectations.suite import Bound, Suite
from expectations.track_embeddings import ONE_VERSION
from expectations.windows import FEATURE_AT_IS_END_OF_DAY
from schemas.track_semantic_ids import TRACK_SEMANTIC_IDS

SUITE = Suite(
    table=TRACK_SEMANTIC_IDS.name,
    expectations=(
        *expect_contract(TRACK_SEMANTIC_IDS),
        FEATURE_AT_IS_END_OF_DAY,
        *ONE_VERSION,
        ExpectOneValuePerDay(column="codebook_id", value="codebook_id", description="one codebook per day"),
        ExpectOneValuePerDay(column="codes", value="size(codes)", description="as many levels per day"),
        expect_rows("codes", "not exists(codes, x -> x < 0)", "no code below 0"),
        expect_rows(
            "semantic_id",
            "semantic_id = concat_ws('-', array_append(transform(codes, x -> string(x)), string(collision)))",
            "codes and collision, joined",
        ),
    ),
    bounds=(
        SOME_ROWS,
        ONE_ROW_PER_KEY,
        Bound("duplicate_semantic_ids", "an id names one track", high=0, integrity=True),
        Bound(
            "collisions",
            "4 levels of 256 codes leave 7 % of 60,000 real tracks with codes that another has too; more need more "
            "codes or levels",
            high=0.10,
            severity="warning",
            is_share=True,
        ),
        Bound(
            "collisions_ratio",
            "collisions grow beyond what new tracks explain: with twice the tracks they at most double, "
            "so these codes no longer distinguish tracks",
            high=3,
            applies_if="has_collisions_and_day_before",
        ),
        Bound(
            "collisions_ratio",
            "the share of tracks with codes of another grew by half since the day before",
            high=1.5,
            severity="warning",
            applies_if="has_collisions_and_day_before",
            title="collisions_ratio.warning",
        ),
    ),
)
