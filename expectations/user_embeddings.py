"""What is expected of user embeddings."""

from __future__ import annotations

from expectations.contracts import build_suite, expect_rows, expect_within
from expectations.track_embeddings import OF_ONE_TRAINING, ONE_SIZE, UNIT_VECTOR, expect_one_per_day
from schemas.user_embeddings import USER_EMBEDDINGS

SUITE = build_suite(
    USER_EMBEDDINGS,
    *OF_ONE_TRAINING,
    expect_one_per_day("vector", "one size per day", ONE_SIZE, "size(vector)"),
    UNIT_VECTOR,
    expect_rows(
        "in_vector", "size(in_vector) = size(vector)", "as many dimensions as vector", reason=ONE_SIZE
    ),
    expect_within("support", "a listener without plays has no vector: one that is there is of nothing", 1),
    # a sum of doubles, each of them 1 at most
    expect_rows(
        "weight",
        "weight > 0 and weight <= support * (1 + 1e-9)",
        "over 0, at most 1 per play",
        reason="the vector is a mean by these weights: beyond 1 per play they were not those of its plays",
    ),
)
