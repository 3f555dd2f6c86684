"""Rewards of impressions against their definition, in one call of Spark over thousands of listeners."""

from __future__ import annotations

from collections import Counter
from random import Random

from features.impression_rewards import reward_impressions
from reference.attributions import attributions
from reference.frames import frame, rows
from reference.impression_rewards import impression_rewards
from reference.rewards import status
from reference.rows import assert_same
from reference.shown import RULES, is_seen, shown_and_played
from reference.worlds import DAY, MIDNIGHT
from schemas.attributions import ATTRIBUTIONS, Attributions
from schemas.impression_rewards import ImpressionRewards
from schemas.impressions import IMPRESSIONS
from schemas.reward_set import PLAY_REWARDS
from schemas.rewards import Rewards

NAMES = ("completed", "replayed_1d", "returns_7d")
REWARDS = Rewards(tuple(reward for reward in PLAY_REWARDS if reward.name in NAMES))
DECLARED = ImpressionRewards(REWARDS, Attributions(RULES))
WORLDS = 1_500
THROUGH = (MIDNIGHT + 7 * DAY).date()
LAST = (MIDNIGHT + DAY).date()


def make_play_rewards(rng, plays):
    """Of each play values that nothing else follows from; some are of a listener who was erased."""
    for play in plays:
        lost = rng.random() < 0.1
        yield {
            **{name: play[name] for name in REWARDS.contract.names if name in play},
            "completed": rng.choice((None, True, False)),
            "replayed_1d": None if lost else rng.choice((None, True, False)),
            "returns_7d": None if lost else rng.choice((True, False)),
            "status_1d": "censored" if lost else "ripe",
            "status_7d": "censored" if lost else "ripe",
        }


def find_status(day, days):
    return status(day, days, THROUGH, LAST)


def test_rewards_of_impressions_are_those_of_the_first_play_that_they_led_to(spark):
    impressions, plays = shown_and_played(5, WORLDS)
    by_user = {}
    for play in plays:
        by_user.setdefault(play["user_id"], []).append(play)
    shown = {}
    for impression in impressions:
        shown.setdefault(impression["user_id"], []).append(impression)
    led_to = {user: attributions(own, shown[user], RULES, is_seen) for user, own in by_user.items()}
    rewards = {row["play_id"]: row for row in make_play_rewards(Random(5), plays)}
    expected = [
        row
        for user in by_user
        for row in impression_rewards(shown[user], led_to[user], rewards, DECLARED, find_status, is_seen)
    ]
    assert {row["plays"] for row in expected} >= {None, 0, 1, 2}
    statuses = Counter(row["status_0d"] + " " + row["status_1d"] for row in expected)
    assert {"ripe ripe", "ripe censored"} <= statuses.keys(), statuses
    days = {each["ds"] for each in impressions}
    computed = reward_impressions(
        frame(spark, impressions, IMPRESSIONS.contract),
        frame(spark, make_attributions(led_to.values()), ATTRIBUTIONS),
        frame(spark, rewards.values(), REWARDS.contract),
        DECLARED,
        {d: {h: find_status(d, 1 + int(h[:-1])) for h in DECLARED.horizons} for d in days},
    )
    actual = rows(computed, DECLARED.contract)
    assert_same(expected, actual, ("impression_id", "rule_id"), impressions, "user_id")


def make_attributions(of_users):
    for of_user in of_users:
        for row in of_user:
            yield row | {"attribution_id": f"{row['rule_id']} {row['play_id']}"}
