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


def collect_plays(spark, world, partitions=2, days=None):
    users = spark.range(0, world.users, 1, partitions)
    return sorted(
        listening.generate_plays(world, users, days).collect(), key=lambda row: (row.user_id, row.played_at)
    )


@pytest.fixture(scope="module")
def all_plays(spark):
    return collect_plays(spark, WORLD)


@pytest.fixture(scope="module")
def human_plays(all_plays):
    return [row for row in all_plays if not row.is_bot]


@pytest.fixture(scope="module")
def tracks(spark):
    return {row.track: row for row in catalogue.generate_tracks(WORLD, spark.range(WORLD.tracks)).collect()}


def test_generate_plays_does_not_depend_on_partitions(spark, all_plays):
    spark.conf.set("spark.sql.shuffle.partitions", "5")
    try:
        assert collect_plays(spark, WORLD, partitions=7) == all_plays
    finally:
        spark.conf.set("spark.sql.shuffle.partitions", "2")


def test_generate_plays_of_days_apart_equals_all_days_at_once(spark, all_plays):
    parts = [collect_plays(spark, WORLD, days=days) for days in (range(4), range(4, 5), range(5, 10))]
    assert Counter(row.play_id for part in parts for row in part) == Counter(row.play_id for row in all_plays)


def test_generate_plays_depends_on_the_seed(spark, all_plays):
    other = collect_plays(spark, World(**{**vars(WORLD), "seed": 4}))
    assert not {row.play_id for row in all_plays} & {row.play_id for row in other}
    assert Counter(row.track_id for row in all_plays) != Counter(row.track_id for row in other)


def test_generate_plays_gives_unique_play_ids(all_plays):
    assert [play for play, n in Counter(row.play_id for row in all_plays).items() if n > 1] == []


def test_generate_plays_takes_tracks_from_the_catalogue(all_plays, tracks):
    wrong = [
        row.play_id
        for row in all_plays
        if (row.track_id, row.artist_id, row.track_ms)
        != tuple(tracks[row.track][name] for name in ("track_id", "artist_id", "track_ms"))
    ]
    assert wrong == []


