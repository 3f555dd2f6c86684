"""What is expected of user embeddings."""

from __future__ import annotations

from expectations.aggregates import ExpectColumnValuesToBeWithin, ExpectOneValuePerDay
from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, expect_contract, expect_rows
from expectations.suite import Suite
from expectations.track_embeddings import ONE_VERSION, length_sql
from expectations.windows import FEATURE_AT_IS_END_OF_DAY
from schemas.user_embeddings import USER_EMBEDDINGS

SUITE = Suite(
    table=USER_EMBEDDINGS.name,
    expectations=(
        *expect_contract(USER_EMBEDDINGS),
        FEATURE_AT_IS_END_OF_DAY,
        *ONE_VERSION,
        ExpectOneValuePerDay(column="vector", value="size(vector)", description="one size per day"),
        expect_rows("vector", f"abs({length_sql('vector')} - 1) <= 1e-3", "of length 1"),
        expect_rows("in_vector", "size(in_vector) = size(vector)", "as many dimensions as vector"),
        ExpectColumnValuesToBeWithin(column="support", min_value=1),
        # a sum of doubles, each of them 1 at most
        expect_rows("weight", "weight > 0 and weight <= support * (1 + 1e-9)", "over 0, at most 1 per play"),
    ),
    bounds=(SOME_ROWS, ONE_ROW_PER_KEY),
)
