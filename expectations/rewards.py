"""What is expected of rewards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from great_expectations.expectations.expectation import Expectation

from expectations.contracts import build_suite, expect_rows
from expectations.plays import IS_OF_ITS_DAY
from expectations.suite import Suite
from schemas.attributions import OF_IMPRESSION
from schemas.impression_rewards import ImpressionRewards
from schemas.rewards import AT_ONCE, OF_PLAY, STATUS_CHECK, Reward, Rewards, status_name

IS_STATUS = "the three add up to the rows; whoever waits for a fourth leaves rows out of every count"


def build_reward_suite(declared: Rewards) -> Suite:
    """When it is needed: most roots have no rewards."""
    waiting = [reward for reward in declared.rewards if reward.status]
    return build_suite(
        declared.contract,
        expect_rows("ds", "ds = to_date(played_at)", "the day of played_at, in UTC", reason=IS_OF_ITS_DAY),
        *_expect_statuses(declared.horizons),
        *_expect_unknown(waiting),
        # of a night no horizon may have passed yet, and sources lack saves, skips or artists
        optional=(*OF_PLAY, *(reward.name for reward in declared.rewards)),
        # a day whose plays were all retracted has none
        row_bound=None,
    )


def build_impression_reward_suite(declared: ImpressionRewards) -> Suite:
    led_to, until = ("plays", "play_id", "delay_ms"), "null until no play can come any more"
    is_over = f"{status_name(AT_ONCE)} = 'ripe'"
    reason = (
        "a count of the plays so far is too small, and an impression that leads to one tomorrow a failure"
    )
    return build_suite(
        declared.contract,
        expect_rows("ds", "ds = to_date(shown_at)", "the day of shown_at, in UTC", reason=IS_OF_ITS_DAY),
        *(expect_rows(name, f"{is_over} or {name} is null", until, reason=reason) for name in led_to),
        expect_rows(
            "plays",
            "(plays > 0) = (play_id is not null)",
            "none, and no first play, or some and one",
            reason="rates of impressions that led to a play count one, and rewards are of the other",
        ),
        *_expect_statuses(declared.horizons),
        *_expect_unknown(declared.rewards.rewards),
        optional=(*OF_IMPRESSION, *led_to, *(reward.name for reward in declared.rewards.rewards)),
        # a rule may be of no item that is shown on a day
        row_bound=None,
    )


def _expect_statuses(horizons: Iterable[str]) -> Iterator[Expectation]:
    for name in map(status_name, horizons):
        yield expect_rows(
            name,
            f"{name} {STATUS_CHECK}",
            "ripe, unripe or censored",
            reason=IS_STATUS,
        )


def _expect_unknown(rewards: Iterable[Reward]) -> Iterator[Expectation]:
    for reward in rewards:
        yield expect_rows(
            reward.name,
            f"{status_name(reward.horizon)} = 'ripe' or `{reward.name}` is null",
            f"null until {reward.horizon} are over",
            reason="a value of the plays so far is too small, and a model would learn that nobody comes back",
        )
