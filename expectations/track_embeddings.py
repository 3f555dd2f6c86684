"""What is expected of track embeddings: row by row, and by its bounds of the space as a whole."""

from __future__ import annotations

from expectations.aggregates import ExpectOneValuePerDay
from expectations.contracts import (
    FEATURE_AT_IS_END_OF_DAY,
    build_suite,
    expect_rows,
    expect_within,
    explain,
)
from expectations.training_bounds import BOUNDS
from schemas.track_embeddings import SOURCES, TRACK_EMBEDDINGS


def expect_one_per_day(
    column: str, expected: str, reason: str, value: str | None = None
) -> ExpectOneValuePerDay:
    """`value` is SQL of what must be the same in all rows of a day; the column itself for None."""
    return ExpectOneValuePerDay(
        column=column, value=value or column, description=expected, meta=explain(reason)
    )


def _length_sql(vector: str) -> str:
    # summed as doubles, so that the tolerance is for the floats' own rounding and none of the sum's
    return f"sqrt(aggregate({vector}, 0D, (sum, x) -> sum + double(x) * x))"


ONE_SPACE = expect_one_per_day("space_id", "one space per day", "vectors of two spaces compare as noise")
# Of every table that is made from one training a day: vectors of two spaces compare as noise.
OF_ONE_TRAINING = (
    FEATURE_AT_IS_END_OF_DAY,
    ONE_SPACE,
    expect_one_per_day(
        "version_id", "one version per day", "half of a training beside half of another is neither of them"
    ),
)
# Why all vectors of a day have one size, and why two of a row have the same.
ONE_SIZE = "index and models are made for one number of dimensions; a row of another cannot be loaded"
# vectors are floats, their length is a double
UNIT_VECTOR = expect_rows(
    "vector",
    f"abs({_length_sql('vector')} - 1) <= 1e-3",
    "of length 1",
    reason="readers take the product of two as their cosine",
)

VECTORS = ("vector", "in_vector", "out_vector")
_SUM = "zip_with(in_vector, out_vector, (x, y) -> double(x) + y)"
_SOURCES_SQL = ", ".join(f"'{source}'" for source in SOURCES)

SUITE = build_suite(
    TRACK_EMBEDDINGS,
    *OF_ONE_TRAINING,
    *(expect_one_per_day(name, "one size per day", ONE_SIZE, f"array_size({name})") for name in VECTORS),
    expect_rows(
        "source",
        f"source in ({_SOURCES_SQL})",
        f"one of {', '.join(SOURCES)}",
        reason="readers choose by it how far they trust a vector",
    ),
    *(
        expect_rows(
            name,
            f"({name} is null) = (source = 'none')",
            "null where source is none, and only there",
            reason="who leaves out tracks without a vector goes by source, and would read a null or miss a vector",
        )
        for name in (*VECTORS, "norm")
    ),
    expect_rows(
        "vector",
        "size(vector) >= 2",
        "two dimensions or more",
        reason="of one dimension all vectors of length 1 are 1 or -1",
    ),
    *(
        expect_rows(name, f"size({name}) = size(vector)", "as many dimensions as vector", reason=ONE_SIZE)
        for name in ("in_vector", "out_vector")
    ),
    UNIT_VECTOR,
    expect_rows(
        "vector",
        f"forall(zip_with(vector, {_SUM}, (x, y) -> abs(x * norm - y) <= 1e-3 * norm), near -> near)",
        "in + out, divided by norm",
        reason="tracks are compared by it, and what comes next by in and out: with another's vector they disagree",
    ),
    expect_rows(
        "norm",
        f"abs({_length_sql(_SUM)} - norm) <= 1e-3 * norm",
        "the length of in + out",
        reason="vector times norm is in + out: with another norm, who needs lengths computes wrong ones",
    ),
    expect_rows(
        "norm",
        "norm > 0 and norm < 1000",
        "over 0, under 1,000",
        reason="a vector of no length has no direction, and one of length 1,000 is of a training that diverged",
    ),
    expect_rows(
        "support",
        "source <> 'learned' or support >= 1",
        "1 or more where learned",
        reason="nothing is learned of a track without plays: its vector is another track's, or noise",
    ),
    expect_within("support", "it is a number of plays", 0),
    optional=("in_state", "out_state"),
    bounds=BOUNDS,
)
