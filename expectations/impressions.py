"""What is expected of impressions beside what is expected of any events."""

from __future__ import annotations

from expectations.suite import Bound, SoftBound

IMPRESSION_BOUNDS = (
    Bound(
        "repeated_position_share",
        "two items at one position of a request are two requests of one name, or impressions that were sent again "
        "under other ids",
        high=0.01,
        is_share=True,
        share_of="of requests",
    ),
    SoftBound(
        "missing_position_share",
        "positions of a request are 1, 2, 3 …; a few are late, or were rejected",
        high=0.01,
        is_share=True,
        share_of="of requests",
    ),
    SoftBound(
        "propensity_error",
        "1 / propensity is on average the number of items that could have been shown; where it is not, propensities "
        "are not the chances by which items were chosen, and what is weighted with them is biased",
        high=0.05,
        is_share=True,
        applies_if="has_propensities",
    ),
)
