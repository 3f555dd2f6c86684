"""What is expected of semantic ids."""

from __future__ import annotations

from expectations.aggregates import ExpectOneValuePerDay
from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, contract_expectations, rule
from expectations.suite import Bound, Suite
from expectations.track_embeddings import ONE_VERSION
from expectations.windows import DAY_IS_OVER
from schemas.track_semantic_ids import TRACK_SEMANTIC_IDS

SUITE = Suite(
    table=TRACK_SEMANTIC_IDS.name,
    expectations=(
        *contract_expectations(TRACK_SEMANTIC_IDS),
        DAY_IS_OVER,
        *ONE_VERSION,
        ExpectOneValuePerDay(column="codebook_id", value="codebook_id", description="one codebook per day"),
        ExpectOneValuePerDay(column="codes", value="size(codes)", description="as many levels per day"),
        rule("codes", "not exists(codes, x -> x < 0)", "no code below 0"),
        rule(
            "semantic_id",
            "semantic_id = concat_ws('-', array_append(transform(codes, x -> string(x)), string(collision)))",
            "codes and collision, joined",
        ),
    ),
    bounds=(
        SOME_ROWS,
        ONE_ROW_PER_KEY,
        Bound("duplicate_semantic_ids", high=0),
        # 4 levels of 256 codes leave 7 % of 60,000 real tracks in collisions
        Bound("collisions", high=0.10, is_share=True),
    ),
)
