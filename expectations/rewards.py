"""What is expected of rewards."""

from __future__ import annotations

from expectations.contracts import build_suite, expect_rows
from expectations.plays import IS_OF_ITS_DAY
from expectations.suite import Suite
from schemas.rewards import OF_PLAY, STATUSES, Rewards, status_name


def build_reward_suite(declared: Rewards) -> Suite:
    """When it is needed: most roots have no rewards."""
    listed = ", ".join(f"'{status}'" for status in STATUSES)
    statuses = [
        expect_rows(
            status_name(horizon),
            f"{status_name(horizon)} in ({listed})",
            "ripe, unripe or censored",
            reason="the three add up to the plays; whoever waits for a fourth leaves plays out of every count",
        )
        for horizon in declared.horizons
    ]
    unknown = [
        expect_rows(
            reward.name,
            f"{reward.status} = 'ripe' or `{reward.name}` is null",
            f"null until {reward.horizon} are over",
            reason="a value of the plays so far is too small, and a model would learn that nobody comes back",
        )
        for reward in declared.rewards
        if reward.status
    ]
    return build_suite(
        declared.contract,
        expect_rows("ds", "ds = to_date(played_at)", "the day of played_at, in UTC", reason=IS_OF_ITS_DAY),
        *statuses,
        *unknown,
        # of a night no horizon may have passed yet, and sources lack saves, skips or artists
        optional=(*OF_PLAY, *(reward.name for reward in declared.rewards)),
        # a day whose plays were all retracted has none
        row_bound=None,
    )
