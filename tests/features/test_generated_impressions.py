"""Generated impressions: what the policy logs is how it draws, and the position bias comes out of the log."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import functions as F

from features.synthetic.impressions import (
    CANDIDATES,
    FIELDS,
    TAKE_CHANCE,
    TAKE_CHANCE_OFF_TASTE,
    draw_impressions,
    examination_chance,
    select_fields,
)
from features.synthetic.listening import generate_plays
from features.synthetic.world import World

WORLD = World(slate=3, users=40, days=2, tracks=400, artists=80, clusters=8, sessions_per_day=1.0)
SESSIONS = 12_000


def draw(spark):
    """Of so many sessions, one each of as many listeners, at noon of the first day."""
    user = F.col("id").alias("user")
    cluster = (F.col("id") % WORLD.clusters).alias("cluster")
    noon = F.lit(12 * 3_600_000).alias("start_ms")
    sessions = spark.range(0, SESSIONS, 1, 2).select(user, F.lit(3).alias("slot"), cluster, noon)
    return draw_impressions(WORLD, sessions)


def test_propensities_and_position_bias_are_found_in_the_log(spark):
    drawn = draw(spark)
    assert select_fields(WORLD, drawn).columns == [*FIELDS, "delivered"]
    log = {
        name: column.to_numpy() for name, column in zip(drawn.columns, drawn.toArrow().columns, strict=True)
    }
    weight = 1 / (log["propensity"] * CANDIDATES)
    # as uniform draws would have taken: by position alone
    taken = [np.mean((log["taken"] * weight)[log["position"] == n]) for n in (1, 2, 3)]
    truth = [examination_chance(n) for n in (1, 2, 3)]
    assert np.array(taken) / taken[0] == pytest.approx(np.array(truth), rel=0.05)
    seen = [np.mean(log["seen"][log["position"] == n]) for n in (1, 2, 3)]
    assert seen == pytest.approx(truth, abs=0.02)
    assert not (log["taken"] & ~log["seen"]).any()
    # the draws are not uniform, so that the log without weights says too much
    in_cluster = log["track"] % WORLD.clusters == log["cluster"]
    first = log["position"] == 1
    assert np.mean(weight) == pytest.approx(1, abs=0.02)
    assert np.mean(log["taken"][first]) > 1.1 * taken[0]
    for chance, chosen in ((TAKE_CHANCE, in_cluster), (TAKE_CHANCE_OFF_TASTE, ~in_cluster)):
        assert np.mean(log["taken"][first & chosen]) == pytest.approx(chance, abs=0.02)


def test_what_is_taken_is_played_and_nothing_else_changes(spark):
    users = spark.range(WORLD.users)
    names = ("play_id", "user_id", "track_id", "played_at", "ms_played", "skipped")
    with_slates, without = (
        {row[0]: row for row in generate_plays(world, users).select(*names).collect()}
        for world in (WORLD, WORLD.replace(slate=0))
    )
    assert {id_: with_slates[id_] for id_ in without} == without
    more = [row for id_, row in with_slates.items() if id_ not in without]
    assert len({row["user_id"] for row in more}) > 10