def test_generate_plays_follows_zipf_inside_a_cluster(spark):
    """Each rank's share against its odds; the sum over ranks of squared errors is chi-square."""
    plain = {"off_taste": 0, "repeats": 0, "new_tracks": 0, "bots": 0}
    world = World(users=400, days=10, tracks=200, artists=4, clusters=4, **plain)
    count = Counter(row.track // world.clusters + 1 for row in collect_plays(spark, world))
    odds = [math.log((k + 1) / k) / math.log(51) for k in range(1, 51)]
    expected = np.array(odds) * sum(count.values())
    counts = np.array([count[k] for k in range(1, 51)])
    assert expected.min() > 30, "too few plays to tell"
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 49 + 4 * math.sqrt(2 * 49), (
        f"chi-square {chi_square:.0f} of 49; ranks 1 to 5: {counts[:5]}"
    )


def test_generate_plays_has_no_play_before_a_release(all_plays, tracks):
    early = [
        (row.play_id, row.played_at.date(), tracks[row.track].released_on)
        for row in all_plays
        if row.played_at.date() < tracks[row.track].released_on
    ]
    assert early == []
    new = {row.track_id for row in all_plays if tracks[row.track].release_day > 0}
    assert len(new) > 10, f"only {len(new)} tracks came out and were heard: this shows nothing"


def test_generate_plays_skips_more_off_taste(human_plays):
    off_taste, in_taste = [], []
    for row in human_plays:
        (in_taste if row.track % WORLD.clusters == row.cluster else off_taste).append(row.skipped)
    assert np.mean(off_taste) == pytest.approx(0.45, abs=4 * 0.5 / math.sqrt(len(off_taste)))
    assert 0.09 < np.mean(in_taste) < 0.13


def test_generate_plays_off_taste_share_equals_the_setting(human_plays):
    """Of the plays from any cluster, one in six is from the session's own."""
    share = np.mean([row.track % WORLD.clusters != row.cluster for row in human_plays])
    expected = WORLD.off_taste * (1 - 1 / WORLD.clusters)
    assert share == pytest.approx(expected, abs=4 * math.sqrt(expected / len(human_plays)))


def test_generate_plays_listening_times_fit_skips_and_saves(human_plays):
    for row in human_plays:
        if row.skipped:
            assert 1_000 <= row.ms_played < 30_000 and not row.saved, row
        else:
            assert row.track_ms / 2 < row.ms_played <= row.track_ms, row
        if row.saved:
            assert row.track % WORLD.clusters == row.cluster, f"saved off taste: {row}"
    assert 0.01 < np.mean([row.saved for row in human_plays]) < 0.04


def test_generate_plays_separates_sessions_by_half_an_hour(human_plays):
    """So that whoever cuts at half an hour of silence finds them again."""
    for before, row in pairwise(human_plays):
        if row.user_id == before.user_id:
            pause = row.played_at - before.played_at - before.ms_played * MS
            if row.position == 1:
                assert pause > timedelta(minutes=30), (before, row)
            else:
                assert row.position == before.position + 1, (before, row)
                assert timedelta(0) <= pause <= timedelta(seconds=8), (before, row)


def test_generate_plays_has_busier_evenings_than_nights(human_plays):
    hours = Counter(row.played_at.hour for row in human_plays)
    evening, night = (sum(hours[h] for h in span) for span in (range(18, 22), range(1, 5)))
    assert evening > 3 * night > 0, dict(sorted(hours.items()))


def test_generate_sessions_count_equals_the_setting_and_is_heavy_tailed(spark):
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


def test_generate_sessions_follows_the_weights_of_tastes(spark):
    """A dozen listeners among a thousand clusters: nearly every (listener, taste) is a cluster of its own."""
    world = World(users=12, days=400, tracks=1_000, artists=1_000, clusters=1_000, bots=0)
    users = spark.range(world.users)
    counts = Counter(
        row.cluster for row in listening.generate_sessions(world, users, range(world.days)).collect()
    )
    expected = Counter()
    for row in listening.expected_tastes(world, users).collect():
        expected[row.cluster] += row.weight * world.days
    assert counts.keys() <= expected.keys()
    chi_square = sum((counts[c] - e) ** 2 / e for c, e in expected.items() if e > 5)
    cells = sum(e > 5 for e in expected.values())
    assert cells > 20, "too few sessions to tell"
    assert chi_square < cells + 4 * math.sqrt(2 * cells), f"chi-square {chi_square:.0f} of {cells}"


def test_generate_plays_shows_bots_by_volume(all_plays):
    days, artists = Counter((row.user_id, row.day) for row in all_plays), defaultdict(set)
    bots = {row.user_id for row in all_plays if row.is_bot}
    for row in all_plays:
        artists[row.user_id].add(row.artist_id)
    assert len(bots) == WORLD.bot_count == 2
    assert {len(artists[bot]) for bot in bots} == {1}
    assert min(n for (user, _), n in days.items() if user in bots) > 2_000
    assert max(n for (user, _), n in days.items() if user not in bots) <= 180


def test_generate_plays_covers_the_days_of_the_world_alone(all_plays):
    days = {row.played_at.date() for row in all_plays}
    assert days == {WORLD.day(n) for n in range(WORLD.days)}
    assert all(row.day == WORLD.day_number(row.played_at.date()) for row in all_plays)


def test_generate_tracks_gives_titles_artists_and_new_tracks(spark):
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
def test_world_reports_all_faults_at_once(settings, complaints):
    with pytest.raises(WorldError, match="no such world: ") as error:
        World(**settings)
    assert [complaint for complaint in complaints if complaint not in str(error.value)] == []
    assert len(str(error.value).splitlines()) == 1


def test_day_number_counts_from_the_first_day():
    world = World(first_day=date(2026, 2, 27), days=3)
    assert [world.day_number(world.day(n)) for n in range(3)] == [0, 1, 2]
    for outside in (date(2026, 2, 26), date(2026, 3, 2)):
        with pytest.raises(WorldError, match="2026-02-27 to 2026-03-01"):
            world.day_number(outside)
