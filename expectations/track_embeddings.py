"""What is expected of track embeddings."""

from __future__ import annotations

from expectations.aggregates import ExpectColumnValuesToBeWithin, ExpectOneValuePerDay
from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, contract_expectations, rule
from expectations.suite import Suite
from expectations.windows import DAY_IS_OVER
from schemas.track_embeddings import TRACK_EMBEDDINGS

_LENGTH = "sqrt(aggregate(in_vector, 0D, (sum, x) -> sum + double(x) * x))"

SUITE = Suite(
    table=TRACK_EMBEDDINGS.name,
    expectations=(
        *contract_expectations(TRACK_EMBEDDINGS),
        DAY_IS_OVER,
        ExpectOneValuePerDay(column="space_id", value="space_id", description="one space per day"),
        ExpectOneValuePerDay(column="in_vector", value="size(in_vector)", description="one size per day"),
        rule("out_vector", "size(out_vector) = size(in_vector)", "as many dimensions as in_vector"),
        rule("in_vector", "size(in_vector) >= 1", "at least one dimension"),
        # a vector of zeros is like no other; one of length 100 comes of a training that diverged
        rule("norm", "norm > 0 and norm < 100", "over 0, under 100"),
        # vectors are floats, their length is a double
        rule("norm", f"abs({_LENGTH} - norm) <= 1e-3 * norm", "the length of in_vector"),
        ExpectColumnValuesToBeWithin(column="support", min_value=1),
    ),
    bounds=(SOME_ROWS, ONE_ROW_PER_KEY),
)
