"""Discovery traces against their definition, in one call of Spark over many listeners; and against stickiness."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import reference.rewards
from features.discovery_traces import Observed, trace_discoveries
from reference.discovery_traces import ITEMS, discovery_traces
from reference.frames import frame, rows
from reference.rewards import LABEL_DAYS, THROUGH, status, worlds
from reference.rows import assert_same
from reference.worlds import DAY, MIDNIGHT
from schemas.discovery_traces import DISCOVERY_TRACES, DiscoveryTraces
from schemas.reward_set import ARTIST_DISCOVERED, TRACK_DISCOVERED
from schemas.rewards import Rewards
from schemas.starting_set import STARTING_SET

REWARDS = Rewards((TRACK_DISCOVERED, ARTIST_DISCOVERED))
DECLARED = DiscoveryTraces(REWARDS, ("discovered", "artist_discovered"))
KEY = ("play_id", "item_type")
ERASED_AT = {f"world {n}": MIDNIGHT + (n % 60) * DAY + DAY / 2 for n in range(0, 500, 10)}
# Of the days of `LABEL_DAYS` the first has all of its 59 days, the second would if there were plays to their end, and
# those of the third are not over.
LAST = THROUGH - timedelta(days=1)
DELIVERED = THROUGH + timedelta(days=40)


def make_rewards(plays):
    """All plays that have none of their item in the 90 days before, of one instant too."""
    by_user = {}
    for play in plays:
        by_user.setdefault(play["user_id"], []).append(play)
    for play in plays:
        own, row = by_user[play["user_id"]], dict(play)
        for item, name in zip(ITEMS, DECLARED.discoveries, strict=True):
            same = [each["played_at"] for each in own if each[f"{item}_id"] == play[f"{item}_id"]]
            begin, end = play["played_at"] - 90 * DAY, play["played_at"]
            known = play[f"{item}_id"] is not None
            row[name] = not any(begin <= at < end for at in same) if known else None
        yield row


def make_partials(spark, plays, item):
    """Of a day and of two, as tables of partials have."""
    found = {(p["user_id"], p[f"{item}_id"], p["ds"], span) for p in plays for span in (1, 2)}
    return spark.createDataFrame(
        sorted(each for each in found if each[1] is not None),
        f"user_id string, {item}_id string, ds date, span int",
    )


def compute(spark, plays, through):
    last = min(through, LAST)
    observed = {
        day: Observed(DECLARED.count_observed((last - day).days), status(day, 59, through, LAST))
        for day in LABEL_DAYS
    }
    of_days = [row for row in make_rewards(plays) if row["ds"] in LABEL_DAYS]
    erased = {hashlib.sha256(user.encode()).hexdigest(): at for user, at in ERASED_AT.items()}
    items = DECLARED.list_items(STARTING_SET)
    partials = {
        item.group.partials_table: make_partials(spark, plays, name)
        for name, item in zip(ITEMS, items, strict=True)
    }
    traced = trace_discoveries(frame(spark, of_days, REWARDS.contract), partials, items, observed, erased)
    return rows(traced, DISCOVERY_TRACES)


def test_traces_are_as_defined_and_a_whole_one_counts_as_stickiness(spark):
    # ties, plays at 90 days before and at 59 and 60 days after, all within microseconds
    plays = [play for play in worlds(11, 500) if play["ds"] <= LAST]
    expected = list(discovery_traces(plays, LABEL_DAYS, DELIVERED, LAST, erased_at=ERASED_AT))
    assert {row["status"] for row in expected} == {"ripe", "unripe", "censored"}
    assert {row["trace"] is None for row in expected} == {True, False}
    computed = compute(spark, plays, DELIVERED)
    assert_same(expected, computed, KEY, plays, "user_id")
    sticky = {
        row["play_id"]: row["sticky_59d"]
        for row in reference.rewards.rewards(plays, LABEL_DAYS, THROUGH, THROUGH, ERASED_AT)
        if row["sticky_59d"] is not None
    }
    whole = {
        row["play_id"]: row["trace"]
        for row in computed
        if row["item_type"] == "track" and row["status"] == "ripe" and row["play_id"] in sticky
    }
    assert len(whole) > 50
    assert {id_: 1 + trace.bit_count() for id_, trace in whole.items()} == {id_: sticky[id_] for id_ in whole}
