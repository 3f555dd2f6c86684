"""What is expected of user embeddings."""

from __future__ import annotations

from expectations.aggregates import ExpectColumnValuesToBeWithin, ExpectOneValuePerDay
from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, contract_expectations, rule
from expectations.suite import Suite
from expectations.track_embeddings import ONE_VERSION, length
from expectations.windows import DAY_IS_OVER
from schemas.user_embeddings import USER_EMBEDDINGS

SUITE = Suite(
    table=USER_EMBEDDINGS.name,
    expectations=(
        *contract_expectations(USER_EMBEDDINGS),
        DAY_IS_OVER,
        *ONE_VERSION,
        ExpectOneValuePerDay(column="vector", value="size(vector)", description="one size per day"),
        rule("vector", f"abs({length('vector')} - 1) <= 1e-3", "of length 1"),
        rule("in_vector", "size(in_vector) = size(vector)", "as many dimensions as vector"),
        ExpectColumnValuesToBeWithin(column="support", min_value=1),
        rule("weight", "weight > 0 and weight <= support * (1 + 1e-9)", "over 0, at most 1 per play"),
    ),
    bounds=(SOME_ROWS, ONE_ROW_PER_KEY),
)
