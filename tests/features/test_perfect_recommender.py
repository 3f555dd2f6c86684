"""The perfect recommender: its figure against enumeration by hand, and against what listeners then play."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from features.synthetic import catalogue, listening
from features.synthetic.perfect_recommender import Tastes, compute_hit_rates
from features.synthetic.world import World
from reference.perfect_recommender import best, hit_and_eligible_without_repeats, hit_rate, next_track

# Clusters of unlike sizes, some smaller than the list; much off taste, so that other clusters show.
ODD = World(users=1, days=6, tracks=31, artists=7, clusters=5, off_taste=0.5, repeats=0.1, new_tracks=0.4)


def release_days(world, rng):
    """Release days by track number; the first track of each cluster is always out."""
    is_new = rng.random(world.tracks) < world.new_tracks
    days = np.where(is_new, rng.integers(1, world.days, world.tracks), -1)
    days[: world.clusters] = -1
    return days


@pytest.mark.parametrize(
    "world",
    [
        ODD,
        World(days=3, tracks=60, artists=4, clusters=2, off_taste=0.1, repeats=0.3),
        World(days=2, tracks=40, artists=20, clusters=20, off_taste=0.9, repeats=0.0),
        World(days=2, tracks=7, artists=1, clusters=1, off_taste=0.0, repeats=1.0),
    ],
    ids=["odd", "few clusters", "tiny clusters", "only favourites"],
)
@pytest.mark.parametrize("k", [3, 10])
def test_compute_hit_rates_equals_enumeration(world, k):
    rng = np.random.default_rng(5)
    release_day = release_days(world, rng)
    favourites = rng.integers(0, world.tracks, 12)
    tastes = Tastes(favourites % world.clusters, favourites, rng.random(12))
    hit_rates = compute_hit_rates(world, release_day, tastes, k)
    weights = tastes.weight / tastes.weight.sum()
    for day in range(world.days):
        odds = [next_track(world, release_day, f % world.clusters, f, day) for f in favourites]
        assert all(math.isclose(sum(o.values()), 1) for o in odds), "the oracle's odds do not add up to 1"
        expected = sum(w * hit_rate(o, k) for w, o in zip(weights, odds, strict=True))
        assert hit_rates.all_plays[day] == pytest.approx(expected, abs=1e-12), f"day {day}"
        pairs = np.array([hit_and_eligible_without_repeats(o, k) for o in odds])
        hit, eligible = weights @ pairs
        expected = hit / eligible if eligible > 1e-9 else 0
        assert hit_rates.without_repeats[day] == pytest.approx(expected, abs=1e-9), f"day {day}"


def load_tastes(world, users):
    table = listening.expected_tastes(world, users).toArrow()
    return Tastes(*(table[name].to_numpy() for name in ("cluster", "favourite", "weight")))


@pytest.fixture(scope="module")
def figures_and_plays(spark):
    """The promised figures, and per play: the row, the row before, its odds, the best list, the favourite."""
    world = World(
        seed=11, users=150, days=12, tracks=300, artists=30, clusters=6, sessions_per_day=1.0, new_tracks=0.3
    )
    users = spark.range(world.users)
    tracks = catalogue.generate_tracks(world, spark.range(world.tracks)).orderBy("track").toArrow()
    release_day = tracks["release_day"].to_numpy()
    favourites = {
        (row.user, row.cluster): world.clusters * (row.favourite - 1) + row.cluster
        for row in listening.generate_sessions(world, users, range(world.days)).collect()
    }
    rows = (
        listening.generate_plays(world, users).where("not is_bot").orderBy("user_id", "played_at").collect()
    )
    odds_by_context = {}
    for row in rows:
        favourite = favourites[int(row.user_id[1:]), row.cluster]
        context = (row.cluster, favourite, row.session_day)
        if context not in odds_by_context:
            odds = next_track(world, release_day, *context)
            odds_by_context[context] = (odds, best(odds, 11), favourite)
    plays = [
        (
            row,
            before,
            *odds_by_context[row.cluster, favourites[int(row.user_id[1:]), row.cluster], row.session_day],
        )
        for before, row in zip([None, *rows], rows, strict=False)
    ]
    return compute_hit_rates(world, release_day, load_tastes(world, users)), plays


def test_next_track_odds_equal_the_frequency_of_plays(figures_and_plays):
    """Surprise, -log p, against its mean under the odds: all of the distribution counts, not ten tracks."""
    _, plays = figures_and_plays
    logs = [math.log(odds[row.track]) if odds.get(row.track) else -math.inf for row, _, odds, *_ in plays]
    assert min(logs) > -math.inf, f"impossible: {plays[logs.index(-math.inf)][0]}"
    means = [sum(p * math.log(p) for p in odds.values() if p) for _, _, odds, *_ in plays]
    squares = [sum(p * math.log(p) ** 2 for p in odds.values() if p) for _, _, odds, *_ in plays]
    error = math.sqrt(sum(s - m * m for s, m in zip(squares, means, strict=True)))
    assert abs(sum(logs) - sum(means)) < 3 * error, (
        f"{sum(logs):.0f} for {sum(means):.0f} within 3 x {error:.0f}"
    )


def test_next_track_odds_equal_the_frequency_of_favourites(figures_and_plays):
    _, plays = figures_and_plays
    odds_of_it = np.array([odds.get(favourite, 0.0) for _, _, odds, _, favourite in plays])
    count = sum(row.track == favourite for row, *_, favourite in plays)
    error = math.sqrt((odds_of_it * (1 - odds_of_it)).sum())
    assert abs(count - odds_of_it.sum()) < 3 * error, (
        f"{count} for {odds_of_it.sum():.0f} within 3 x {error:.0f}"
    )


def assert_within_three_errors(hits_by_user, figure):
    """Plays of one listener share a taste, so the error is that of a mean over listeners."""
    hits = np.array([sum(h) for h in hits_by_user.values()])
    play_counts = np.array([len(h) for h in hits_by_user.values()])
    rate = hits.sum() / play_counts.sum()
    error = np.sqrt(((hits - rate * play_counts) ** 2).sum()) / play_counts.sum()
    assert error < 0.01, "too few plays to tell"
    message = f"hit {rate:.4f} of {play_counts.sum()} plays, promised {figure:.4f} within 3 x {error:.4f}"
    assert abs(rate - figure) < 3 * error, message


def test_all_plays_rate_is_reached_by_naming_the_ten_likeliest(figures_and_plays):
    figures, plays = figures_and_plays
    hits = defaultdict(list)
    for row, _, _, likeliest, _ in plays:
        if row.position >= 2:
            hits[row.user_id].append(row.track in likeliest[:10])
    assert_within_three_errors(hits, figures.all_plays.mean())


def test_without_repeats_rate_is_reached_by_naming_the_ten_likeliest_others(figures_and_plays):
    figures, plays = figures_and_plays
    hits = defaultdict(list)
    for row, before, _, likeliest, _ in plays:
        if row.position >= 2 and row.track != before.track:
            hits[row.user_id].append(row.track in [t for t in likeliest if t != before.track][:10])
    assert_within_three_errors(hits, figures.without_repeats.mean())


def test_popularity_hits_less_than_half_of_the_all_plays_rate(figures_and_plays):
    figures, plays = figures_and_plays
    popular = [track for track, _ in Counter(row.track for row, *_ in plays).most_common(10)]
    rate = np.mean([row.track in popular for row, *_ in plays])
    assert rate < figures.all_plays.mean() / 2, f"popularity alone hits {rate:.3f}"


def test_compute_hit_rates_of_the_default_world_leaves_room_to_learn(spark):
    world = World()
    tracks = catalogue.generate_tracks(world, spark.range(world.tracks)).orderBy("track").toArrow()
    tastes = load_tastes(world, spark.range(world.users))
    assert 0.35 < compute_hit_rates(world, tracks["release_day"].to_numpy(), tastes).all_plays.mean() < 0.55
