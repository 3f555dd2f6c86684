"""Thresholds of rewards against their definition, and plays held against them without Spark."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from random import Random

import pyarrow as pa
import pytest

from features.reward_thresholds import compute_thresholds, select_plays
from reference.frames import frame, rows
from reference.reward_thresholds import find_quantile, reward_thresholds
from reference.rows import assert_same, bucket
from reference.worlds import MIDNIGHT, session_play
from schemas import CONTRACTS
from schemas.reward_thresholds import REWARD_THRESHOLDS, RewardThresholds, Threshold
from schemas.rewards import Reward, Rewards
from schemas.sessions import SESSIONS
from segue import UsageError
from segue.thresholds import compare_with_threshold

BY = {
    "explicit": "explicit",
    "length": "case when track_ms >= 600000 then 'long' when track_ms >= 0 then '' end",
}
REWARDS = Rewards(
    (
        Reward("worth", "ms_played", "m", type="bigint"),
        Reward("gain", "log(ms_played)", "m", type="double"),
    )
)
FINE = Threshold("fine", "worth", BY, 0.7, 2, min_plays=12, min_listeners=4)
OF_ALL = Threshold("of_all", "gain", quantile=0.25, days=2, min_plays=1, min_listeners=1)
DECLARED = RewardThresholds(REWARDS, (FINE, OF_ALL))
DAY = MIDNIGHT.date()
DAYS = (DAY - timedelta(days=1), DAY)


def make_plays(rng, count):
    """Few of explicit tracks, which take the threshold of all; those of clean and of long ones are worth more."""
    for n in range(count):
        track = rng.choice(("explicit", *["clean"] * 12, *["of no catalogue"] * 5))
        length = rng.choice((None, 1, 1, 1, 600_000))
        worth = rng.choice((None, 0, 0, 1, 2, 2, 7, 90))
        more = 3 * (track == "clean") + 10 * (length == 600_000)
        value = worth + more if worth else worth
        # what a division by zero and a logarithm of it come to, among others that are known
        gain = (math.nan, math.inf, -math.inf, value, value)[n % 5]
        yield session_play(
            play_id=f"{n}",
            user_id=f"u{rng.randint(0, 5)}",
            track_id=track,
            track_ms=length,
            is_bot=rng.random() < 0.1,
        ) | {"worth": value, "gain": None if gain is None else float(gain)}


def select(plays, reward="worth"):
    """Those that count, with what groups are of, as loops have it."""
    explicit = {"explicit": "true", "clean": "false"}
    for play in plays:
        if play[reward] is not None and math.isfinite(play[reward]) and not play["is_bot"]:
            length = None if play["track_ms"] is None else "long" if play["track_ms"] >= 600_000 else ""
            group = {"explicit": explicit.get(play["track_id"]), "length": length}
            yield {"user_id": play["user_id"], "value": float(play[reward]), **group}


@pytest.fixture(scope="module")
def world(spark):
    """Plays, and their thresholds as computed."""
    plays = list(make_plays(Random(4), 160))
    tracks = [
        {"track_id": each, "explicit": each == "explicit", "source": "s", "bucket": bucket(each)}
        for each in ("explicit", "clean")
    ]
    computed = None
    for threshold in DECLARED.thresholds:
        selected = select_plays(
            frame(spark, plays, REWARDS.contract),
            frame(spark, plays, SESSIONS),
            frame(spark, tracks, CONTRACTS["tracks"]),
            threshold,
        )
        found = compute_thresholds(selected, threshold, DAYS, DAY)
        computed = found if computed is None else computed.unionByName(found)
    return plays, rows(computed, REWARD_THRESHOLDS)


def test_thresholds_are_quantiles_of_groups_or_of_their_parents(world):
    plays, computed = world
    for threshold in DECLARED.thresholds:
        selected = list(select(plays, threshold.reward))
        limits = (threshold.quantile, threshold.min_plays, threshold.min_listeners)
        constants = {
            "threshold": threshold.name,
            "reward": threshold.reward,
            "quantile": threshold.quantile,
            "by": list(threshold.by),
            "first_day": DAYS[0],
            "last_day": DAYS[1],
            "ds": DAY,
        }
        expected = [row | constants for row in reward_thresholds(selected, list(threshold.by), *limits)]
        actual = [row for row in computed if row["threshold"] == threshold.name]
        assert_same(expected, actual, ("level", "group_values"), [], "threshold")
    # of the fine groups some are large enough, others take those of their parents, and of all
    assert {row["value_level"] for row in computed if row["level"] == 2} == {0, 1, 2}
    assert '{"explicit":null,"length":null}' in {row["group_values"] for row in computed}


def test_plays_are_over_the_threshold_of_their_group(world):
    plays, computed = world
    selected = list(select(plays))
    own = reward_thresholds(selected, list(BY), FINE.quantile, FINE.min_plays, FINE.min_listeners)
    limits = {row["group_values"]: row["value"] for row in own}
    given = [
        (play, limits[json.dumps({name: play[name] for name in BY}, separators=(",", ":"))])
        for play in selected
    ]
    # groups without plays are of the longest part of them that has some
    for explicit, length, part in (("true", "medium", '{"explicit":"true"}'), ("neither", "long", "{}")):
        given += [
            ({"value": value, "explicit": explicit, "length": length}, limits[part]) for value in (0.0, 90.0)
        ]
    thresholds = pa.Table.from_pylist(computed)
    old = pa.Table.from_pylist([row | {"ds": DAYS[0], "value": 1e9} for row in computed])
    labels = pa.Table.from_pylist(
        [row | {"worth": int(row["value"]), "gain": row["value"]} for row, _ in given]
    )
    over = compare_with_threshold(labels, pa.concat_tables([old, thresholds]), "fine").to_pylist()
    assert over == [row["value"] > limit for row, limit in given] and {True, False} == set(over)
    assert len({limit for _, limit in given}) > 2
    assert compare_with_threshold(labels, thresholds, "of_all").to_pylist()[-2:] == [False, True]


def test_what_cannot_be_compared_is_refused(world):
    thresholds = pa.Table.from_pylist(world[1])
    with pytest.raises(UsageError, match="no threshold is named 'good'; there are: fine, of_all"):
        compare_with_threshold(pa.table({"worth": [1]}), thresholds, "good")
    with pytest.raises(UsageError, match="rows have no explicit, length; they have worth"):
        compare_with_threshold(pa.table({"worth": [1]}), thresholds, "fine")


def test_the_quantile_of_the_oracle_lies_between_values():
    assert [find_quantile([4, 0], q) for q in (0.25, 0.5, 0.999)] == [1.0, 2.0, 3.996]
    assert find_quantile([3], 0.8) == 3.0
