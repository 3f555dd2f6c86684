"""What is expected of the books that semantic ids are written in."""

from __future__ import annotations

from expectations.aggregates import ExpectOneValuePerDay
from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, expect_contract
from expectations.suite import Suite
from schemas.track_semantic_ids import SEMANTIC_CODEBOOKS

SUITE = Suite(
    table=SEMANTIC_CODEBOOKS.name,
    expectations=(
        *expect_contract(SEMANTIC_CODEBOOKS),
        ExpectOneValuePerDay(column="codebook_id", value="codebook_id", description="one codebook per day"),
        ExpectOneValuePerDay(column="space_id", value="space_id", description="one space per day"),
        ExpectOneValuePerDay(column="centroid", value="size(centroid)", description="one size per day"),
    ),
    bounds=(SOME_ROWS, ONE_ROW_PER_KEY),
)
