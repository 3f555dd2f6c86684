"""The test against chance by its definition: every way to pair, or every rank, counted in plain loops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise, permutations

Scores = Sequence[Sequence[float]]


def rank(row: Sequence[float], place: int) -> float:
    """Of one score among the row's, the smallest 1, equals at their middle."""
    below = sum(score < row[place] for score in row)
    equal = sum(score == row[place] for score in row)
    return below + (equal + 1) / 2


def z_of_all_pairings(scores: Scores) -> float:
    """The sum of the own targets' ranks, against that sum over all ways to pair queries with targets."""
    places = range(len(scores))
    sums = [
        sum(rank(scores[query], target) for query, target in enumerate(pairing))
        for pairing in permutations(places)
    ]
    own = sum(rank(scores[place], place) for place in places)
    mean = sum(sums) / len(sums)
    spread = math.sqrt(sum((each - mean) ** 2 for each in sums) / len(sums))
    return (own - mean) / spread if spread > 1e-9 else 0.0


def z_possible(sequences: Sequence[Sequence[int]], pairs: Sequence[tuple[int, int]]) -> float:
    """Of counts of each target right after each query: how much oftener the own one leads than trails."""
    lead = 0
    for query, target in pairs:
        for _, other in pairs:
            own, another = (_follows(sequences, query, track) for track in (target, other))
            lead += (own > another) - (own < another)
    return lead / len(pairs) ** 2 * math.sqrt(3 * len(pairs)) if pairs else 0.0


def _follows(sequences: Sequence[Sequence[int]], query: int, target: int) -> int:
    return sum((one, two) == (query, target) for sequence in sequences for one, two in pairwise(sequence))
