"""How well a perfect recommender does: one that knows the rules of `features/synthetic/listening.py`.

It knows the listener, the cluster of the session and the day, and names the ten tracks most likely to be played next.
Plays of slates and of discoveries are beside those of sessions, and not counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.synthetic.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Tastes:
    """Parallel arrays, of `listening.expected_tastes`: a cluster, a favourite track in it, a weight."""

    cluster: Ints
    favourite: Ints
    weight: Floats


@dataclass(frozen=True)
class HitRates:
    """The chance that the next track is among the ten named; one value per day, sessions weighed alike.

    `without_repeats` leaves out plays of a track that follows itself, and never names it.
    """

    all_plays: Floats
    without_repeats: Floats


def compute_hit_rates(world: World, release_day: Ints, tastes: Tastes, k: int = 10) -> HitRates:
    """Exact, by enumeration of every day, cluster and favourite.

    Args:
        release_day: of every track, by its number.
        tastes: of all listeners; equal pairs of cluster and favourite may come summed up.
    """
    days = np.array([_hit_rates_of_day(world, release_day <= day, tastes, k) for day in range(world.days)])
    return HitRates(days[:, 0], days[:, 1])


def _hit_rates_of_day(
    world: World, is_released: NDArray[np.bool_], tastes: Tastes, k: int
) -> tuple[float, float]:
    by_rank = _rank_probabilities(world, is_released)
    # plays of a session are independent draws, so the plays before add nothing
    probability, squares = _top_probabilities(world, by_rank, is_released, tastes, k + 1)
    top, next_one = probability[:, :k], probability[:, k]
    hit = top.sum(axis=1)
    # Given the track before is p: ten of the others if p is among the ten, else the ten.
    hit_others = hit * (1 - hit) + (top * (hit + next_one)[:, None] - top**2).sum(axis=1)
    # a track follows itself with the chance of drawing it twice: the sum of the squares
    query_weight = tastes.weight @ (1 - squares)
    return (
        float(tastes.weight @ hit / tastes.weight.sum()),
        float(tastes.weight @ hit_others / query_weight) if query_weight > 1e-12 else 0.0,
    )


def _rank_probabilities(world: World, is_released: NDArray[np.bool_]) -> Floats:
    """P(track | its cluster) as an array of ranks x clusters; 0 beyond a cluster's last track."""
    ranks = -(-world.tracks // world.clusters)
    number = np.arange(ranks * world.clusters).reshape(ranks, world.clusters)
    rank = 1 + number // world.clusters
    size = (number < world.tracks).sum(axis=0)
    draw = np.where(number < world.tracks, np.log((rank + 1) / rank) / np.log(size + 1), 0.0)
    released = np.zeros(number.shape, dtype=bool)
    released.reshape(-1)[: world.tracks] = is_released
    # a draw of a track that is not out is drawn again once, then the cluster's first track, always out, stands in
    missed_share = np.where(released, 0.0, draw).sum(axis=0)
    probability = np.where(released, draw * (1 + missed_share), 0.0)
    probability[0] += missed_share**2
    return probability


def _top_probabilities(
    world: World, by_rank: Floats, is_released: NDArray[np.bool_], tastes: Tastes, k: int
) -> tuple[Floats, Floats]:
    """The k largest probabilities per taste, descending, and the sum of the squares of all."""
    off_share = world.off_taste / world.clusters
    own_share = 1 - world.off_taste - world.repeats + off_share
    track, probability = _candidate_tracks(world, by_rank, own_share, off_share, k)
    favourite = np.where(is_released[tastes.favourite], tastes.favourite, tastes.cluster)
    usual = own_share * by_rank.reshape(-1)[favourite]
    is_candidate = track[tastes.cluster] == favourite[:, None]
    listed = probability[tastes.cluster] + world.repeats * is_candidate
    unlisted = np.where(is_candidate.any(axis=1), 0.0, usual + world.repeats)
    best = -np.sort(-np.column_stack([listed, unlisted]), axis=1)[:, :k]
    in_cluster = (by_rank**2).sum(axis=0)
    squares = own_share**2 * in_cluster + off_share**2 * (in_cluster.sum() - in_cluster)
    # a world may have fewer candidates than k
    padded = np.pad(best, ((0, 0), (0, k - best.shape[1])))
    return padded, squares[tastes.cluster] + (usual + world.repeats) ** 2 - usual**2


def _candidate_tracks(
    world: World, by_rank: Floats, own_share: float, off_share: float, k: int
) -> tuple[Ints, Floats]:
    """Tracks (numbers) and probabilities, clusters x candidates, that hold the k likeliest without favourites."""
    # the k best of the cluster itself, and the k best of all clusters, off taste: no other can be among the k
    clusters = np.arange(world.clusters)
    rank = np.argsort(-by_rank, axis=0, kind="stable")[:k]
    inside = (rank * world.clusters + clusters).T
    best = np.argsort(-by_rank.reshape(-1), kind="stable")[:k]
    outside = np.broadcast_to(best, (world.clusters, len(best)))
    is_outside = outside % world.clusters != clusters[:, None]
    probability = [
        own_share * by_rank.reshape(-1)[inside],
        np.where(is_outside, off_share * by_rank.reshape(-1)[outside], 0.0),
    ]
    return np.column_stack([inside, np.where(is_outside, outside, -1)]), np.column_stack(probability)
