"""Ranks, scores and comparisons of embeddings from their definitions, one track after the other.

Vectors are lists of whole numbers, so that products are exact and equal ones are equal. -1 is a track
that is not known, a vector of zeros is none, and a rank of 0 is a miss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from random import Random
from typing import Any

Vectors = Sequence[Sequence[int]]
Score = Callable[[int, int], Any]  # of a query and another track; None where there is none


def rank(query: int, target: int, tracks: int, score: Score) -> int:
    order = best(query, tracks, score) if query >= 0 else []
    return order.index(target) + 1 if target in order else 0


def best(query: int, tracks: int, score: Score) -> list[int]:
    """All tracks with a score but the query, the best first, equals by number."""
    score_pairs = [(score(query, other), other) for other in range(tracks) if other != query]
    return [other for value, other in sorted((-s, other) for s, other in score_pairs if s is not None)]


def product(queries: Vectors, items: Vectors) -> Score:
    def score_of(query: int, other: int) -> int | None:
        if not any(queries[query]) or not any(items[other]):
            return None
        return sum(a * b for a, b in zip(queries[query], items[other], strict=True))

    return score_of


def popularity(support: Sequence[int]) -> Score:
    return lambda query, other: support[other] or None


def sessions_in_common(sessions: Sequence[Sequence[int]]) -> Score:
    """The square of the cosine, which orders alike and is a fraction."""

    def score_of(query: int, other: int) -> Fraction | None:
        together = sum(query in session and other in session for session in sessions)
        alone = [sum(track in session for session in sessions) for track in (query, other)]
        return Fraction(together**2, alone[0] * alone[1]) if together else None

    return score_of


def plays_nearby(sessions: Sequence[Sequence[int]], window: int) -> Score:
    def score_of(query: int, other: int) -> Fraction | None:
        together = sum(
            Fraction(1, abs(j - i))
            for session in sessions
            for i, one in enumerate(session)
            for j, two in enumerate(session)
            if (one, two) == (query, other) and abs(j - i) <= window
        )
        alone = [sum(session.count(track) for session in sessions) for track in (query, other)]
        return Fraction(together) ** 2 / (alone[0] * alone[1]) if together else None

    return score_of


def scores(ranks: Sequence[int], ks: Sequence[int]) -> dict[str, float]:
    measures = {"mrr": sum(1 / r for r in ranks if r) / len(ranks)}
    for k in ks:
        hits = [r for r in ranks if 1 <= r <= k]
        measures[f"hr@{k}"] = len(hits) / len(ranks)
        measures[f"ndcg@{k}"] = sum(1 / math.log2(1 + r) for r in hits) / len(ranks)
    return measures


def segments(support: Sequence[int]) -> list[str]:
    """By walking down the list: head until half of all plays are passed, torso until nine tenths are."""
    names = ["new"] * len(support)
    plays_above = 0
    for track in sorted(range(len(support)), key=lambda track: (-support[track], track)):
        if support[track]:
            share = Fraction(plays_above, sum(support))
            names[track] = (
                "head" if share < Fraction(1, 2) else "torso" if share < Fraction(9, 10) else "tail"
            )
        plays_above += support[track]
    return names


def hubness(neighbours: Sequence[Sequence[int]], tracks: int) -> dict[str, float]:
    times = [sum(track in row for row in neighbours) for track in range(tracks)]
    mean = sum(times) / tracks
    second, third = (sum((n - mean) ** power for n in times) / tracks for power in (2, 3))
    return {
        "largest": max(times),
        "largest_ratio": max(times) / (len(neighbours) * len(neighbours[0]) / tracks),
        "skewness": third / second**1.5 if second else 0,
        "orphans": times.count(0) / tracks,
    }


def percentile(support: Sequence[int], track: int) -> float:
    below = sum(other < support[track] for other in support)
    return (below + support.count(support[track]) / 2) / len(support)


def bootstrap_ratios(new: Sequence[bool], old: Sequence[bool], rounds: int, seed: int) -> list[float]:
    """Pairs drawn with replacement, one by one; sorted."""
    rng, ratios = Random(seed), []
    for _ in range(rounds):
        sample = [rng.randrange(len(new)) for _ in new]
        ratios.append(hit_ratio([new[i] for i in sample], [old[i] for i in sample]))
    return sorted(ratios)


def hit_ratio(new: Sequence[bool], old: Sequence[bool]) -> float:
    return sum(new) / sum(old) if any(old) else math.inf if any(new) else 0.0
