"""What is expected of track embeddings: row by row, and of the space as a whole.

The figures are measured on real music sessions. Two trainings that differ in the seed alone share 33 to 40 % of
their ten nearest, so what a space may lose is held against that, not against none.
"""

from __future__ import annotations

from expectations.aggregates import (
    ExpectColumnValuesToBeWithin,
    ExpectOneValuePerDay,
    ExpectShareToBeBetween,
)
from expectations.contracts import ONE_ROW_PER_KEY, SOME_ROWS, WARNING, contract_expectations, rule
from expectations.suite import ENOUGH_PAIRS, Bound, Suite
from expectations.windows import DAY_IS_OVER
from schemas.track_embeddings import SOURCES, TRACK_EMBEDDINGS

ONE_VERSION = (
    ExpectOneValuePerDay(column="space_id", value="space_id", description="one space per day"),
    ExpectOneValuePerDay(column="version_id", value="version_id", description="one version per day"),
)
VECTORS = ("vector", "in_vector", "out_vector")


def length(column: str) -> str:
    """Of a vector, in SQL."""
    return f"sqrt(aggregate({column}, 0D, (sum, x) -> sum + double(x) * x))"


_SUM = "zip_with(in_vector, out_vector, (x, y) -> double(x) + y)"
_LISTED = ", ".join(f"'{source}'" for source in SOURCES)

SUITE = Suite(
    table=TRACK_EMBEDDINGS.name,
    expectations=(
        *contract_expectations(TRACK_EMBEDDINGS, may_be_unknown=("in_state", "out_state")),
        DAY_IS_OVER,
        *ONE_VERSION,
        *(
            ExpectOneValuePerDay(column=name, value=f"array_size({name})", description="one size per day")
            for name in VECTORS
        ),
        rule("source", f"source in ({_LISTED})", f"one of {', '.join(SOURCES)}"),
        *(
            rule(name, f"({name} is null) = (source = 'none')", "null where source is none, and only there")
            for name in (*VECTORS, "norm")
        ),
        rule("vector", "size(vector) >= 2", "two dimensions or more"),
        *(
            rule(name, f"size({name}) = size(vector)", "as many dimensions as vector")
            for name in ("in_vector", "out_vector")
        ),
        # vectors are floats, their length is a double
        rule("vector", f"abs({length('vector')} - 1) <= 1e-3", "of length 1"),
        rule("norm", f"abs({length(_SUM)} - norm) <= 1e-3 * norm", "the length of in + out"),
        # a vector of length 1,000 comes of a training that diverged
        rule("norm", "norm > 0 and norm < 1000", "over 0, under 1,000"),
        rule("support", "source <> 'learned' or support >= 1", "1 or more where learned"),
        ExpectColumnValuesToBeWithin(column="support", min_value=0),
        ExpectShareToBeBetween(
            column="support",
            share="coalesce(try_divide(sum(if(source = 'learned', support, 0)), sum(support)), 1)",
            min_value=0.95,
            max_value=1.0,
            description="at least 95 % of plays are of tracks learned",
        ),
        ExpectShareToBeBetween(
            column="source",
            share="coalesce(try_divide(sum(if(source = 'none', 0, support)), sum(support)), 1)",
            min_value=0.99,
            max_value=1.0,
            severity=WARNING,
            description="at least 99 % of plays are of tracks with a vector",
        ),
    ),
    bounds=(
        SOME_ROWS,
        ONE_ROW_PER_KEY,
        Bound("pairs", low=ENOUGH_PAIRS, severity="warning"),
        Bound("next.hr@10_over_popularity", low=5, when="enough_pairs"),
        Bound("next.hr@10_over_cooccurrence", low=0.85, when="enough_pairs"),
        # the lower end of 95 % of redraws of the same pairs
        Bound("next.hr_ratio_low", low=0.95, when="enough_pairs_and_parent"),
        Bound("norm_p1_ratio", 0.75, 1.25, when="has_parent"),
        Bound("norm_p99_ratio", 0.75, 1.25, when="has_parent"),
        Bound("overlap@10", low=0.65, when="is_warm"),
        Bound("cosine", low=0.95, when="is_warm"),
        Bound("overlap_over_seeds", low=0.9, when="is_cold_with_parent"),
    ),
)
