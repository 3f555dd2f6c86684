"""What is expected of thresholds of rewards."""

from __future__ import annotations

from expectations.contracts import build_suite, expect_rows
from expectations.suite import Suite
from schemas.reward_thresholds import REWARD_THRESHOLDS


def build_threshold_suite() -> Suite:
    """When it is needed: most roots have no thresholds."""
    return build_suite(
        REWARD_THRESHOLDS,
        expect_rows(
            "value_level",
            "value_level <= level",
            "not over level",
            reason="plays of a group would be held against those of a part of it",
        ),
        expect_rows(
            "value",
            "(value is null) = (value_level is null)",
            "there where value_level is",
            reason="nobody could say whether a threshold is that of the group or of all plays",
        ),
        expect_rows(
            "own_value",
            "(own_value is not null) = (value_level <=> level) and (own_value is null or own_value = value)",
            "value where value_level is level, else null",
            reason="a group that is large enough has its own threshold, and no other group has one",
        ),
        expect_rows(
            "listeners",
            "listeners <= plays",
            "at most as many as plays",
            reason="groups are large enough by both counts, and one of them would be wrong",
        ),
        # where all groups are too small
        optional=("own_value", "value", "value_level"),
        # of a young root no horizon may be over
        row_bound=None,
    )
