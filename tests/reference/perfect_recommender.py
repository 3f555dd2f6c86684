"""The odds of the next track, worked out as a listener draws: one step after the other, in plain Python."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from features.synthetic.world import World

Odds = dict[int, float]


def next_track(world: World, release_day: Sequence[int], cluster: int, favourite: int, day: int) -> Odds:
    """P(track) for a play of a session in `cluster`, by a listener whose favourite there is `favourite`."""
    odds: Odds = defaultdict(float)
    fallback = favourite if release_day[favourite] <= day else cluster
    odds[fallback] += world.repeats
    for any_cluster in range(world.clusters):
        for track, p in from_cluster(world, release_day, any_cluster, day).items():
            odds[track] += world.off_taste / world.clusters * p
    for track, p in from_cluster(world, release_day, cluster, day).items():
        odds[track] += (1 - world.off_taste - world.repeats) * p
    return odds


def from_cluster(world: World, release_day: Sequence[int], cluster: int, day: int) -> Odds:
    """A rank is drawn; if that track is not out, another one; if that is not out either, the first."""
    tracks = range(cluster, world.tracks, world.clusters)
    by_rank = {t: math.log((k + 1) / k) / math.log(len(tracks) + 1) for k, t in enumerate(tracks, start=1)}
    odds: Odds = defaultdict(float)
    for first, p in by_rank.items():
        if release_day[first] <= day:
            odds[first] += p
            continue
        for second, q in by_rank.items():
            odds[second if release_day[second] <= day else cluster] += p * q
    return odds


def best(odds: Odds, k: int) -> list[int]:
    return sorted(odds, key=lambda track: (-odds[track], track))[:k]


def hit_rate(odds: Odds, k: int) -> float:
    return sum(odds[track] for track in best(odds, k))


def hit_and_eligible_without_repeats(odds: Odds, k: int) -> tuple[float, float]:
    """P(the next is another track, and among the k best others), P(the next is another track)."""
    hit = eligible = 0.0
    for before, p in odds.items():
        others = {track: q for track, q in odds.items() if track != before}
        hit += p * hit_rate(others, k)
        eligible += p * sum(others.values())
    return hit, eligible
