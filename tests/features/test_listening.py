"""The generator's listeners: the same from any partitions, and each habit that the model promises."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pytest

from features.synthetic import catalogue, listening
from features.synthetic.world import World, WorldError

WORLD = World(
    seed=3, users=200, days=10, tracks=120, artists=24, clusters=6, sessions_per_day=0.6, new_tracks=0.3,
    bots=0.01,
)  # fmt: skip
MS = timedelta(milliseconds=1)


def plays(spark, world, partitions=2, days=None):
    users = spark.range(0, world.users, 1, partitions)
    return sorted(
        listening.generate_plays(world, users, days).collect(), key=lambda row: (row.user_id, row.played_at)
    )


@pytest.fixture(scope="module")
def heard(spark):
    return plays(spark, WORLD)


@pytest.fixture(scope="module")
def humans(heard):
    return [row for row in heard if not row.is_bot]


@pytest.fixture(scope="module")
def tracks(spark):
    return {row.track: row for row in catalogue.generate_tracks(WORLD, spark.range(WORLD.tracks)).collect()}


def test_plays_depend_on_no_partition(spark, heard):
    spark.conf.set("spark.sql.shuffle.partitions", "5")
    try:
        assert plays(spark, WORLD, partitions=7) == heard
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", "2")


def test_days_made_apart_are_the_days_made_at_once(spark, heard):
    parts = [plays(spark, WORLD, days=days) for days in (range(4), range(4, 5), range(5, 10))]
    assert Counter(row.play_id for part in parts for row in part) == Counter(row.play_id for row in heard)


def test_another_seed_is_another_world(spark, heard):
    other = plays(spark, World(**{**vars(WORLD), "seed": 4}))
    assert not {row.play_id for row in heard} & {row.play_id for row in other}
    assert Counter(row.track_id for row in heard) != Counter(row.track_id for row in other)


def test_play_ids_are_unique(heard):
    assert [play for play, n in Counter(row.play_id for row in heard).items() if n > 1] == []


def test_plays_follow_the_catalogue(heard, tracks):
    wrong = [
        row.play_id
        for row in heard
        if (row.track_id, row.artist_id, row.track_ms)
        != tuple(tracks[row.track][name] for name in ("track_id", "artist_id", "track_ms"))
    ]
    assert wrong == []


def test_popularity_inside_a_cluster_falls_like_zipf(spark):
    """Each rank's share against its odds; the sum over ranks of squared errors is chi-square."""
    plain = {"off_taste": 0, "repeats": 0, "new_tracks": 0, "bots": 0}
    world = World(users=400, days=10, tracks=200, artists=4, clusters=4, **plain)
    count = Counter(row.track // world.clusters + 1 for row in plays(spark, world))
    odds = [math.log((k + 1) / k) / math.log(51) for k in range(1, 51)]
    expected = np.array(odds) * sum(count.values())
    seen = np.array([count[k] for k in range(1, 51)])
    assert expected.min() > 30, "too few plays to tell"
    surprise = ((seen - expected) ** 2 / expected).sum()
    assert surprise < 49 + 4 * math.sqrt(2 * 49), f"chi-square {surprise:.0f} of 49; ranks 1 to 5: {seen[:5]}"


def test_no_track_is_heard_before_its_release(heard, tracks):
    early = [
        (row.play_id, row.played_at.date(), tracks[row.track].released_on)
        for row in heard
        if row.played_at.date() < tracks[row.track].released_on
    ]
    assert early == []
    new = {row.track_id for row in heard if tracks[row.track].release_day > 0}
    assert len(new) > 10, f"only {len(new)} tracks came out and were heard: this shows nothing"


def test_skips_follow_taste(humans):
    off_taste, in_taste = [], []
    for row in humans:
        (in_taste if row.track % WORLD.clusters == row.cluster else off_taste).append(row.skipped)
    assert np.mean(off_taste) == pytest.approx(0.45, abs=4 * 0.5 / math.sqrt(len(off_taste)))
    assert 0.09 < np.mean(in_taste) < 0.13


def test_off_taste_is_as_rare_as_asked(humans):
    """Of the plays from any cluster, one in six is from the session's own."""
    share = np.mean([row.track % WORLD.clusters != row.cluster for row in humans])
    expected = WORLD.off_taste * (1 - 1 / WORLD.clusters)
    assert share == pytest.approx(expected, abs=4 * math.sqrt(expected / len(humans)))


def test_listening_times_fit_skips_and_saves(humans):
    for row in humans:
        if row.skipped:
            assert 1_000 <= row.ms_played < 30_000 and not row.saved, row
        else:
            assert row.track_ms / 2 < row.ms_played <= row.track_ms, row
        if row.saved:
            assert row.track % WORLD.clusters == row.cluster, f"saved off taste: {row}"
    assert 0.01 < np.mean([row.saved for row in humans]) < 0.04


def test_sessions_are_runs_of_plays_far_from_each_other(humans):
    """So that whoever cuts at half an hour of silence finds them again."""
    for before, row in pairwise(humans):
        if row.user_id == before.user_id:
            pause = row.played_at - before.played_at - before.ms_played * MS
            if row.position == 1:
                assert pause > timedelta(minutes=30), (before, row)
            else:
                assert row.position == before.position + 1, (before, row)
                assert timedelta(0) <= pause <= timedelta(seconds=8), (before, row)


def test_evenings_are_busier_than_nights(humans):
    hours = Counter(row.played_at.hour for row in humans)
    evening, night = (sum(hours[h] for h in span) for span in (range(18, 22), range(1, 5)))
    assert evening > 3 * night > 0, dict(sorted(hours.items()))


def test_listening_is_as_much_as_asked_and_heavy_tailed(spark):
    world = World(users=4_000, days=5, bots=0)
    users = spark.range(world.users)
    sessions = Counter(
        row.user for row in listening.generate_sessions(world, users, range(world.days)).collect()
    )
    expected = world.days * sum(row.weight for row in listening.expected_tastes(world, users).collect())
    total = sum(sessions.values())
    assert abs(total - expected) < 4 * math.sqrt(expected), f"{total} sessions, promised {expected:.0f}"
    assert expected == pytest.approx(world.users * world.days * world.sessions_per_day, rel=0.1)
    busiest = sum(n for _, n in sessions.most_common(400))
    assert busiest > 0.25 * total, f"the busiest tenth has {busiest / total:.0%} of the sessions"


def test_sessions_keep_to_tastes_as_weighed(spark):
    """A dozen listeners among a thousand clusters: nearly every (listener, taste) is a cluster of its own."""
    world = World(users=12, days=400, tracks=1_000, artists=1_000, clusters=1_000, bots=0)
    users = spark.range(world.users)
    seen = Counter(
        row.cluster for row in listening.generate_sessions(world, users, range(world.days)).collect()
    )
    expected = Counter()
    for row in listening.expected_tastes(world, users).collect():
        expected[row.cluster] += row.weight * world.days
    assert seen.keys() <= expected.keys()
    surprise = sum((seen[c] - e) ** 2 / e for c, e in expected.items() if e > 5)
    counted = sum(e > 5 for e in expected.values())
    assert counted > 20, "too few sessions to tell"
    assert surprise < counted + 4 * math.sqrt(2 * counted), f"chi-square {surprise:.0f} of {counted}"


def test_bots_show_by_volume(heard):
    days, artists = Counter((row.user_id, row.day) for row in heard), defaultdict(set)
    bots = {row.user_id for row in heard if row.is_bot}
    for row in heard:
        artists[row.user_id].add(row.artist_id)
    assert len(bots) == WORLD.bot_count == 2
    assert {len(artists[bot]) for bot in bots} == {1}
    assert min(n for (user, _), n in days.items() if user in bots) > 2_000
    assert max(n for (user, _), n in days.items() if user not in bots) <= 180


def test_the_world_ends_at_midnight(heard):
    days = {row.played_at.date() for row in heard}
    assert days == {WORLD.day(n) for n in range(WORLD.days)}
    assert all(row.day == WORLD.day_number(row.played_at.date()) for row in heard)


def test_the_catalogue_reads_like_music(spark):
    world = World()
    rows = catalogue.generate_tracks(world, spark.range(world.tracks)).collect()
    assert len({row.track_id for row in rows}) == len(rows) == 4_000
    names = {row.artist_id: row.artist_name for row in rows}
    assert len(names) == len(set(names.values())) == 400, "two artists share a name"
    assert len({row.title for row in rows}) > 3_000
    assert rows[0].title == "Station at Dawn", "seed 1 made another world before"
    new = [row for row in rows if row.release_day > 0]
    assert 0.08 < len(new) / len(rows) < 0.12
    assert all(world.first_day < row.released_on <= world.day(44) for row in new)


@pytest.mark.parametrize(
    ("settings", "complaints"),
    [
        (
            {"users": 0, "late": 1.5, "seed": "x", "bot": 1},
            [
                "users is 0, must be 1 to 1,000,000,000",
                "late is 1.5, must be 0 to 1",
                "seed is 'x', must be 0 to ",
                "bot is unknown, must be one of seed, users, ",
            ],
        ),
        (
            {"artists": 5, "off_taste": 0.6, "repeats": 0.6},
            [
                "clusters, artists, tracks are 40, 5, 4000, must not fall",
                "off_taste + repeats is 1.2, must be at most 1",
            ],
        ),
    ],
    ids=["each by itself", "with each other"],
)
def test_a_wrong_world_says_everything_that_is_wrong(settings, complaints):
    with pytest.raises(WorldError, match="no such world: ") as error:
        World(**settings)
    assert [complaint for complaint in complaints if complaint not in str(error.value)] == []
    assert len(str(error.value).splitlines()) == 1


def test_days_are_counted_from_the_first():
    world = World(first_day=date(2026, 2, 27), days=3)
    assert [world.day_number(world.day(n)) for n in range(3)] == [0, 1, 2]
    for outside in (date(2026, 2, 26), date(2026, 3, 2)):
        with pytest.raises(WorldError, match="2026-02-27 to 2026-03-01"):
            world.day_number(outside)
